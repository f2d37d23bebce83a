"""The process in which a network learns: in left-over time, few threads, no secrets; it ends with its worker."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from django.conf import settings

from pneumoweb.server.supervisor import BOUND

PROGRAM = "python -m ml.train"
KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "KERAS_BACKEND",
    "CUDA_VISIBLE_DEVICES",
)
"""Of the worker's environment: never its keys and passwords."""
LISTEN = 0.5
YIELDING = (sys.executable, "-I", str(BOUND.with_name("exec_idle.py")))
"""In whatever session the readers are, a run has the time that reading films leaves over."""


class ChildFailed(Exception):
    """The training says in a sentence why it cannot be done; to repeat it would not help."""


class ChildStumbled(Exception):
    """The process was killed or broke off; the next one goes on from the last epoch."""


def run_child(
    arguments: list[str], log: Path, heard: Callable[[dict[str, Any]], None], beat: Callable[[], None]
) -> None:
    """Run the training, pass on what it says, and call `beat` at least twice a second. What `beat` raises ends it.

    Raises ChildFailed and ChildStumbled.
    """
    command = [
        sys.executable,
        "-I",
        str(BOUND),
        *YIELDING,
        sys.executable,
        "-m",
        "ml.train",
        *arguments,
    ]
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own words, and paths of our own
            command, cwd=settings.BASE_DIR, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, text=True,
        )  # fmt: skip
    try:
        _listen(process, heard, beat)
    finally:
        _end(process)
    if process.returncode:
        raise _what_happened(process.returncode, log)


def _listen(
    process: subprocess.Popen[str], heard: Callable[[dict[str, Any]], None], beat: Callable[[], None]
) -> None:
    lines: queue.Queue[str | None] = queue.Queue()
    if process.stdout is None:
        raise AssertionError("the output is a pipe")
    threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=LISTEN)
        except queue.Empty:
            line = ""
        if line is None:
            break
        if line.startswith("{"):
            heard(json.loads(line, parse_constant=lambda _: None))
        beat()
    while process.poll() is None:
        beat()
        threading.Event().wait(LISTEN)


def _pump(source: IO[str], lines: "queue.Queue[str | None]") -> None:
    for line in source:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _what_happened(status: int, log: Path) -> Exception:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if status > 0 and last.startswith(f"{PROGRAM}:"):
        return ChildFailed(last.removeprefix(f"{PROGRAM}:").strip())
    return ChildStumbled(f"the training process was ended by signal {-status}" if status < 0 else last[:300])


def _environment() -> dict[str, str]:
    threads = str(settings.TRAINING_THREADS)
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        **dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
            threads,
        ),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONUNBUFFERED": "1",
    }
