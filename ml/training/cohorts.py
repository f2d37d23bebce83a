"""What a training is made of: the films of one or two populations in memory, split, and what is known of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data import dataset
from ml.data.dataset import LabelledFilm
from ml.errors import TrainingError
from ml.images import perturbations
from ml.images.preprocessing import Preparation, ready
from ml.images.radiograph import Radiograph
from ml.metrics import classification
from ml.metrics.classification import THRESHOLD, rows_of, subgroup
from ml.serving.runtime import Runtime, run_all
from ml.training import loop, recipes
from ml.training.sampler import Also, Films, Stored

SECOND_SHARE = 0.25
"""Share of a second population's films that is held back where the others train."""


@dataclass(frozen=True)
class About:
    """What the films cannot say of themselves. `age_years` are the youngest and oldest; None where not known.
    `flattered` is why the figures look better than they are, where that is known."""

    data: str = "Films of the given folder."
    population: str = "The patients of the training films."
    age_years: tuple[float, float] | None = None
    refuse_from_years: float | None = None
    evidence: str = "It was not tested on patients of any other kind."
    flattered: str = ""

    @classmethod
    def read(cls, path: Path) -> About:
        """From a JSON file. Raises `TrainingError` where it is none."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            ages = content.get("age_years")
            return cls(**{**content, "age_years": tuple(ages) if ages else None})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TrainingError(f"{path} does not describe films: {error}.") from error


@dataclass(frozen=True)
class Proof:
    """Further films to measure the new model with; none of them trains it.

    `second_population`: a data set of other patients; half of them widens the gate's limits, the other half and its
    labels are measured. `full_size`: larger originals of training films, of the same file names. `repeats`: a model
    made before by the same training. `gate_of`: a model whose gate is taken over rather than fitted anew.
    """

    second_population: Path | None = None
    second_name: str = "films of a second population"
    full_size: Path | None = None
    repeats: Path | None = None
    gate_of: Path | None = None


@dataclass(frozen=True)
class Second:
    """A second population to train with: a folder with labels (films without one only try the gate), and the share
    of each batch that its films fill. A quarter of its patients is held back, and judges."""

    directory: Path
    share: float = 0.25
    name: str = "films of a second population"


@dataclass
class Prepared:
    """A data set in memory."""

    split: dataset.Split
    recipe: recipes.Recipe
    preparation: Preparation
    films: list[LabelledFilm]
    train: Stored
    train_targets: NDArray[np.int64]
    validation: list[Radiograph] = field(repr=False)
    validation_films: Films = field(repr=False)
    validation_targets: NDArray[np.int64] = field(repr=False)
    judged: Films = field(repr=False)

    @property
    def validation_patients(self) -> list[str]:
        return [film.patient for film in self.split.validation]


def prepare(films: list[LabelledFilm], split: dataset.Split, side: int, recipe: recipes.Recipe) -> Prepared:
    """Read the films of both sides of the split. Raises `ImageError` for a film that cannot be read."""
    validation = dataset.read(split.validation)
    preparation = Preparation(side, recipe.preprocessing)
    films_ready = ready(validation, preparation)
    return Prepared(
        split=split,
        recipe=recipe,
        preparation=preparation,
        films=films,
        train=loop.load_films(split.train, recipe),
        train_targets=np.array([film.target for film in split.train]),
        validation=validation,
        validation_films=films_ready,
        validation_targets=np.array([film.target for film in split.validation]),
        judged=ready(perturbations.every_second_changed(validation), preparation)
        if recipe.judge_changed
        else films_ready,
    )


class SecondPopulation:
    """Films of other patients. Some widen the gate, and train where that is wished; the others measure."""

    def __init__(self, proof: Proof, also: Second | None, seed: int) -> None:
        folder = also.directory if also else proof.second_population
        self.name = also.name if also else proof.second_name
        self.also = also
        self.films = dataset.read_folder(folder) if folder else []
        self.pictures = dataset.read(self.films)
        if also:
            labelled = [film for film in self.films if film.said]
            measuring = {film.patient for film in dataset.split(labelled, SECOND_SHARE, seed).validation}
        else:
            patients = sorted({film.patient for film in self.films})
            order = np.random.default_rng([seed, 303]).permutation(len(patients))
            measuring = {patients[i] for i in order[len(patients) // 2 :]}
        self.limiting = [i for i, film in enumerate(self.films) if film.patient not in measuring]
        self.held_back = [i for i, film in enumerate(self.films) if film.patient in measuring]
        trained = set(self.limiting) if also else set()
        self.training = [i for i in self.limiting if also and self.films[i].label]
        self.measured = [i for i, film in enumerate(self.films) if film.label and i not in trained]

    @property
    def doubtful(self) -> list[LabelledFilm]:
        """Films with a label that nobody learns from or is measured by; they try the gate alone."""
        return [film for film in self.films if film.doubtful]

    @property
    def hashes(self) -> dict[str, str]:
        """Of all films, and of those that are held back where the others train."""
        held_back = dataset.data_hash(self.films[i] for i in self.held_back)
        return {"hash": dataset.data_hash(self.films), "held_back_hash": held_back}

    def pictures_of(self, rows: Sequence[int]) -> list[Radiograph]:
        return [self.pictures[i] for i in rows]

    def targets(self, rows: Sequence[int]) -> NDArray[np.int64]:
        return np.array([self.films[i].target for i in rows], dtype=np.int64)

    def for_training(self, recipe: recipes.Recipe, side: int) -> Also | None:
        if not self.also:
            return None
        return Also(
            loop.load_films([self.films[i] for i in self.training], recipe),
            self.targets(self.training),
            self.also.share,
            ready(self.pictures_of(self.measured), Preparation(side, recipe.preprocessing)),
            self.targets(self.measured),
        )

    def logits(self, runtime: Runtime, preparation: Preparation) -> NDArray[np.float64]:
        """Of the films that measure, in their order."""
        if not self.measured:
            return np.zeros(0)
        return run_all(runtime, ready(self.pictures_of(self.measured), preparation)).logits.astype(np.float64)

    def measure(
        self, logits: NDArray[np.float64], temperature: float, seed: int
    ) -> classification.Metrics | None:
        """All figures on the labelled films; None where a class is missing."""
        targets = self.targets(self.measured)
        if len(set(targets.tolist())) < 2:
            return None
        patients = [self.films[i].patient for i in self.measured]
        return classification.measure(
            targets, classification.sigmoid(logits / temperature), THRESHOLD, patients, seed
        )

    def subgroups(self, logits: NDArray[np.float64], temperature: float, seed: int) -> list[dict[str, Any]]:
        """Figures of all the films that measure, and of each subfolder and view of them."""
        films = [self.films[i] for i in self.measured]
        return subgroups(self.name, films, classification.sigmoid(logits / temperature), seed)

    def ages(self) -> tuple[float, float] | None:
        """Between these are nearly all films that measure; None where no age is known."""
        known = [age for i in self.measured if (age := self.films[i].age_years) is not None]
        return classification.range_of_most(known) if known else None


def subgroups(
    name: str, films: Sequence[LabelledFilm], probabilities: NDArray[np.float64], seed: int
) -> list[dict[str, Any]]:
    """Figures of all of these films, and where there are several, of those of each subfolder and view."""
    targets = np.array([film.target for film in films], dtype=np.int64)
    patients = [film.patient for film in films]
    groups = {name: np.arange(len(films))}
    for kinds in ([film.path.parent.name for film in films], [film.view for film in films]):
        groups |= {f"{name}: {kind}": rows for kind, rows in rows_of(kinds, targets).items()}
    found = [subgroup(group, rows, targets, probabilities, patients, seed) for group, rows in groups.items()]
    return [row for row in found if row]
