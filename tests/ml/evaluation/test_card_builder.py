"""What a card tells of parts of the validation films."""

from pathlib import Path

import numpy as np

from ml.data.dataset import LABELS, LabelledFilm, Split
from ml.evaluation.card_builder import prove_subgroups
from ml.images.preprocessing import Preparation
from ml.images.radiograph import Radiograph
from ml.training import recipes
from ml.training.cohorts import Prepared, Proof, SecondPopulation
from tests.support.radiographs import chest


def test_views_and_kinds_of_pneumonia_are_told_apart() -> None:
    """Ten PA films, ten AP films of which one is read wrong, and four of whose view nothing is known."""
    targets = np.arange(24) % 2
    films = tuple(
        LabelledFilm(
            Path(f"person{place}_virus_1.png" if ill else f"IM-{place}.png"),
            LABELS[ill],
            str(place),
            "",
            view="PA" if place < 10 else "AP" if place < 20 else "",
        )
        for place, ill in enumerate(targets)
    )
    nothing = np.zeros((0, 62, 62, 1), dtype=np.float32)
    prepared = Prepared(
        split=Split((), films),
        recipe=recipes.RECIPES["sequential"],
        preparation=Preparation(62, recipes.RECIPES["sequential"].preprocessing),
        films=list(films),
        train=nothing,
        train_targets=np.zeros(0, dtype=np.int64),
        validation=[Radiograph(chest(place, bool(ill)), 8, "PNG") for place, ill in enumerate(targets)],
        validation_films=nothing,
        validation_targets=targets,
        judged=nothing,
    )
    said = np.where(targets == 1, 0.9, 0.1)
    said[10] = 0.7
    nobody = SecondPopulation(Proof(), None, seed=1)
    found = {row["group"]: row for row in prove_subgroups(prepared, nobody, said, np.zeros(0), 1.0, 1)}
    assert (found["PA films"]["n"], found["PA films"]["specificity"]) == (10, 1)
    assert (found["AP films"]["n"], found["AP films"]["specificity"]) == (10, 0.8)
    assert found["viral pneumonia, beside all normal films"]["n"] == 24
    assert "softest quarter of the films" in found
