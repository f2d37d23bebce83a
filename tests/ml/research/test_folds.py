"""A training judged on all films: every film once, by a network that had not seen it or its patient."""

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from ml.data import dataset
from ml.errors import DatasetError, ResumeError, TrainingError
from ml.research import fold_report, folds
from ml.research.folds import Plan, Population
from ml.training import loop
from ml.training.cohorts import Second
from tests.support.radiographs import data_set


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_set(tmp_path_factory.mktemp("others") / "films", 6)


@pytest.fixture(scope="module")
def plan(others: Path) -> Plan:
    return Plan(folds=2, epochs=1, also=Second(others, 0.25, "films of others"))


@pytest.fixture(scope="module")
def out(films: Path, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged") / "result"
    folds.judge(films, folder, plan)
    return folder


def test_every_film_is_read_once(films: Path, others: Path, out: Path) -> None:
    with (out / "answers.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    for name, folder in (("first", films), ("second", others)):
        read = Counter(row["file"] for row in rows if row["population"] == name)
        assert read == Counter(film.path.name for film in dataset.read_folder(folder))
    assert all(0 < float(row["probability"]) < 1 for row in rows)
    places: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        key = (row["population"], dataset.patient_of(Path(row["file"])))
        places.setdefault(key, set()).add(row["fold"])
    assert all(len(found) == 1 for found in places.values())


def test_the_result_is_whole(films: Path, others: Path, out: Path) -> None:
    found = json.loads((out / "folds.json").read_text())
    count = len(dataset.read_folder(films))
    assert found["together"]["n"] == sum(row["films"] for row in found["folds"]) == count
    assert len(found["together"]["stress"]) == 20
    (tn, fp), (fn, tp) = found["together"]["confusion"]
    assert tn + fp + fn + tp == count
    assert found["crossfit"]["parts"] == 2
    assert 0 <= found["together"]["origin"]["auc"] <= 1
    (whole,) = found["together"]["second"]
    assert (whole["group"], whole["n"]) == ("films of others", len(dataset.read_folder(others)))
    text = (out / "FOLDS.md").read_text()
    assert "films of others" in text
    assert text.count("\n| 1 |") == text.count("\n| 2 |") == 1
    assert not list(out.glob("*.unfinished"))


def test_a_card_tells_of_folds_of_its_own_films_alone(films: Path, out: Path, tmp_path: Path) -> None:
    known = dataset.data_hash(dataset.read_folder(films))
    told = fold_report.for_card(out, known)["sentence"]
    assert "2 of them" in told
    assert re.search(r"On \d+ films of others, in folds as well, AUC \d\.\d{3} \(", told)
    found = json.loads((out / fold_report.RESULT).read_text())
    (whole,) = found["together"]["second"]
    found["together"]["second"].append({**whole, "group": "films of others: PA", "n": 5})
    (tmp_path / fold_report.RESULT).write_text(json.dumps(found))
    assert "; PA, 5 of them, " in fold_report.for_card(tmp_path, known)["sentence"]
    found["together"]["second"] = whole
    (tmp_path / fold_report.RESULT).write_text(json.dumps(found))
    with pytest.raises(TrainingError, match=r"no result of ml\.research\.folds"):
        fold_report.for_card(tmp_path, known)
    (tmp_path / fold_report.RESULT).unlink()
    with pytest.raises(TrainingError, match="folds of other films"):
        fold_report.for_card(out, "0" * 64)
    with pytest.raises(TrainingError, match=r"no result of ml\.research\.folds"):
        fold_report.for_card(tmp_path, known)
    (tmp_path / "folds.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"no result of ml\.research\.folds"):
        fold_report.for_card(tmp_path, known)


def test_nobody_teaches_or_chooses_who_is_held_back(films: Path, plan: Plan) -> None:
    population = Population.read(films, plan)
    for number, fold in enumerate(population.folds):
        split = population.split(number, plan.seed)
        held = {film.patient for film in fold}
        teaching, choosing = ({film.patient for film in side} for side in (split.train, split.validation))
        assert not (held & teaching) | (held & choosing) | (teaching & choosing)
        assert len(fold) + len(split.train) + len(split.validation) == len(population.films)


def test_it_goes_on_with_the_folds_that_are_missing(
    films: Path,
    others: Path,
    plan: Plan,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = json.loads((out / "folds.json").read_text())
    begun = tmp_path / "begun"
    begun.mkdir()
    for name in ("fold-1.npz", "fold-2.npz"):
        shutil.copy2(out / name, begun / name)
    with pytest.raises(ResumeError, match="other films or settings"):
        folds.judge(films, begun, Plan(folds=2, epochs=2, also=plan.also))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a fold that was finished is trained again")

    monkeypatch.setattr(loop, "train_epochs", never)
    wished = ["--folds", "2", "--epochs", "1", "--also", str(others), "--second-name", "films of others"]
    assert folds.main([str(films), "--out", str(begun), *wished, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == before
    with pytest.raises(TrainingError, match="holds folds already"):
        folds.judge(films, begun, plan)


def test_wrong_wishes_are_told(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrainingError, match="no architecture lenet"):
        folds.judge(films, tmp_path / "x", Plan("lenet"))
    with pytest.raises(TrainingError, match="two folds"):
        folds.judge(films, tmp_path / "x", Plan(folds=1))
    with pytest.raises(DatasetError, match="patients of each class"):
        folds.judge(films, tmp_path / "x", Plan(folds=50))
    assert folds.main([str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "neither labels.csv" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
