"""The tables. Rules that must always hold are constraints of the database, not habits of the code."""

from diagnosis.models.audit import AccessLog
from diagnosis.models.batches import Arrival, ArrivalQuerySet, Batch
from diagnosis.models.clinical import Film, Patient, Priority, Study
from diagnosis.models.monitoring import WorkerSign
from diagnosis.models.reading import (
    Outcome,
    Prediction,
    PredictionQuerySet,
    Review,
    ReviewLoan,
    ReviewWithdrawal,
)
from diagnosis.models.registry import ModelVersion, StageChange
from diagnosis.models.rules import AppendOnly
from diagnosis.models.training import SplitEntry
from diagnosis.models.worklist import WorklistRow

__all__ = [
    "AccessLog",
    "AppendOnly",
    "Arrival",
    "ArrivalQuerySet",
    "Batch",
    "Film",
    "ModelVersion",
    "Outcome",
    "Patient",
    "Prediction",
    "PredictionQuerySet",
    "Priority",
    "Review",
    "ReviewLoan",
    "ReviewWithdrawal",
    "SplitEntry",
    "StageChange",
    "Study",
    "WorkerSign",
    "WorklistRow",
]
