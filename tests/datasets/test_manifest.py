"""What a run learns from: said before it starts, frozen when it does."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from diagnosis.datasets import base_folder, manifest
from diagnosis.models import NearIdentical, SplitEntry, SplitGroup, Study
from diagnosis.reading import reviews
from tests.support.factories import AnswerFactory, FilmFactory, ModelVersionFactory, StudyFactory, make_user
from tests.support.radiographs import chest, data_set, png
from tests.support.training_data import confirm_films

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small(settings: Any, tmp_path: Path) -> None:
    settings.TRAINING_DIR = tmp_path / "training"
    settings.TRAINING_MIN_FILMS, settings.TRAINING_MIN_VALIDATION = 2, 1


def test_without_any_label_it_says_what_to_do() -> None:
    assert manifest.outlook().problems == [
        "No film has a confirmed label. Reviewers confirm films in the review list; a base folder (BASE_DATASET) can "
        "give more."
    ]


def test_a_missing_class_is_named_with_the_number_that_is_needed() -> None:
    films = confirm_films({"train": (3, 1), "validation": (0, 2)})
    problems = manifest.outlook().problems
    assert len(problems) == 2
    assert "Training has 1 pneumonia film, and at least 2 are needed: 1 more" in problems[0]
    assert "Validation has 0 normal films, and at least 1" in problems[1]
    with pytest.raises(manifest.NotEnough, match="Training has 1 pneumonia film"):
        manifest.freeze()
    assert len(films) == 6


def test_a_run_without_holdout_is_possible_and_warned_of() -> None:
    confirm_films({"train": (2, 2), "validation": (1, 1)})
    found = manifest.outlook()
    assert found.problems == []
    assert "Holdout has no normal and no pneumonia film" in found.warnings[0]


def test_the_frozen_list_names_film_label_reviewer_share_and_hash() -> None:
    reviewer = make_user("reviewer")
    films = confirm_films({"train": (2, 2), "validation": (1, 1), "holdout": (1, 0)}, reviewer=reviewer)
    Study.objects.filter(pk=films[0].study_id).update(view="AP")
    entries, notes = manifest.freeze()
    assert notes == []
    assert [entry.film for entry in entries] == [film.pk for film in films]
    assert Counter((e.share, e.label) for e in entries)["holdout", "NORMAL"] == 1
    assert entries[0].sha256 == films[0].sha256
    assert entries[0].confirmed_by == reviewer.pk
    content = manifest.as_csv(entries)
    assert manifest.from_csv(content) == entries
    assert [entry.view for entry in entries] == ["AP", *[""] * 6]
    before = re.sub(rb",[^,\n]*\n", b"\n", content)
    assert [entry.view for entry in manifest.from_csv(before)] == [""] * 7
    assert manifest.as_csv(manifest.freeze()[0]) == content


def test_a_film_whose_file_is_gone_is_said_and_left_out() -> None:
    films = confirm_films({"train": (3, 2), "validation": (1, 1)})
    default_storage.delete(str(films[0].file.name))
    assert f"Film {films[0].pk} is left out: the file is gone." in manifest.outlook().warnings[0]
    entries, notes = manifest.freeze()
    assert films[0].pk not in {entry.film for entry in entries}
    assert notes == [f"Film {films[0].pk} is left out: the file is gone or cannot be read."]


def test_of_a_pair_on_two_sides_the_learning_side_loses_its_film() -> None:
    films = confirm_films({"train": (3, 2), "validation": (1, 1), "holdout": (1, 1)})
    NearIdentical.objects.create(film=films[0], other=films[-1], bits=3)
    entries, notes = manifest.freeze()
    assert {film.pk for film in films} - {entry.film for entry in entries} == {films[0].pk}
    assert "another side of the split" in notes[0]


def test_an_unreadable_verdict_confirms_nothing() -> None:
    answer = AnswerFactory(model_version=ModelVersionFactory())
    reviews.record(make_user("reviewer"), answer, "unreadable")
    assert manifest.outlook().total == Counter()


# ---------------------------------------------------------------- base folder


def test_a_missing_base_folder_is_said(settings: Any, tmp_path: Path) -> None:
    settings.BASE_DATASET = tmp_path / "nowhere"
    assert "lacks NORMAL/ and PNEUMONIA/" in manifest.outlook().problems[0]
    with pytest.raises(base_folder.BaseUnusable):
        manifest.freeze()


def test_base_films_are_split_by_patient_once_and_read_once(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BASE_DATASET = data_set(tmp_path / "base", 15)
    (settings.BASE_DATASET / "NORMAL" / "broken.png").write_bytes(b"no picture")
    entries, notes = manifest.freeze()
    assert "1 film(s) of the base folder left out" in notes[0]
    assert len(entries) == 40
    sides: dict[str, set[str]] = {}
    for entry in entries:
        sides.setdefault(entry.patient, set()).add(entry.share)
    assert len(sides) == 30
    assert all(len(shares) == 1 for shares in sides.values())
    expected = manifest.outlook().base
    assert sum(expected.values()) == 41
    monkeypatch.setattr(base_folder, "_read", lambda *_: pytest.fail("read again"))
    assert manifest.freeze()[0] == entries


def test_a_site_film_that_is_in_the_base_folder_joins_the_side_of_its_patient(
    settings: Any, tmp_path: Path
) -> None:
    settings.BASE_DATASET = data_set(tmp_path / "base", 15)
    manifest.freeze()
    name = "person105_virus_0"
    film = FilmFactory(data=png(chest(1050, True)), study=StudyFactory())
    answer = AnswerFactory(film=film, model_version=ModelVersionFactory())
    reviews.record(make_user("reviewer"), answer, "pneumonia")
    shares = {e.patient: e.share for e in manifest.freeze()[0]}
    assert NearIdentical.objects.get().base_file == f"PNEUMONIA/{name}.png"
    assert shares[str(film.patient_id)] == shares["base person105"]
    assert SplitEntry.objects.get(patient=film.patient).group == SplitGroup.objects.get(
        entries__base_patient="person105"
    )
