"""Is a candidate better? It and the version in production read the same locked holdout.

As with films that wait for an answer, the database is the queue: a worker leases an evaluation, stores what was said
batch by batch, and whoever takes over after it goes on at the first film without an answer.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.core.leases import Leases
from diagnosis.datasets import holdout
from diagnosis.datasets.base_folder import BaseUnusable
from diagnosis.inference import worker
from diagnosis.models import Evaluation, EvaluationFilm, ModelVersion, PromotionRules
from diagnosis.promotion import evaluation_metrics
from diagnosis.registry import operating_point, versions
from ml.errors import ArtifactError
from ml.images.errors import ImageError
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph
from ml.serving.predictor import Answer, Predictor
from pneumoweb.accounts.models import User
from pneumoweb.storage.filesystem import StorageAway

log = logging.getLogger(__name__)

BATCH = 16
LEASES = Leases(Evaluation, lambda: 2 * settings.LEASE_SECONDS)
Said = EvaluationFilm.Said
State = Evaluation.State


class CannotEvaluate(Exception):
    """There is nothing to compare; the message says what is missing."""


def request(candidate: ModelVersion, by: User | None) -> Evaluation:
    """Queue an evaluation against the version in production; an open one is returned as it is.

    Raises CannotEvaluate where there is no version in production, or the candidate is it.
    """
    production = versions.production()
    if production is None:
        raise CannotEvaluate("No version is in production, so there is nothing to compare with.")
    if production == candidate:
        raise CannotEvaluate(f"{candidate} is in production itself. Choose another version.")
    try:
        with transaction.atomic():
            return Evaluation.objects.create(candidate=candidate, production=production, by=by)
    except IntegrityError:
        return Evaluation.objects.get(candidate=candidate, state__in=[State.QUEUED, State.RUNNING])


def work(seconds: float = 60.0) -> bool:
    """Get on with evaluations for about `seconds`; return whether any may still be waiting."""
    stop = time.monotonic() + seconds
    while evaluation := _claim():
        try:
            if not advance(evaluation, stop):
                return True
        except StorageAway as error:
            log.error("%s %s rests: %s", error, evaluation, error.__cause__)
            LEASES.give_back(evaluation)
            return False
        except (ArtifactError, BaseUnusable, OSError) as error:
            log.exception("%s cannot go on", evaluation)
            _retry_or_fail(evaluation, f"The evaluation broke off ({error}).")
    return False


def advance(evaluation: Evaluation, stop: float) -> bool:
    """Read films until all are read or the time `stop` (monotonic) has come; return whether it is done."""
    if evaluation.candidate_threshold is None:
        _freeze(evaluation)
    candidate, production = (worker.predictor_for(v) for v in (evaluation.candidate, evaluation.production))
    waiting = evaluation.films.filter(candidate_said="").select_related("film__patient", "film__study")
    while batch := list(waiting[:BATCH]):
        if time.monotonic() > stop or not LEASES.renew(evaluation):
            LEASES.give_back(evaluation)
            return False
        _read(evaluation, batch, candidate, production)
    _finish(evaluation)
    return True


def reconcile() -> int:
    """Take back evaluations whose worker died, and return how many wait."""
    for evaluation in LEASES.expired():
        _retry_or_fail(evaluation, "The worker stopped in the middle.")
    return Evaluation.objects.filter(state=State.QUEUED).count()


def _claim() -> Evaluation | None:
    """Lease the longest-waiting evaluation, if there is one and no other worker was first."""
    first = Evaluation.objects.filter(state=State.QUEUED).order_by("queued_at", "pk").first()
    if first is None:
        return None
    token = LEASES.claim(Evaluation.objects.filter(pk=first.pk))
    if token is None:
        return None
    return LEASES.claimed(token).select_related("candidate", "production").first()


def _freeze(evaluation: Evaluation) -> None:
    """Write down which films are read and at which thresholds, once for all."""
    cards = (evaluation.candidate.card, evaluation.production.card)
    films, known = holdout.unknown(holdout.films(_heart(evaluation)), cards)
    rows = [chosen.row(evaluation.pk) for chosen in films]
    evaluation.figures = {"known": known}
    evaluation.candidate_threshold = evaluation.candidate.card["threshold"]
    evaluation.production_threshold = (
        operating_point.threshold_of(evaluation.production) or evaluation.production.card["threshold"]
    )
    with transaction.atomic():
        held = LEASES.held(evaluation).filter(candidate_threshold__isnull=True)
        if held.update(
            candidate_threshold=evaluation.candidate_threshold,
            production_threshold=evaluation.production_threshold,
            figures=evaluation.figures,
        ):
            EvaluationFilm.objects.bulk_create(rows, batch_size=500)


def _read(
    evaluation: Evaluation, rows: Sequence[EvaluationFilm], candidate: Predictor, production: Predictor
) -> None:
    """Let both versions read the rows' films and store what they say."""
    read: list[tuple[EvaluationFilm, Radiograph]] = []
    for row in rows:
        try:
            read.append((row, radiograph_of(row)))
        except StorageAway:
            raise
        except (OSError, ImageError):
            log.exception("%s of evaluation %d cannot be read", row, evaluation.pk)
            row.candidate_said = row.production_said = Said.UNREAD
    pictures, ages = [picture for _, picture in read], [age_of(row) for row, _ in read]
    if pictures:
        mine = candidate.predict(pictures, ages, evaluation.candidate_threshold)
        theirs = production.predict(pictures, ages, evaluation.production_threshold)
        for (row, _), answer, other in zip(read, mine, theirs, strict=True):
            row.candidate_said, row.candidate_probability = said(answer), answer.probability
            row.candidate_receipt = answer.receipt
            row.production_said, row.production_probability = said(other), other.probability
    EvaluationFilm.objects.bulk_update(
        rows,
        [
            "candidate_said", "candidate_probability", "candidate_receipt", "production_said",
            "production_probability",
        ],
    )  # fmt: skip


def radiograph_of(row: EvaluationFilm) -> Radiograph:
    """Decode a row's film. Raises OSError or ml.images.errors.ImageError."""
    if row.film:
        return worker.read_film(row.film)
    if settings.BASE_DATASET is None:
        raise FileNotFoundError("The site has no base folder any more.")
    return read_radiograph(settings.BASE_DATASET / row.name)


def age_of(row: EvaluationFilm) -> float | None:
    return row.film.patient.age_on(row.film.study.taken_on) if row.film else None


def said(answer: Answer) -> str:
    """Return the answer as one word of EvaluationFilm.Said."""
    return cast(str, answer.label) if answer.status == "accepted" else Said.REFUSED.value


def run_again(evaluation: Evaluation, films: int) -> dict[str, float]:
    """Let a freshly loaded candidate answer some of the films again, one by one, and compare with what is stored.

    Returns how many were `run`, how many came out the `same` (receipt, and probability within 1e-6), and the
    `largest` difference of a probability.
    """
    rows = evaluation.films.filter(candidate_probability__isnull=False).select_related(
        "film__patient", "film__study"
    )
    fresh = worker.load(evaluation.candidate)
    same, largest, run = 0, 0.0, 0
    for row in rows.order_by("?")[:films]:
        (answer,) = fresh.predict([radiograph_of(row)], [age_of(row)], evaluation.candidate_threshold)
        apart = abs((answer.probability or 0.0) - (row.candidate_probability or 0.0))
        run, largest = run + 1, max(largest, apart)
        same += (
            answer.receipt == row.candidate_receipt and said(answer) == row.candidate_said and apart <= 1e-6
        )
    return {"run": run, "same": same, "largest": largest}


def _finish(evaluation: Evaluation) -> None:
    figures = evaluation_metrics.figures(evaluation)
    figures["receipts"] = run_again(evaluation, PromotionRules.in_force().receipts)
    LEASES.release(evaluation, State.SUCCEEDED, finished_at=timezone.now(), figures=figures, failure="")
    evaluation.refresh_from_db()


def _heart(evaluation: Evaluation) -> Callable[[], None]:
    """Return what renews the lease now and then while patients are given their share."""
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        if time.monotonic() - last > settings.LEASE_SECONDS / 3:
            last = time.monotonic()
            LEASES.renew(evaluation)

    return beat


def _retry_or_fail(evaluation: Evaluation, why: str) -> None:
    failure = f"{why} It was tried {evaluation.attempts} times; what was read is kept."[:500]
    LEASES.retry_or_fail(
        evaluation, settings.MAX_ATTEMPTS, State.FAILED, finished_at=timezone.now(), failure=failure
    )
