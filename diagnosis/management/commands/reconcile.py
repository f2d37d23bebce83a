"""`manage.py reconcile`: make good what lost messages and dead workers left undone."""

import logging
import math
import time
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandParser
from django.db import DatabaseError, close_old_connections

from diagnosis.core import orphans, queue
from diagnosis.inference import worker
from diagnosis.intake.batches import expiry, unpack
from diagnosis.monitoring import heartbeat
from diagnosis.promotion import evaluation, promote, shadow
from diagnosis.reading import worklist
from diagnosis.training import runs as training_runs

log = logging.getLogger(__name__)

SWEEP_EVERY = 6 * 3600.0


class Command(BaseCommand):
    help = (
        "Take back films of workers that died, wake a worker for films that wait, remove files nobody names."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=float, metavar="SECONDS", help="repeat for ever, this often")

    def handle(self, *, every: float | None, **options: Any) -> None:
        if every is None:
            tally = once()
            removed = sweep()
            self.stdout.write(
                ", ".join(f"{name} {n}" for name, n in {**tally, "files removed": removed}.items())
            )
            return
        next_sweep = time.monotonic() + 60
        while True:
            close_old_connections()
            try:
                once()
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + SWEEP_EVERY
                    sweep()
            except (DatabaseError, OSError):
                log.exception("this round failed; the next one follows in %g seconds", every)
            time.sleep(every)


def once() -> dict[str, int]:
    """Reconcile, and wake as many workers as the waiting films can keep busy; one now and then, for a sign of life."""
    tally = worker.reconcile()
    worklist.mend()
    for _ in range(min(settings.WORKERS, math.ceil(tally["waiting"] / settings.INFERENCE_BATCH))):
        queue.notify_worker()
    if evaluation.reconcile():
        queue.notify_worker(queue.EVALUATE)
    if shadow.due():
        queue.notify_worker(queue.SHADOW)
    promote.expire()
    runs = training_runs.reconcile()
    if runs["runs to start"]:
        queue.notify_training_worker()
    if unpack.reconcile():
        queue.notify_unpacker()
    if not tally["waiting"] and heartbeat.overdue():
        queue.notify_worker()
    return tally | runs


def sweep() -> int:
    """Give up what nobody came back for, and remove files that no row names; return how many of these."""
    expiry.expire()
    return orphans.remove_orphans() + expiry.remove_orphans()
