"""The tables. Rules that must always hold are constraints of the database, not habits of the code."""

from diagnosis.models.audit import AccessLog
from diagnosis.models.clinical import Film, Patient, Study
from diagnosis.models.evaluation import Evaluation, EvaluationFilm
from diagnosis.models.promotion import OperatingPoint, PromotionRequest, PromotionRules
from diagnosis.models.reading import Prediction, PredictionQuerySet, Review
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

__all__ = [
    "AccessLog",
    "AppendOnly",
    "Evaluation",
    "EvaluationFilm",
    "Film",
    "Fingerprint",
    "ModelVersion",
    "NearIdentical",
    "OperatingPoint",
    "Patient",
    "Prediction",
    "PredictionQuerySet",
    "PromotionRequest",
    "PromotionRules",
    "Review",
    "ShadowAnswer",
    "ShadowRun",
    "SplitEntry",
    "SplitGroup",
    "StageChange",
    "Study",
    "TrainingRun",
    "TrainingRunQuerySet",
]
