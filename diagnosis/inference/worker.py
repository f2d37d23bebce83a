"""Worker side: claim queued predictions, let the model read the films, store what it says.

The database is the queue's truth. Celery's messages only wake a worker, so they may be lost, doubled or late.
A claim and a finish are each one conditional UPDATE, so of several workers one wins and the others find nothing;
no transaction stays open while the model works.
"""

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Literal, cast

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from diagnosis.core.leases import Leases
from diagnosis.models import Film, ModelVersion, Prediction
from diagnosis.reading import worklist
from diagnosis.registry import operating_point, versions
from ml.images.errors import ImageError
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph
from ml.serving.heatmap import heatmap_png
from ml.serving.predictor import Answer, Predictor
from pneumoweb.storage.filesystem import StorageAway, discard

log = logging.getLogger(__name__)

LOADED_AT_MOST = 2
LEASES = Leases(Prediction, lambda: settings.LEASE_SECONDS)
TAUGHT = (
    "This film may have taught the model in a training run of this site: "
    "its answer here says little about how well it reads others."
)
_loaded: dict[str, Predictor] = {}


def predictor_for(version: ModelVersion) -> Predictor:
    """Return the version's predictor, loaded once a process; a promotion needs no restart."""
    if version.artifact_hash not in _loaded:
        while len(_loaded) >= LOADED_AT_MOST:
            _loaded.pop(next(iter(_loaded)))
        _loaded[version.artifact_hash] = load(version)
    return _loaded[version.artifact_hash]


def load(version: ModelVersion) -> Predictor:
    """Load the version's artifact, checked. Raises ml.errors.ArtifactError or OSError."""
    return Predictor(
        versions.local_artifact(version),
        runtime=cast(Literal["litert", "keras"], settings.INFERENCE_RUNTIME),
        threads=settings.INFERENCE_THREADS,
    )


def unload() -> None:
    """Give the memory of loaded models back, in a process that reads films only now and then."""
    _loaded.clear()


def warm_up() -> None:
    """Load the production model, if there is one. Called in a worker's child, never before the fork."""
    version = versions.production()
    if version:
        predictor_for(version)


def claim(limit: int | None = None, skip: Collection[int] = ()) -> list[Prediction]:
    """Lease up to `limit` of the most urgent, longest-waiting predictions of one model version that is not in `skip`.

    A prediction that was tried before is claimed alone: if its film brings the process down again,
    no other film's attempts are spent with it.
    """
    queue = (
        Prediction.objects.queued()
        .exclude(model_version__in=skip)
        .order_by("-priority", "queued_at", "pk")
        .values_list("pk", "model_version_id", "attempts")
    )
    waiting = list(queue[: limit or settings.INFERENCE_BATCH])
    if not waiting:
        return []
    _, version, attempts = waiting[0]
    batch = [pk for pk, v, a in waiting if v == version and a == 0] if attempts == 0 else [waiting[0][0]]
    token = LEASES.claim(Prediction.objects.filter(pk__in=batch), started_at=timezone.now())
    if token is None:
        return []
    claimed = LEASES.claimed(token).order_by("-priority", "queued_at", "pk")
    return list(claimed.select_related("film__patient", "film__study", "model_version"))


def analyse(claimed: Sequence[Prediction]) -> None:
    """Read the claimed films in one call of the model and finish each prediction."""
    films: list[tuple[Prediction, Radiograph]] = []
    for prediction in claimed:
        try:
            films.append((prediction, _read(prediction)))
        except StorageAway:
            raise
        except (OSError, ImageError) as error:
            log.exception("film %s cannot be read from the storage", prediction.film_id)
            why = f"The stored film cannot be read ({type(error).__name__})."
            _retry_or_fail(prediction, why, at_once=False)
    if not films:
        return
    version = films[0][0].model_version
    ages = [p.film.patient.age_on(p.film.study.taken_on) for p, _ in films]
    # Asked once a batch, as the version is: no film gets half of each.
    threshold = operating_point.threshold_of(version)
    answers = predictor_for(version).predict([film for _, film in films], ages, threshold)
    taught = versions.taught_here(version, [prediction.film for prediction, _ in films])
    for (prediction, _), answer in zip(films, answers, strict=True):
        if prediction.film_id in taught and answer.status == "accepted":
            answer.known = True
            answer.warnings.append(TAUGHT)
        _store(prediction, answer)
    worklist.refresh(prediction.film_id for prediction, _ in films)


def work(seconds: float = 5.0) -> bool:
    """Claim and analyse batches for about `seconds`; return whether films may still be waiting."""
    stop = time.monotonic() + seconds
    unloadable: set[int] = set()
    while batch := claim(skip=unloadable):
        version = batch[0].model_version
        try:
            predictor_for(version)
        except Exception:  # a damaged artifact, a storage that is away, too little memory
            log.exception("%s cannot be loaded; its films wait until it can", version)
            unloadable.add(version.pk)
            _give_back(batch)
            continue
        try:
            analyse(batch)
        except StorageAway as error:
            # No film is to blame, and none pays with an attempt; reconcile wakes a worker until the storage is back.
            log.error("%s %d films wait: %s", error, len(batch), error.__cause__)
            _give_back(batch)
            return False
        except Exception as error:
            log.exception("a batch of %d films failed", len(batch))
            why = f"The model could not read this film ({type(error).__name__})."
            for prediction in batch:
                # Of several films one may be to blame: each gets its turn alone, and at once.
                _retry_or_fail(prediction, why, at_once=len(batch) > 1)
        if time.monotonic() > stop:
            return True
    return False


def reconcile() -> dict[str, int]:
    """Take back expired leases, fail what was tried too often, and say how many films wait.

    This alone would answer every film in time, were all messages lost.
    """
    reclaimed = failed = 0
    for prediction in LEASES.expired():
        if _retry_or_fail(prediction, prediction.failure or "The worker stopped while it read this film."):
            failed += 1
        else:
            reclaimed += 1
    return {"reclaimed": reclaimed, "failed": failed, "waiting": Prediction.objects.queued().count()}


def _read(prediction: Prediction) -> Radiograph:
    return read_film(prediction.film)


def read_film(film: Film) -> Radiograph:
    """Decode a film from the storage. Raises OSError (StorageAway where it is not the film's fault) or
    ml.images.errors.ImageError."""
    with film.file.open("rb") as file:
        return replace(read_radiograph(file.read()), colourfulness=film.colourfulness)


def _store(prediction: Prediction, answer: Answer) -> None:
    common = {
        "warnings": answer.warnings,
        "receipt": answer.receipt,
        "compute_ms": answer.milliseconds,
        "failure": "",
    }
    if answer.status != "accepted":
        _finish(prediction, Prediction.State.REJECTED, reasons=answer.reasons, **common)
        return
    heatmap = ""
    if answer.heatmap is not None:
        name = f"heatmaps/{prediction.film.patient_id}/{prediction.pk}-{prediction.lease_token}.png"
        heatmap = default_storage.save(name, ContentFile(heatmap_png(answer.heatmap)))
    picture = (
        {f"picture_{name}": value for name, value in asdict(answer.picture).items()} if answer.picture else {}
    )
    stored = _finish(
        prediction,
        Prediction.State.SUCCEEDED,
        label=answer.label,
        probability=answer.probability,
        threshold=answer.threshold,
        heatmap=heatmap,
        known=answer.known,
        **picture,
        **common,
    )
    if heatmap and not stored:
        discard([heatmap])


def _finish(prediction: Prediction, state: str, **fields: object) -> bool:
    """Write a final state if this worker still holds the lease; else another one has answered."""
    begun, now = prediction.started_at or prediction.queued_at, timezone.now()
    return LEASES.release(
        prediction,
        state,
        finished_at=now,
        waiting_seconds=(begun - prediction.queued_at).total_seconds(),
        reading_seconds=(now - begun).total_seconds(),
        **fields,
    )


def _give_back(claimed: Sequence[Prediction]) -> None:
    """Put films back as they were before the claim: nobody has tried to read them."""
    for prediction in claimed:
        LEASES.give_back(prediction, started_at=None)


def _retry_or_fail(prediction: Prediction, why: str, at_once: bool = True) -> bool:
    """Put the prediction back into the queue, or fail it after the last attempt; return whether it failed.

    Unless `at_once`, it rests until its lease ends: a storage that is away for a minute costs no film its attempts.
    """
    if prediction.attempts >= settings.MAX_ATTEMPTS:
        failed = _finish(
            prediction,
            Prediction.State.FAILED,
            failure=f"{why} It was tried {prediction.attempts} times. The film is kept; ask your administrator.",
        )
        worklist.refresh([prediction.film_id])
        return failed
    if at_once:
        LEASES.requeue(prediction, started_at=None, failure="")
    else:
        LEASES.held(prediction).update(failure=why)
    return False
