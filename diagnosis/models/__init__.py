"""The tables. Rules that must always hold are constraints of the database, not habits of the code."""

from diagnosis.models.audit import AccessLog
from diagnosis.models.batches import Arrival, ArrivalQuerySet, Batch
from diagnosis.models.clinical import Film, Patient, Study
from diagnosis.models.reading import Prediction, PredictionQuerySet, Review
from diagnosis.models.registry import ModelVersion, StageChange
from diagnosis.models.rules import AppendOnly
from diagnosis.models.training import SplitEntry

__all__ = [
    "AccessLog",
    "AppendOnly",
    "Arrival",
    "ArrivalQuerySet",
    "Batch",
    "Film",
    "ModelVersion",
    "Patient",
    "Prediction",
    "PredictionQuerySet",
    "Review",
    "SplitEntry",
    "StageChange",
    "Study",
]
