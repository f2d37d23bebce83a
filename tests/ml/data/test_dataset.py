"""Films on disk: who the patient is, and a split that never shares one."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data import dataset
from ml.data.dataset import LABELS, LabelledFilm, folds, patient_of, read_folder, split
from ml.errors import DatasetError
from tests.support.dicoms import dx
from tests.support.radiographs import data_set, grey, png


def made(label: dataset.Label, patient: str, content: str, side: str | None = None) -> LabelledFilm:
    fixed: Literal["train", "validation"] | None
    fixed = "train" if side == "train" else "validation" if side == "validation" else None
    return LabelledFilm(Path(f"{patient}-{content}.png"), label, patient, content, side=fixed)


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person1000_bacteria_2931.jpeg", "person1000"),
        ("person1000_virus_1681.jpeg", "person1000"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0543-0001-0002.jpeg", "IM-0543"),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-0115"),
        ("film of Tuesday.png", "NORMAL/film of Tuesday.png"),
    ],
)
def test_the_patient_is_in_the_name(name: str, patient: str) -> None:
    assert patient_of(Path("NORMAL") / name) == patient


def test_folders_are_read_in_a_stable_order(tmp_path: Path) -> None:
    films = read_folder(data_set(tmp_path / "films", 4))
    assert dataset.counts(films) == {"NORMAL": 6, "PNEUMONIA": 6, "patients": 8}
    assert [film.path for film in films] == [film.path for film in read_folder(tmp_path / "films")]
    assert {film.target for film in films if film.label == "PNEUMONIA"} == {1}


def test_other_files_in_the_folders_are_left_out(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "films", 2)
    (folder / "NORMAL" / "Thumbs.db").write_bytes(b"x")
    assert all(film.path.suffix == ".png" for film in read_folder(folder))


def test_a_table_gives_label_patient_age_and_side(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(grey()))
    (tmp_path / "labels.csv").write_text(
        "file,label,patient,age_years,view,split\na.png,normal,7,3.5,ap,validation\nb.png,,,,,\n",
        encoding="utf-8-sig",
    )
    first, second = read_folder(tmp_path)
    assert (first.label, first.patient, first.age_years) == ("NORMAL", "7", 3.5)
    assert (first.view, first.side) == ("AP", "validation")
    assert (second.label, second.age_years, second.view, second.side) == (None, None, "", None)
    assert second.patient.endswith("b.png")
    with pytest.raises(DatasetError, match=r"b\.png has no label"):
        _ = second.target


def test_a_doubtful_label_is_no_label_and_changes_nothing_of_the_split(tmp_path: Path) -> None:
    rows = [(label, number) for label in LABELS for number in range(12)]
    for label, number in rows:
        (tmp_path / f"{label}-{number}.png").write_bytes(png(grey(seed=number + 12 * LABELS.index(label))))

    def read(doubted: int) -> list[LabelledFilm]:
        lines = ["file,label,doubtful"]
        for label, number in rows:
            cells = (",", label) if label == "PNEUMONIA" and number < doubted else (label, ",")
            lines.append(f"{label}-{number}.png,{''.join(cells)}")
        (tmp_path / "labels.csv").write_text("\n".join(lines))
        return read_folder(tmp_path)

    believed, doubted = read(0), read(4)
    assert dataset.counts(doubted) == {"NORMAL": 12, "PNEUMONIA": 8, "patients": 24}
    assert [film.doubtful for film in doubted if not film.label] == ["PNEUMONIA"] * 4
    assert dataset.data_hash(believed) == dataset.data_hash(doubted)
    first, second = split(believed, 0.3, 2), split(doubted, 0.3, 2)
    assert first.hash == second.hash
    assert [film.path for film in first.validation] == [film.path for film in second.validation]
    # Where none of a class is believed, a side lacks it.
    with pytest.raises(DatasetError, match="No PNEUMONIA films"):
        split(read(12), 0.3, 2)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name,label\na.png,NORMAL\n", "columns file and label"),
        ("file,label\nmissing.png,NORMAL\n", r"line 2: there is no file missing\.png"),
        ("file,label\na.png,ILL\n", "the label is ILL"),
        ("file,label,doubtful\na.png,,ILL\n", "the doubtful label is ILL"),
        ("file,label,doubtful\na.png,NORMAL,NORMAL\n", "believed or doubtful, not both"),
        ("file,label,age_years\na.png,NORMAL,old\n", "the age is old"),
        ("file,label,view\na.png,NORMAL,LL\n", "the view is LL, not PA or AP"),
        ("file,label,split\na.png,NORMAL,test\n", "the split is test"),
        ("file,label\n", "names no films"),
    ],
)
def test_a_wrong_table_is_told_by_its_line(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "a.png").write_bytes(png(grey()))
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(DatasetError, match=words):
        read_folder(tmp_path)


def test_an_empty_folder_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither"):
        read_folder(tmp_path)
    for label in dataset.LABELS:
        (tmp_path / label).mkdir()
    with pytest.raises(DatasetError, match="no PNG, JPEG or DICOM"):
        read_folder(tmp_path)


films_of_patients = st.lists(
    st.tuples(st.sampled_from(dataset.LABELS), st.integers(0, 25), st.integers(0, 60)),
    min_size=30,
    max_size=90,
)


@settings(max_examples=80, deadline=None)
@given(drawn=films_of_patients, seed=st.integers(0, 5))
def test_no_patient_and_no_picture_is_on_both_sides(
    drawn: list[tuple[dataset.Label, int, int]], seed: int
) -> None:
    films = [made(label, f"p{patient}", f"c{content}") for label, patient, content in drawn]
    try:
        result = split(films, 0.3, seed)
    except DatasetError:
        return  # so few independent patients that a class would be missing
    assert len(result.train) + len(result.validation) == len(films)
    for key in ("patient", "sha256"):
        sides = [{getattr(film, key) for film in side} for side in (result.train, result.validation)]
        assert not sides[0] & sides[1]


def many() -> list[LabelledFilm]:
    return [
        made("PNEUMONIA" if patient % 4 else "NORMAL", f"p{patient}", f"c{patient}-{number}")
        for patient in range(200)
        for number in range(1 + patient % 3)
    ]


def test_each_class_gives_its_share() -> None:
    result = split(many(), 0.2, 1)
    whole, held = dataset.counts(many()), dataset.counts(result.validation)
    for label in dataset.LABELS:
        assert held[label] / whole[label] == pytest.approx(0.2, abs=0.03)


def test_the_split_is_the_seed_s_and_not_the_order_s() -> None:
    first = split(many(), 0.2, 1)
    assert split(list(reversed(many())), 0.2, 1).hash == first.hash
    assert split(many(), 0.2, 2).hash != first.hash
    assert dataset.data_hash(reversed(many())) == dataset.data_hash(many())
    assert dataset.data_hash(many()[1:]) != dataset.data_hash(many())


def test_a_side_that_was_given_is_kept() -> None:
    films = [*many(), made("NORMAL", "kept", "k1", "validation"), made("NORMAL", "kept", "k2")]
    assert {film.patient for film in split(films, 0.2, 1).validation} >= {"kept"}
    films.append(made("NORMAL", "kept", "k3", "train"))
    with pytest.raises(DatasetError, match="both sides"):
        split(films, 0.2, 1)


def test_too_few_patients() -> None:
    with pytest.raises(DatasetError, match="more patients"):
        split([made("NORMAL", "a", "1"), made("PNEUMONIA", "b", "2")], 0.2, 1)


@settings(max_examples=40, deadline=None)
@given(drawn=films_of_patients, count=st.integers(2, 4))
def test_each_film_is_in_one_fold_and_no_patient_or_picture_in_two(
    drawn: list[tuple[dataset.Label, int, int]], count: int
) -> None:
    films = [made(label, f"p{patient}", f"c{content}") for label, patient, content in drawn]
    try:
        parts = folds(films, count)
    except DatasetError:
        return  # so few independent patients that a class would be missing
    assert sum(map(len, parts)) == len(films)
    for key in ("patient", "sha256"):
        seen = [getattr(film, key) for part in parts for film in {getattr(f, key): f for f in part}.values()]
        assert len(seen) == len(set(seen))


def test_folds_are_alike_and_the_seed_s() -> None:
    parts = folds(many(), 4, 1)
    whole = dataset.counts(many())
    for part in parts:
        for label in dataset.LABELS:
            assert dataset.counts(part)[label] == pytest.approx(whole[label] / 4, abs=3)
    assert folds(list(reversed(many())), 4, 1) == parts
    assert folds(many(), 4, 2) != parts
    with pytest.raises(DatasetError, match="3 patients of each class"):
        folds([made("NORMAL", "a", "1"), made("PNEUMONIA", "b", "2"), made("PNEUMONIA", "c", "3")], 3)


def test_a_folder_may_hold_dicom(tmp_path: Path) -> None:
    for label in LABELS:
        (tmp_path / label).mkdir()
        (tmp_path / label / "film.dcm").write_bytes(dx(LABELS.index(label)))
    assert [(film.path.name, film.label) for film in read_folder(tmp_path)] == [
        ("film.dcm", label) for label in LABELS
    ]
