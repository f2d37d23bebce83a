"""The tables. Rules that must always hold are constraints of the database, not habits of the code."""

from diagnosis.models.audit import AccessLog, Listed
from diagnosis.models.batches import Arrival, ArrivalQuerySet, Batch
from diagnosis.models.clinical import Film, Patient, Priority, Study
from diagnosis.models.evaluation import Evaluation, EvaluationFilm
from diagnosis.models.monitoring import WorkerSign
from diagnosis.models.promotion import OperatingPoint, PromotionRequest, PromotionRules
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
from diagnosis.models.shadow import ShadowAnswer, ShadowRun
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
