"""The tables. Rules that must always hold are constraints of the database, not habits of the code."""

from diagnosis.models.audit import AccessLog, Listed
from diagnosis.models.base import AppendOnly
from diagnosis.models.batches import Arrival, ArrivalQuerySet, Batch
from diagnosis.models.evaluation import Evaluation, EvaluationFilm, ShadowAnswer, ShadowRun
from diagnosis.models.monitoring import WorkerSign
from diagnosis.models.patients import Film, Patient, Priority, Study
from diagnosis.models.predictions import Prediction, PredictionQuerySet
from diagnosis.models.promotion import OperatingPoint, PromotionRequest, PromotionRules
from diagnosis.models.registry import ModelVersion, StageChange
from diagnosis.models.reviews import Outcome, Review, ReviewLoan, ReviewWithdrawal
from diagnosis.models.training import (
    Fingerprint,
    NearIdentical,
    SplitEntry,
    SplitGroup,
    TrainingRun,
    TrainingRunQuerySet,
)
from diagnosis.models.worklist import WorklistRow

__all__ = [
    "AccessLog",
    "AppendOnly",
    "Arrival",
    "ArrivalQuerySet",
    "Batch",
    "Evaluation",
    "EvaluationFilm",
    "Film",
    "Fingerprint",
    "Listed",
    "ModelVersion",
    "NearIdentical",
    "OperatingPoint",
    "Outcome",
    "Patient",
    "Prediction",
    "PredictionQuerySet",
    "Priority",
    "PromotionRequest",
    "PromotionRules",
    "Review",
    "ReviewLoan",
    "ReviewWithdrawal",
    "ShadowAnswer",
    "ShadowRun",
    "SplitEntry",
    "SplitGroup",
    "StageChange",
    "Study",
    "TrainingRun",
    "TrainingRunQuerySet",
    "WorkerSign",
    "WorklistRow",
]
