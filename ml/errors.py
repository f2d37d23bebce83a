"""Errors of `ml` that end a command with a sentence."""

from __future__ import annotations


class ArtifactError(ValueError):
    """A model folder that is incomplete, changed or unreadable; `str()` names the file."""


class DatasetError(ValueError):
    """A folder that is no data set; `str()` says what is missing."""


class ResumeError(RuntimeError):
    """The folder holds the unfinished training of something else."""


class TrainingError(RuntimeError):
    """A training that cannot start; `str()` says why."""


class WeightsError(ValueError):
    """A file that does not hold the weights; `str()` says why."""
