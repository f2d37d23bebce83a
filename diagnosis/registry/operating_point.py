"""The site's operating point: a threshold chosen from its own confirmed films, for one version and one promotion.

One for the whole site, not one a clinic: patients move between clinics, and the same film must not get two answers.
"""

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Subquery

from diagnosis.datasets import splits
from diagnosis.models import ModelVersion, OperatingPoint, Prediction, SplitGroup, StageChange
from diagnosis.reading.ground_truth import confirmed
from diagnosis.registry import versions
from ml.metrics import classification
from ml.metrics.thresholds import threshold_for
from pneumoweb.accounts.models import User

PATIENTS_EACH = 20
"""Fewer patients with, or without, pneumonia give intervals too wide to choose by."""


class NotChosen(Exception):
    """The operating point cannot be chosen; the message says why and what is needed."""


@dataclass(frozen=True)
class Material:
    """Confirmed films that a version answered and did not learn from: targets (1 pneumonia) and probabilities."""

    targets: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    left_out: int = 0

    def patients_with(self, target: int) -> int:
        return len({p for p, t in zip(self.patients, self.targets, strict=True) if t == target})

    @property
    def lacks(self) -> str:
        """What is missing for a choice, in words; empty if nothing is."""
        ill, well = self.patients_with(1), self.patients_with(0)
        if min(ill, well) >= PATIENTS_EACH:
            return ""
        return (
            f"Confirmed films of at least {PATIENTS_EACH} patients with pneumonia and {PATIENTS_EACH} without are "
            f"needed; there are {ill} and {well}. Review more films, then come back."
        )


def threshold_of(version: ModelVersion) -> float | None:
    """Return the site's threshold for the version, None where that of its card holds."""
    point = in_force(version)
    return point.threshold if point else None


def in_force(version: ModelVersion) -> OperatingPoint | None:
    """Return the version's operating point unless a promotion or a later choice has ended it."""
    promotions = StageChange.objects.filter(stage=ModelVersion.Stage.PRODUCTION)
    latest = promotions.order_by("-pk").values("pk")[:1]
    point = OperatingPoint.objects.filter(version=version, promotion=Subquery(latest)).first()
    return point if point and point.threshold is not None else None


def material(version: ModelVersion) -> Material:
    """Gather what the choice is made by.

    The holdout stays locked, and films that the version may have learned from would flatter it: both are left out.
    """
    truth = {c.film_id: c for c in confirmed()}
    answered = Prediction.objects.answered().filter(model_version=version)
    rows = answered.values_list("film_id", "probability", "known")
    scores = {film: (p, known) for film, p, known in rows if film in truth}
    # As the page only looks, the ledger is not written: who has no share yet is taken as what they would get.
    shares = splits.expected({truth[film].patient_id for film in scores})
    usable = {SplitGroup.Share.VALIDATION.value}
    if not versions.learned_here(version):
        usable.add(SplitGroup.Share.TRAIN.value)
    films = sorted(
        film for film, (_, known) in scores.items() if not known and shares[truth[film].patient_id] in usable
    )
    return Material(
        [int(truth[film].label == "PNEUMONIA") for film in films],
        [float(scores[film][0] or 0.0) for film in films],
        [str(truth[film].patient_id) for film in films],
        left_out=len(scores) - len(films),
    )


def at_target(found: Material, sensitivity: float) -> dict[str, Any]:
    """Return the figures at the highest threshold that reaches `sensitivity`. Raises NotChosen for too few films."""
    if found.lacks:
        raise NotChosen(found.lacks)
    return at(found, threshold_for(found.targets, found.probabilities, sensitivity))


def at(found: Material, threshold: float) -> dict[str, Any]:
    """Return the figures at a threshold, with 95 % intervals, and how many patients they rest on."""
    figures = classification.measure(found.targets, found.probabilities, threshold, found.patients).as_dict()
    return {
        **figures,
        "threshold": threshold,
        "patients_ill": found.patients_with(1),
        "patients_well": found.patients_with(0),
    }


def choose(by: User, version: ModelVersion, sensitivity: float | None, reason: str) -> OperatingPoint:
    """Set the threshold for a target sensitivity, or with None go back to the card's.

    Raises NotChosen where the version is not in production, the reason is empty or films are too few.
    """
    if not reason.strip():
        raise NotChosen("Say why this operating point is chosen.")
    promotion = _promotion_of(version)
    if promotion is None:
        raise NotChosen(
            f"{version} is not in production any more. Nothing was changed; look at the page again."
        )
    figures = {} if sensitivity is None else at_target(material(version), sensitivity)
    return OperatingPoint.objects.create(
        version=version,
        promotion=promotion,
        threshold=figures.get("threshold"),
        target_sensitivity=sensitivity,
        figures=figures,
        by=by,
        reason=reason.strip()[:400],
    )


def restore(version: ModelVersion, by: User | None) -> OperatingPoint | None:
    """After a roll back: bring back the operating point under which the version last worked, if it had one."""
    promotions = StageChange.objects.filter(version=version, stage=ModelVersion.Stage.PRODUCTION)
    latest = list(promotions.order_by("-pk")[:2])
    if len(latest) < 2:
        return None
    now, last = latest
    before = OperatingPoint.objects.filter(promotion=last).first()
    if before is None or before.threshold is None:
        return None
    return OperatingPoint.objects.create(
        version=version,
        promotion=now,
        threshold=before.threshold,
        target_sensitivity=before.target_sensitivity,
        figures=before.figures,
        by=by,
        reason=f"Brought back by the roll back: {before.reason}"[:400],
    )


def _promotion_of(version: ModelVersion) -> StageChange | None:
    """Return the newest promotion if it is this version's."""
    latest = StageChange.objects.filter(stage=ModelVersion.Stage.PRODUCTION).order_by("-pk").first()
    return latest if latest and latest.version_id == version.pk else None
