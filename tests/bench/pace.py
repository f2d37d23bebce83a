"""How long films wait and are read while a training run goes on beside them, and while none does.

The site's real programs under their supervisor, as `make run` starts them; films come one by one, as they do in a
clinic, and are the same each time.
"""

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import override_settings

from diagnosis.core import queue
from diagnosis.models import Film, Prediction, TrainingRun
from diagnosis.registry import versions
from diagnosis.training import runs
from pneumoweb.server import supervisor as server_supervisor
from pneumoweb.server.processes import command_of
from tests.bench.site import stored
from tests.support.factories import make_user
from tests.support.processes import descendants, free_port, wait_for
from tests.support.samples import sample_films
from tests.support.training_data import confirm_films

Row = dict[str, Any]
FILMS = 40
EVERY = 0.25
SHARES = {"train": (8, 8), "validation": (4, 4), "holdout": (2, 2)}
FEW = {"TRAINING_MIN_FILMS": 3, "TRAINING_MIN_VALIDATION": 2}
EPOCHS = 30_000
"""More than there is time for: the run is cancelled in the end."""


def rows() -> list[Row]:
    """Seconds, p50 and p95; `ratio` is with a run against without."""
    with running_site() as supervisor:
        films = [stored(data) for data in sample_films(FILMS)]
        read(films, every=0)
        alone = read(films)
        with training_beside(supervisor) as spent:
            beside = read(films)
        again = read(films)
    found = []
    for what in ("waits", "is read in"):
        for name, share in (("p50", 0.5), ("p95", 0.95)):
            free = at(share, alone[what] + again[what])
            busy = at(share, beside[what])
            found += [
                {"what": f"a film {what}, {name}", "figure": round(free, 3), "unit": "s"},
                {
                    "what": f"a film {what}, {name}, while a training run goes on",
                    "figure": round(busy, 3),
                    "unit": "s",
                    "ratio": round(busy / free, 2) if free else "",
                },
            ]
    return [
        *found,
        {"what": "processor that the training run had meanwhile", "figure": spent[0], "unit": "cores"},
    ]


@contextmanager
def running_site() -> Iterator[server_supervisor.Supervisor]:
    """Broker, worker, training worker, repair loop and web server over this process's data folder."""
    quiet = {"DATA_DIR": str(settings.DATA_DIR), "DEMO": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    quiet |= {name: str(number) for name, number in FEW.items()}
    site = server_supervisor.Site(
        base=settings.BASE_DIR, data=settings.DATA_DIR, port=free_port(), workers=settings.WORKERS,
        broker=settings.EMBEDDED_BROKER, environment=quiet,
    )  # fmt: skip
    supervisor = server_supervisor.Supervisor(site)
    try:
        supervisor.wait_until_serving("localhost")
        yield supervisor
    finally:
        supervisor.stop()
        supervisor.process.wait(60)


def read(films: Sequence[Film], every: float = EVERY) -> dict[str, list[float]]:
    """Queue the films one after the other, wait until all are read, and return how long each waited and was read."""
    version = versions.production()
    if version is None:
        raise AssertionError("no model is in production")
    Prediction.objects.filter(film__in=films).delete()
    for film in films:
        Prediction.objects.create(film=film, model_version=version)
        queue.notify_worker()
        time.sleep(every)
    answers = Prediction.objects.filter(film__in=films, state__in=Prediction.FINAL)
    wait_for(lambda: answers.count() == len(films), 300, every=0.5)
    names = {"waits": "waiting_seconds", "is read in": "reading_seconds"}
    return {
        what: [float(value) for value in answers.values_list(name, flat=True)] for what, name in names.items()
    }


@contextmanager
def training_beside(supervisor: server_supervisor.Supervisor) -> Iterator[list[float]]:
    """Keep a run learning meanwhile; the list then holds the share of a core that it had."""
    confirm_films(SHARES, version=versions.production())
    with override_settings(**FEW):
        run = runs.request(
            make_user("staff"), mode="whole", from_production=True, architecture="", epochs=EPOCHS, seed=1,
            reason="Bench",
        )  # fmt: skip
    queue.notify_training_worker()
    wait_for(lambda: learning(run), 300, every=0.5)
    (child,) = [pid for pid in descendants(supervisor.process.pid) if "ml.train" in command_of(pid)]
    spent: list[float] = []
    begun, used = time.monotonic(), processor_seconds(child)
    yield spent
    spent.append((processor_seconds(child) - used) / (time.monotonic() - begun))
    if not learning(run):
        raise AssertionError("the training run ended before the films were read")
    runs.cancel(run, run.by)
    wait_for(lambda: not TrainingRun.objects.running().exists(), 60, every=0.5)


def learning(run: TrainingRun) -> bool:
    """The run has finished an epoch and goes on."""
    run.refresh_from_db()
    if run.state in ("failed", "cancelled", "succeeded"):
        raise AssertionError(f"the run ended: {run.failure}")
    return bool(run.state == TrainingRun.State.RUNNING and run.history)


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and its threads (Linux, proc(5))."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def at(share: float, values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
