"""Training runs: asked for on a page, carried out by the worker of the queue `training`.

The database is the truth, as for films: a worker claims a run by one conditional UPDATE and gives signs of life while
it works; whoever loses the lease stops. The network learns in a child process without database or secrets
(`python -m ml.train`), so that a run can be ended at any moment and leaves no memory behind. After a crash the next
worker goes on from the last epoch, if it is on the same host; on another one it starts anew.
"""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from diagnosis.datasets import manifest
from diagnosis.models import TrainingRun
from diagnosis.registry import versions
from diagnosis.training.attempt import ATTEMPTS, LEASES, Attempt, folder_of
from ml.networks.names import ARCHITECTURES
from pneumoweb.accounts.models import User

log = logging.getLogger(__name__)

State, Mode = TrainingRun.State, TrainingRun.Mode


class NotPossible(Exception):
    """The run cannot be asked for; the message says why and what is needed."""


def request(
    by: User, *, mode: str, from_production: bool, architecture: str, epochs: int, seed: int, reason: str
) -> TrainingRun:
    """Queue a run. Raises NotPossible. Wake a worker after commit (`queue.notify_training_worker`)."""
    initial = versions.production() if from_production else None
    if from_production and initial is None:
        raise NotPossible("No version is in production to start from. Train the whole network from scratch.")
    if initial is None and mode != Mode.WHOLE:
        raise NotPossible("From scratch the whole network has to learn; a part of it can only learn further.")
    if initial:
        architecture = initial.card["architecture"]
    if architecture not in ARCHITECTURES:
        raise NotPossible(f"This release cannot train the architecture {architecture}.")
    problems = manifest.outlook().problems
    if problems:
        raise NotPossible(" ".join(problems))
    run = TrainingRun(
        mode=mode, architecture=architecture, epochs=epochs, seed=seed, initial=initial, reason=reason.strip(), by=by
    )  # fmt: skip
    run.save(force_insert=True)
    return run


def cancel(run: TrainingRun, by: User) -> bool:
    """End a run: at once where it waits, within seconds where it runs; return False where it has ended already."""
    this = TrainingRun.objects.filter(pk=run.pk)
    ended = this.queued().update(state=State.CANCELLED, cancelled_by=by, finished_at=timezone.now())
    return bool(ended or this.running().update(cancelled_by=by))


def claim() -> TrainingRun | None:
    """Lease the run that has waited longest; None where none waits or one is running."""
    waiting = TrainingRun.objects.queued().order_by("pk").first()
    if waiting is None:
        return None
    try:
        with transaction.atomic():
            token = LEASES.claim(
                TrainingRun.objects.filter(pk=waiting.pk),
                started_at=Coalesce(F("started_at"), timezone.now()),
            )
    except IntegrityError:
        # The database allows one at a time.
        return None
    return TrainingRun.objects.select_related("initial", "by").get(pk=waiting.pk) if token else None


def work(stopping: Callable[[], bool] = lambda: False) -> None:
    """Carry out what waits, until nothing does, the storage is away or `stopping` says that the worker has to end."""
    clear_up()
    while not stopping() and (run := claim()):
        if not Attempt(run, stopping).go():
            return


def reconcile() -> dict[str, int]:
    """Take back the runs of dead workers, and say how many can start now."""
    reclaimed = 0
    for run in LEASES.expired():
        if run.cancelled_by_id:
            LEASES.release(run, State.CANCELLED, finished_at=timezone.now())
        elif run.attempts >= ATTEMPTS:
            failure = (
                f"The worker stopped {run.attempts} times without finishing a further epoch. "
                "Nothing was registered."
            )
            LEASES.release(run, State.FAILED, failure=failure, finished_at=timezone.now())
        else:
            said = {"at": timezone.now().isoformat(), "words": "The worker stopped; another one goes on."}
            reclaimed += LEASES.requeue(run, log=[*run.log, said])
    busy = TrainingRun.objects.running().exists()
    waiting = 0 if busy else TrainingRun.objects.queued().count()
    return {"runs reclaimed": reclaimed, "runs to start": waiting}


def clear_up() -> None:
    """Remove from this host's disk what runs left that have ended."""
    unfinished = {folder_of(run) for run in TrainingRun.objects.unfinished()}
    root: Path = settings.TRAINING_DIR
    for folder in root.glob("run-*"):
        if folder not in unfinished:
            shutil.rmtree(folder, ignore_errors=True)
            log.info("removed what was left of %s", folder.name)
