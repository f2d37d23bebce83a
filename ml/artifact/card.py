"""What a model version's card holds (card.json)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

OPTIONAL = {
    "initialisation", "subgroups", "origin", "operating_points", "failures", "reference", "views", "files",
}  # fmt: skip
"""What the card of an older version may lack."""


@dataclass
class Card:
    """What a model version is, how it was made, and how good it was found to be. All figures were measured."""

    name: str
    architecture: str
    created: str
    input_size: int
    preprocessing: str
    labels: list[str]
    threshold: float
    threshold_method: str
    calibration: dict[str, Any]
    heatmap: dict[str, Any]
    gate: dict[str, Any]
    population: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Any]
    metrics_method: str
    history: list[dict[str, Any]]
    best_epoch: int
    roc: list[list[float]]
    reliability: list[dict[str, float]]
    stress: list[dict[str, Any]]
    agreement: dict[str, Any]
    runtime: str
    seed: int
    parameters: int
    training: dict[str, Any]
    versions: dict[str, str]
    reproducibility: str
    initialisation: dict[str, str] = field(default_factory=dict)
    subgroups: list[dict[str, Any]] = field(default_factory=list)
    origin: dict[str, Any] = field(default_factory=dict)
    operating_points: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, Any] = field(default_factory=dict)
    reference: dict[str, Any] = field(default_factory=dict)
    views: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
