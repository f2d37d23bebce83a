"""How the commands that train and measure end where they cannot: a sentence on standard error, and a status."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from ml.errors import ArtifactError, DatasetError, ResumeError, TrainingError, WeightsError
from ml.images.errors import ImageError
from ml.training.loop import Progress

FAILURES = (TrainingError, DatasetError, ArtifactError, ResumeError, WeightsError, ImageError, OSError)


def told(program: str, error: Exception) -> int:
    """Say what failed, and return the status: 1 for a file that cannot be read or written, 2 for a wrong command."""
    status, what = 2, ""
    if isinstance(error, ImageError):
        status, what = 1, "a film could not be read: "
    elif isinstance(error, OSError):
        status, what = 1, "a file could not be read or written: "
    print(f"{program}: {what}{error}", file=sys.stderr)
    return status


class _Lines:
    """Progress for another program: JSON objects on standard output, a line each, at most about three a second."""

    def __init__(self) -> None:
        self.last = 0.0

    def stage(self, words: str) -> None:
        print(json.dumps({"stage": words}), flush=True)

    def __call__(self, progress: Progress) -> None:
        if progress.finished_epoch or time.monotonic() - self.last > 0.3:
            self.last = time.monotonic()
            print(json.dumps(asdict(progress)), flush=True)


class Bar:
    """The progress bar of a training: one line for all epochs, on standard error."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: tqdm[Any] | None = None

    def __call__(self, progress: Progress) -> None:
        if self.bar is None:
            total, done = progress.epochs * progress.steps, (progress.epoch - 1) * progress.steps
            self.bar = tqdm(total=total, initial=done, unit="batch", file=sys.stderr, desc=self.title)
        self.bar.n = (progress.epoch - 1) * progress.steps + progress.step
        self.bar.set_postfix_str(
            f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}, AUC {progress.auc:.3f}",
            refresh=False,
        )
        self.bar.update(0)
        if row := progress.finished_epoch:
            self.bar.write(
                f"epoch {progress.epoch}: loss {row['loss']:.4f}, validation loss {row['val_loss']:.4f}, "
                f"AUC {row['auc']:.4f}, validation AUC {row['val_auc']:.4f}",
                file=sys.stderr,
            )
            if progress.epoch == progress.epochs:
                self.bar.close()
