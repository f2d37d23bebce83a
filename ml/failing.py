"""How the commands that train and measure end where they cannot: a sentence on standard error, and a status."""

from __future__ import annotations

import sys

from ml.artifact import ArtifactError
from ml.dataset import DatasetError
from ml.fitting import ResumeError
from ml.images import ImageError
from ml.material import TrainingError
from ml.weights import WeightsError

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
