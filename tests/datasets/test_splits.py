"""The split ledger: each patient on one side for ever, and those with the same picture on the same one."""

import io
from collections import Counter

import pytest
from django.db import IntegrityError, transaction
from PIL import Image

from diagnosis.datasets import splits
from diagnosis.datasets.base_folder import BaseFilm
from diagnosis.models import Film, Fingerprint, NearIdentical, SplitEntry, SplitGroup
from tests.support.factories import FilmFactory, PatientFactory, StudyFactory
from tests.support.radiographs import jpeg
from tests.support.samples import sample_films

pytestmark = pytest.mark.django_db


def film_of(picture: bytes) -> Film:
    """A film of a new patient."""
    return FilmFactory(data=picture, study=StudyFactory(patient=PatientFactory()))


def copy_of(number: int) -> bytes:
    """A sample at another size and in another format."""
    picture = Image.open(io.BytesIO(sample_films(number + 1)[number]))
    return jpeg(picture.resize((picture.width // 2, picture.height // 2)))


def test_a_share_is_given_once() -> None:
    patients = [PatientFactory().pk for _ in range(6)]
    first = splits.shares_of(patients)
    assert set(first) == set(patients)
    assert splits.shares_of(patients[:3]) == {pk: first[pk] for pk in patients[:3]}
    assert SplitEntry.objects.count() == 6


def test_shares_come_in_about_the_set_sizes_and_do_not_follow_the_number() -> None:
    drawn = Counter(splits.expected(range(1, 3001)).values())
    for share, size in splits.SHARES:
        assert abs(drawn[share] / 3000 - size) < 0.03


def test_the_database_gives_no_second_share_and_none_to_nobody() -> None:
    patient = PatientFactory()
    splits.shares_of([patient.pk])
    group = SplitGroup.objects.create(share="holdout")
    for wrong in ({"patient": patient}, {}, {"patient": PatientFactory(), "base_patient": "x"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            SplitEntry.objects.create(group=group, **wrong)
    with pytest.raises(TypeError):
        SplitGroup.objects.update(share="train")


def test_a_patient_with_the_picture_of_another_joins_its_side() -> None:
    """Enough of them that the same side cannot be chance."""
    first = [film_of(data) for data in sample_films(8)]
    before = splits.shares_of([film.patient_id for film in first])
    copies = [film_of(copy_of(seed)) for seed in range(8)]
    after = splits.shares_of([film.patient_id for film in copies])
    assert [after[film.patient_id] for film in copies] == [before[film.patient_id] for film in first]
    pairs = set(NearIdentical.objects.values_list("film", "other"))
    assert pairs == {(a.pk, b.pk) for a, b in zip(first, copies, strict=True)}
    groups = set(SplitEntry.objects.values_list("group", flat=True))
    assert len(groups) == 8


def test_two_films_of_one_patient_are_not_suspicious() -> None:
    film = film_of(sample_films(2)[1])
    FilmFactory(data=copy_of(1), study=film.study)
    splits.shares_of([film.patient_id])
    assert Fingerprint.objects.count() == 2
    assert not NearIdentical.objects.exists()


def test_a_newcomer_between_two_sides_goes_where_nothing_learns() -> None:
    one, two, new = (PatientFactory() for _ in range(3))
    for patient, share in ((one, "train"), (two, "holdout")):
        SplitEntry.objects.create(patient=patient, group=SplitGroup.objects.create(share=share))
    found = splits._shares({new.pk}, [(one.pk, new.pk), (new.pk, two.pk)])
    assert found == {new.pk: "holdout"}


def test_an_unreadable_film_is_like_no_other() -> None:
    film = film_of(b"no picture")
    splits.shares_of([film.patient_id])
    assert Fingerprint.objects.get().value == b""


def test_patients_of_the_base_folder_stand_in_the_same_ledger() -> None:
    films = [
        BaseFilm(f"NORMAL/{n}.png", "NORMAL", f"person{n}", 1, 1, f"hash {n // 2}", "00") for n in range(20)
    ]
    found = splits.base_shares(films)
    assert splits.base_shares(films) == found
    assert splits.expected(["person3"]) == {"person3": found["person3"]}
    # Byte-identical films bind their patients, two by two.
    assert all(found[f"person{n}"] == found[f"person{n + 1}"] for n in range(0, 20, 2))
    assert len(set(SplitEntry.objects.values_list("group", flat=True))) == 10
