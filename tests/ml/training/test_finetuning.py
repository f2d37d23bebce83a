"""Training a part of a network: the classifier on embeddings, or the last stages."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.artifact import folder as artifact_folder
from ml.artifact.folder import CARD, KERAS_FILE, SHIPPED, SHIPPED_BEFORE
from ml.data.dataset import LabelledFilm, Split
from ml.images.preprocessing import AREA_MEANS, Preparation, fit, standardise
from ml.metrics import classification
from ml.networks import names, registry, sequential
from ml.serving import runtime as serving_runtime
from ml.serving.runtime import LiteRT
from ml.training import finetuning, loop, recipes
from ml.training.cohorts import Prepared
from tests.support.radiographs import chest, film, unit

INIT = SHIPPED_BEFORE[0]
SIDE = 62
FILMS = 24


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """Drawings; every second one is ill."""
    drawings = [chest(seed, seed % 2 == 0) for seed in range(2 * FILMS)]
    targets = np.array([1 - seed % 2 for seed in range(2 * FILMS)])
    labelled = tuple(
        LabelledFilm(Path(f"{n}.png"), "PNEUMONIA" if target else "NORMAL", f"patient {n}", str(n))
        for n, target in enumerate(targets)
    )
    ready = np.stack([standardise(fit(film(d), SIDE)) for d in drawings])[..., None]
    return Prepared(
        split=Split(labelled[:FILMS], labelled[FILMS:]),
        recipe=recipes.RECIPES["sequential"],
        preparation=Preparation(SIDE, AREA_MEANS),
        films=list(labelled),
        train=np.stack([unit(drawing) for drawing in drawings[:FILMS]]),
        train_targets=targets[:FILMS],
        validation=[film(drawing) for drawing in drawings[FILMS:]],
        validation_films=ready[FILMS:],
        validation_targets=targets[FILMS:],
        judged=ready[FILMS:],
    )


def start() -> keras.Model:
    return keras.saving.load_model(INIT / KERAS_FILE, compile=False, safe_mode=True)


def trained(prepared: Prepared, folder: Path, epochs: int = 30) -> tuple[keras.Model, loop.State, np.ndarray]:
    model = start()
    checkpoints = loop.Checkpoints(folder, {"task": "head"})
    state, doubts = finetuning.train_head(
        model, INIT, prepared, epochs=epochs, seed=3, checkpoints=checkpoints
    )
    return model, state, doubts


def test_a_classifier_learns_from_what_it_will_meet(tmp_path: Path) -> None:
    assert isinstance(finetuning._runtime_for(start(), INIT), LiteRT)
    model = registry.ARCHITECTURES["lite0"](64)
    shutil.copy(SHIPPED / CARD, tmp_path / CARD)
    card = json.loads((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps(card | {"views": ""}))
    runtime = finetuning._runtime_for(model, tmp_path)
    films = np.random.default_rng(1).standard_normal((3, 64, 64, 1)).astype(np.float32)
    np.testing.assert_allclose(
        runtime.run(films).embeddings,
        registry.serving_model(model)(films, training=False)["embedding"],
        atol=1e-5,
    )


def test_the_classifier_learns_and_nothing_else_changes(prepared: Prepared, tmp_path: Path) -> None:
    model, state, _ = trained(prepared, tmp_path)
    losses = [row["val_loss"] for row in state.history]
    before = classification.losses(loop.logits(start(), prepared.judged), prepared.validation_targets)
    assert min(losses) < before["val_loss"]
    assert state.best_epoch == 1 + losses.index(min(losses))
    for layer, untouched in zip(model.layers, start().layers, strict=True):
        same = all(map(np.array_equal, layer.get_weights(), untouched.get_weights()))
        assert same == (layer.name != sequential.CLASSES or not layer.weights)
    after = classification.losses(loop.logits(model, prepared.judged), prepared.validation_targets)
    assert after["val_loss"] == pytest.approx(min(losses), abs=1e-4)


def test_the_same_films_and_seed_give_the_same_classifier_also_after_a_break(
    prepared: Prepared, tmp_path: Path
) -> None:
    first, state, doubts = trained(prepared, tmp_path / "one", 5)
    again, state_2, doubts_2 = trained(prepared, tmp_path / "two", 5)
    # The embeddings of the first are there already, as after a kill.
    resumed, _, _ = trained(prepared, tmp_path / "one", 5)
    for other in (again, resumed):
        weights = other.get_layer(sequential.CLASSES).get_weights()
        assert all(map(np.array_equal, weights, first.get_layer(sequential.CLASSES).get_weights()))
    assert state.history == state_2.history
    assert np.array_equal(doubts, doubts_2)


def test_each_film_is_answered_by_a_classifier_without_its_patient() -> None:
    """Four films of one patient carry a mark of their own, which cannot be learned from others; one label is wrong."""
    generator = np.random.default_rng(1)
    targets = np.array([0, 1] * 20)
    embeddings = generator.normal(0, 0.1, (1, 40, 3)).astype(np.float32)
    embeddings[0, :, 0] += targets * 2 - 1
    targets[:4], embeddings[0, :4, 0], embeddings[0, :4, 2] = 1, 0, 5
    truth = targets == 1
    targets[11] = 1 - targets[11]
    patients = ["one"] * 4 + [f"p{n}" for n in range(36)]
    begun = finetuning.Head(np.zeros(3), 0.0)
    found = finetuning.crossfitted(begun, embeddings, targets, patients, 200, 1)
    *_, (knowing, _) = finetuning._epochs(begun, embeddings, targets, 200, 1)
    assert knowing.logits(embeddings[0, :4]).min() > 0.5
    assert abs(found[:4]).max() < 0.4
    assert ((found[4:] > 0) == truth[4:]).all()


@pytest.mark.parametrize("architecture", names.ARCHITECTURES)
def test_the_last_stages_alone_are_trainable(architecture: str) -> None:
    model = registry.ARCHITECTURES[architecture](registry.INPUT_SIDES[architecture])
    whole = model.count_params()
    finetuning.hold_first_stages(model)
    learning = {layer.name for layer in model.layers if layer.trainable and layer.weights}
    assert sequential.CLASSES in learning
    assert not any(name.startswith(("stem", "round1", "block0_", "block10_")) for name in learning)
    assert 0.3 < sum(int(np.prod(w.shape)) for w in model.trainable_variables) / whole < 0.999


def test_the_pages_offer_the_architectures_that_there_are() -> None:
    assert set(names.ARCHITECTURES) == set(registry.ARCHITECTURES)
    assert set(finetuning.LAST_LAYERS) == set(registry.ARCHITECTURES)
    assert names.ARCHITECTURES[0] == artifact_folder.load_card(artifact_folder.SHIPPED).architecture


def test_what_serves_a_version_gives_the_embeddings() -> None:
    assert isinstance(serving_runtime.runtime_of(INIT), LiteRT)
