"""Loaded into a real worker (`celery --include tests.support.broken_runtime`): makes it stumble where a test says so.

STOP_AT_STORE=N  the process that stores its N-th answer writes its number into STUMBLED and waits to be killed; once
POISON=NAME      a film of this file name kills the process that reads it, as a bug in a decoder may
"""

import os
import signal
import time
from itertools import count
from pathlib import Path

from diagnosis.inference import worker
from diagnosis.models import Prediction
from ml.images.radiograph import Radiograph
from ml.serving.predictor import Answer

_store, _read = worker._store, worker._read
_stores = count(1)


def store(prediction: Prediction, answer: Answer) -> None:
    flag = Path(os.environ["STUMBLED"])
    if next(_stores) == int(os.environ["STOP_AT_STORE"]) and not flag.exists():
        flag.with_suffix(".partial").write_text(str(os.getpid()))
        flag.with_suffix(".partial").rename(flag)
        time.sleep(120)
    _store(prediction, answer)


def read(prediction: Prediction) -> Radiograph:
    if prediction.film.name == os.environ["POISON"]:
        with Path(os.environ["STUMBLED"]).open("a") as deaths:
            deaths.write(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return _read(prediction)


if "STOP_AT_STORE" in os.environ:
    worker._store = store
if "POISON" in os.environ:
    worker._read = read
