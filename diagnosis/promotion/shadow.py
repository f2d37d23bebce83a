"""A candidate reads new films beside production, when no film waits; nobody who treats a patient sees its answers."""

import logging
import time
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from diagnosis.core.leases import Leases
from diagnosis.core.permissions import visible_films
from diagnosis.inference import worker
from diagnosis.models import Film, ModelVersion, Prediction, ShadowAnswer, ShadowRun
from diagnosis.promotion import evaluation
from diagnosis.reading.ground_truth import confirmed
from ml.errors import ArtifactError
from ml.images.errors import ImageError
from ml.images.radiograph import Radiograph
from ml.serving.predictor import Answer
from pneumoweb.accounts.models import User
from pneumoweb.storage.filesystem import StorageAway

log = logging.getLogger(__name__)

BATCH = 8
LEASES = Leases(ShadowRun, lambda: 2 * settings.LEASE_SECONDS, state="")
Said = ShadowAnswer.Said


class NotStarted(Exception):
    """The shadow cannot start; the message says why."""


def start(version: ModelVersion, by: User, reason: str, hours: tuple[int, int] | None = None) -> ShadowRun:
    """Let `version` read new films from now on. Raises NotStarted without a reason, or where it runs already."""
    if not reason.strip():
        raise NotStarted("Say why this version reads in the shadow.")
    if version.stage == ModelVersion.Stage.PRODUCTION:
        raise NotStarted(f"{version} is in production: it reads every film in the open.")
    first, last = hours or (None, None)
    try:
        with transaction.atomic():
            return ShadowRun.objects.create(
                version=version, started_by=by, started_at=timezone.now(), reason=reason.strip()[:400],
                hour_from=first, hour_to=last,
            )  # fmt: skip
    except IntegrityError as error:
        raise NotStarted(f"{version} reads in the shadow already.") from error


def end(version: ModelVersion, by: User | None, because: str) -> bool:
    """End the version's shadow; its answers stay. Return whether there was one."""
    return bool(
        ShadowRun.objects.filter(version=version, ended_at__isnull=True).update(
            ended_at=timezone.now(), ended_by=by, ended_because=because, lease_token=None, lease_until=None
        )
    )


def work(seconds: float = 30.0) -> bool:
    """Read films in the shadow for about `seconds`; return whether there are more to read now."""
    stop = time.monotonic() + seconds
    for run in ShadowRun.objects.filter(ended_at__isnull=True).order_by("pk"):
        run.lease_token = LEASES.claim(ShadowRun.objects.filter(pk=run.pk, ended_at__isnull=True), trouble="")
        if run.lease_token is None:
            continue
        try:
            if _advance(run, stop):
                return True
        except (ArtifactError, OSError) as error:
            log.exception("%s cannot go on", run)
            ShadowRun.objects.filter(pk=run.pk).update(trouble=str(error)[:400])
        finally:
            LEASES.release(run)
    return False


def waiting(run: ShadowRun) -> QuerySet[Prediction]:
    """Return the answers shown since the run began that it has no answer beside, the oldest first."""
    beside = ShadowAnswer.objects.filter(run=run, film=OuterRef("film"))
    return (
        Prediction.objects.filter(
            film__created_at__gte=run.started_at,
            state__in=[Prediction.State.SUCCEEDED, Prediction.State.REJECTED],
            model_version__stage=ModelVersion.Stage.PRODUCTION,
        )
        .filter(~Exists(beside))
        .select_related("film__patient", "film__study")
        .order_by("pk")
    )


def due() -> bool:
    """Return whether a worker woken now would find anything to read."""
    if Prediction.objects.filter(state__in=["queued", "running"]).exists():
        return False
    runs = ShadowRun.objects.filter(ended_at__isnull=True)
    return any(within_hours(run, timezone.now()) and waiting(run).exists() for run in runs)


def within_hours(run: ShadowRun, now: datetime) -> bool:
    """Return whether the run may read at this hour of the site's time zone; 22 to 6 goes over midnight."""
    if run.hour_from is None or run.hour_to is None:
        return True
    hour = timezone.localtime(now).hour
    if run.hour_from < run.hour_to:
        return run.hour_from <= hour < run.hour_to
    return hour >= run.hour_from or hour < run.hour_to


def disagreements(user: User) -> QuerySet[ShadowAnswer]:
    """Return where shadow and shown answer differ and nobody has confirmed a label, of films the user may see."""
    apart = ShadowAnswer.objects.filter(agrees=False, film__in=visible_films(user))
    known = [c.film_id for c in confirmed(apart.values_list("film_id", flat=True))]
    return (
        apart.exclude(film__in=known).select_related("film__patient", "film__study", "shown").order_by("-pk")
    )


def outcome(run: ShadowRun) -> dict[str, int]:
    """Count what the run read, where it differed, and who was right where a label has been confirmed since. A film that
    taught one of the two (`known`) tells nobody who is right."""
    answers = list(run.answers.values_list("film_id", "said", "shown__label", "agrees", "known"))
    differ = {film: (said, shown) for film, said, shown, agrees, _ in answers if not agrees}
    known = {film for film, _, _, agrees, known in answers if known and not agrees}
    judging = differ.keys() - known
    truth = {c.film_id: c.label for c in confirmed(judging)} if judging else {}
    return {
        "read": len(answers),
        "differ": len(differ),
        "known": len(known),
        "confirmed": len(truth),
        "shadow_right": sum(differ[film][0] == label for film, label in truth.items()),
        "shown_right": sum(differ[film][1] == label for film, label in truth.items()),
    }


def _advance(run: ShadowRun, stop: float) -> bool:
    """Read batch by batch, as long as no film waits for its own answer; return whether time alone ran out."""
    while within_hours(run, timezone.now()) and not _films_wait():
        batch = list(waiting(run)[:BATCH])
        if not batch or not LEASES.renew(run):
            return False
        _read(run, batch)
        if time.monotonic() > stop:
            return True
    return False


def _films_wait() -> bool:
    return Prediction.objects.filter(state__in=["queued", "running"]).exists()


def _read(run: ShadowRun, batch: Sequence[Prediction]) -> None:
    read: list[tuple[Prediction, Radiograph]] = []
    rows: list[ShadowAnswer] = []
    for shown in batch:
        try:
            read.append((shown, worker.read_film(shown.film)))
        except StorageAway:
            raise
        except (OSError, ImageError):
            log.exception("film %d cannot be read in the shadow", shown.film_id)
            rows.append(ShadowAnswer(run=run, film=shown.film, shown=shown, said=Said.UNREAD, agrees=True))
    if read:
        ages = [_age(shown.film) for shown, _ in read]
        answers = worker.predictor_for(run.version).predict([picture for _, picture in read], ages)
        rows += [_beside(run, shown, answer) for (shown, _), answer in zip(read, answers, strict=True)]
    ShadowAnswer.objects.bulk_create(rows, ignore_conflicts=True)


def _age(film: Film) -> float | None:
    return film.patient.age_on(film.study.taken_on)


def _beside(run: ShadowRun, shown: Prediction, answer: Answer) -> ShadowAnswer:
    said = evaluation.said(answer)
    return ShadowAnswer(
        run=run, film=shown.film, shown=shown, said=said, probability=answer.probability,
        threshold=answer.threshold, receipt=answer.receipt,
        agrees=said == (shown.label or Said.REFUSED), known=answer.known or shown.known,
    )  # fmt: skip
