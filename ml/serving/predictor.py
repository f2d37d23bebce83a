"""Answers of a model version for films."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.artifact.folder import GATE_FILE, KERAS_FILE, LITERT_FILE, SHIPPED, check
from ml.data import training_films
from ml.errors import ArtifactError
from ml.images.perceptual_hash import fingerprint
from ml.images.preprocessing import PREPROCESSINGS, Preparation, fit, standardise
from ml.images.radiograph import Radiograph
from ml.images.statistics import PictureStatistics, picture_statistics
from ml.metrics.classification import sigmoid
from ml.serving import gate, heatmap_checks, population
from ml.serving.heatmap import SMOOTHING, beyond_normal, to_unit
from ml.serving.runtime import Keras, LiteRT, Outputs, Runtime

BATCH = 16

KNOWN = (
    "The model learned from this film, or from one nearly the same: "
    "its answer here says little about how well it reads others."
)


@dataclass
class Answer:
    """What is said of one film. A rejected film has reasons, and neither label, probability nor heatmap.

    `probability` is that of pneumonia; `heatmap` (side, side) in 0..1 is the evidence for it, on one scale for all
    films; `receipt` names everything that the answer depends on, so that it can be made again and compared; `picture`
    says how bright and sharp the film is, for watching whether films change; `known` that the version learned from it
    (see ml.data.training_films), so that no figure may rest on this answer.
    """

    status: Literal["accepted", "rejected"]
    label: Literal["NORMAL", "PNEUMONIA"] | None
    probability: float | None
    threshold: float
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    heatmap: NDArray[np.float32] | None = None
    embedding: NDArray[np.float32] | None = None
    picture: PictureStatistics | None = None
    known: bool = False
    receipt: dict[str, str] = field(default_factory=dict)
    milliseconds: float = 0.0


class Predictor:
    """One model version, loaded and checked. Raises `ArtifactError` where the folder is not what its card says.

    Not for several threads at once: give each its own.
    """

    def __init__(
        self, model_dir: Path = SHIPPED, runtime: Literal["litert", "keras"] = "litert", threads: int = 1
    ) -> None:
        self.card = check(model_dir)
        self.name = self.card.name
        if self.card.preprocessing not in PREPROCESSINGS:
            raise ArtifactError(
                f"{model_dir} was trained with preprocessing {self.card.preprocessing}; "
                f"this release has {' and '.join(PREPROCESSINGS)}. Train it again or use the release that it came with."
            )
        self._reference = np.array(self.card.heatmap["reference"], dtype=np.float32)
        self._gate = gate.load_parameters(model_dir / GATE_FILE)
        self._learned = training_films.learned(self.card.data)
        weights = LITERT_FILE if runtime == "litert" and self.card.runtime == "litert" else KERAS_FILE
        self._runtime: Runtime
        if weights == LITERT_FILE:
            self._runtime = LiteRT(model_dir / LITERT_FILE, threads)
        else:
            self._runtime = Keras(model_dir / KERAS_FILE)
        self._receipt = {
            "model": self.name,
            "preprocessing": self.card.preprocessing,
            "weights_sha256": self.card.files[weights],
            "gate_sha256": self.card.files[GATE_FILE],
            "runtime": self._runtime.name,
        }

    def predict(
        self,
        films: Sequence[Radiograph],
        ages: Sequence[float | None] | None = None,
        threshold: float | None = None,
    ) -> list[Answer]:
        """One answer for each film, in order; all that pass the gate share one forward pass.

        `ages` are in years, None where not known; without them, nothing is said of age. `threshold` takes the place
        of the card's where a site chose its own operating point. `milliseconds` is each film's equal part of the time
        for all.
        """
        if ages is not None and len(ages) != len(films):
            raise ValueError("There must be one age for each film.")
        begun = time.perf_counter()
        small = [fit(film, gate.FINE_SIDE) for film in films]
        answers = [
            self._screen(film, small[i], None if ages is None else (ages[i],)) for i, film in enumerate(films)
        ]
        if threshold is not None:
            for answer in answers:
                answer.threshold = threshold
                answer.receipt["threshold"] = f"{threshold!r}, the site's operating point"
        accepted = [i for i, answer in enumerate(answers) if answer.status == "accepted"]
        if accepted:
            preparation = Preparation(self.card.input_size, self.card.preprocessing)
            fitted = [preparation.fit(films[i]) for i in accepted]
            prepared = np.stack([standardise(film) for film in fitted])[..., None]
            self._fill([answers[i] for i in accepted], self._runtime.run(prepared))
            self._look_at_maps([(small[i], answers[i]) for i in accepted])
            for i, film in zip(accepted, fitted, strict=True):
                answers[i].picture = picture_statistics(film)
            self._recognise([(films[i], answers[i]) for i in accepted])
        spent = (time.perf_counter() - begun) * 1000
        for answer in answers:
            answer.milliseconds = spent / len(answers)
        return answers

    def _screen(
        self, film: Radiograph, small: NDArray[np.float32], age: tuple[float | None] | None
    ) -> Answer:
        """The answer as far as gate and age decide it."""
        refused, warned = ([], []) if age is None else population.population_findings(self.card, age[0])
        reasons = gate.refusals(film, self._gate, small) + refused
        return Answer(
            status="rejected" if reasons else "accepted",
            label=None,
            probability=None,
            threshold=self.card.threshold,
            reasons=reasons,
            warnings=warned,
            receipt={"pixels_sha256": pixels_sha256(film), **self._receipt},
        )

    def _fill(self, answers: list[Answer], outputs: Outputs) -> None:
        probabilities = sigmoid(outputs.logits / self.card.calibration["temperature"])
        evidence = beyond_normal(outputs.maps, self._reference, self.card.heatmap.get("smoothing", SMOOTHING))
        scale, stride = self.card.heatmap["scale"], self.card.heatmap["stride"]
        heatmaps = to_unit(evidence, scale, stride, self.card.input_size)
        for answer, probability, heatmap, embedding in zip(
            answers, probabilities, heatmaps, outputs.embeddings, strict=True
        ):
            answer.probability = float(probability)
            answer.label = "PNEUMONIA" if answer.probability >= answer.threshold else "NORMAL"
            answer.heatmap = heatmap
            answer.embedding = embedding

    def _look_at_maps(self, answered: Sequence[tuple[NDArray[np.float32], Answer]]) -> None:
        """Warn where the evidence of a pneumonia lies where none can be; older cards set no limits for that."""
        limits = self.card.heatmap.get("sanity", {}).get("limits")
        for small, answer in answered:
            if limits and answer.label == "PNEUMONIA" and answer.heatmap is not None:
                found = heatmap_checks.warning(heatmap_checks.shares(small, answer.heatmap), limits)
                answer.warnings = [*answer.warnings, *([found] if found else [])]

    def _recognise(self, answered: Sequence[tuple[Radiograph, Answer]]) -> None:
        """Say of which films the version has learned, where the release knows the films of its training."""
        prints = [fingerprint(film) for film, _ in answered] if self._learned else []
        for place in training_films.among(prints, self._learned):
            answer = answered[place][1]
            answer.known = True
            answer.warnings = [*answer.warnings, KNOWN]


def pixels_sha256(film: Radiograph) -> str:
    """sha256 of size, depth and grey values: the same for a file and its re-encoded copy."""
    shape = f"{film.height}x{film.width} {film.pixels.dtype.str} ".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(film.pixels).tobytes()).hexdigest()
