"""`import_films`: a folder from the shell, killed and started again."""

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from diagnosis.models import Arrival, Batch, Film, Patient, Prediction
from pneumoweb.accounts.models import Clinic
from tests.support.factories import ModelVersionFactory, PatientFactory, make_user
from tests.support.pictures import png
from tests.support.processes import MANAGE, Broker, Child, wait_for


@pytest.fixture
def clinic(db: None) -> Clinic:
    ModelVersionFactory(stage="production")
    return make_user("clinician").clinic  # type: ignore[return-value]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "sub").mkdir(parents=True)
    for name, seed in {
        "person7_bacteria_1.png": 1,
        "person7_bacteria_2.png": 2,
        "sub/person8_virus_1.png": 3,
    }.items():
        (folder / name).write_bytes(png(seed))
    (folder / "Thumbs.db").write_bytes(b"x")
    return folder


def run(folder: Path, clinic: Clinic, *options: str) -> tuple[int, str]:
    """Return the exit status and what was written."""
    output = io.StringIO()
    try:
        call_command(
            "import_films", str(folder), "--clinic", clinic.name, *options, stdout=output, stderr=output
        )
    except SystemExit as end:
        return int(str(end.code)), output.getvalue()
    return 0, output.getvalue()


def test_names_carry_patients(clinic: Clinic, folder: Path) -> None:
    status, said = run(
        folder, clinic, "--patient-pattern", r"(person\d+)_", "--view", "AP", "--taken-on", "2020-01-02"
    )
    assert (status, Film.objects.count()) == (0, 3)
    assert "3 files: 3 taken in" in said
    seven = Patient.objects.get(mrn="person7")
    assert (seven.films.count(), seven.name, seven.clinic) == (2, "person7", clinic)
    assert (seven.studies.get().view, str(seven.studies.get().taken_on)) == ("AP", "2020-01-02")


def test_a_second_run_goes_on_with_what_is_missing(clinic: Clinic, folder: Path) -> None:
    PatientFactory(clinic=clinic, mrn="P-1")
    run(folder, clinic, "--patient-number", "P-1")
    (folder / "new.png").write_bytes(png(9))
    (folder / "letter.txt").write_bytes(b"no film")
    status, said = run(folder, clinic, "--patient-number", "P-1")
    assert (status, Film.objects.count(), Batch.objects.count()) == (1, 4, 1)
    assert "3 of 5 files are here already" in said
    assert "letter.txt: This is a text file" in said


def test_what_nobody_is_named_for_waits(clinic: Clinic, folder: Path) -> None:
    (folder / "manifest.csv").write_text(
        "file,patient number,name\nsub/person8_virus_1.png,P-8,Eight Example\n"
    )
    status, said = run(folder, clinic)
    assert status == 1
    assert "1 taken in, 0 were here already, 0 not taken in, 2 wait to be assigned" in said
    assert Patient.objects.get(mrn="P-8").films.count() == Prediction.objects.count() == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--clinic", "Nowhere"], "no clinic “Nowhere”"),
        (["--patient-number", "P-404"], "no patient of the number P-404"),
        (["--as", "nobody@clinic.example"], "no active user nobody@clinic.example"),
        (["--manifest", "absent.csv"], "absent.csv is not taken"),
    ],
)
def test_what_cannot_begin_says_why(clinic: Clinic, folder: Path, options: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words) as refused:
        run(folder, clinic, *options)
    assert refused.value.returncode == 2
    assert not Batch.objects.exists()


def test_a_user_of_another_clinic_may_not(clinic: Clinic, folder: Path) -> None:
    stranger = make_user("clinician")
    with pytest.raises(CommandError, match="may not take in films"):
        run(folder, clinic, "--as", stranger.email)


@pytest.mark.django_db(transaction=True)
def test_killed_and_started_again_it_takes_each_film_once(
    tmp_path: Path, broker: Broker, start: Callable[..., Child]
) -> None:
    ModelVersionFactory(stage="production")
    clinic = make_user("clinician").clinic
    assert clinic
    for n in range(24):
        (tmp_path / f"person{n % 7}_{n}.png").write_bytes(png(n))
    command = (MANAGE, str(tmp_path), clinic.name, r"person\d+")
    first = importing(start, *command)
    wait_for(lambda: Film.objects.count() >= 4, 40, 0.02)
    os.killpg(first.process.pid, signal.SIGKILL)
    first.process.wait(10)
    before = Film.objects.count()
    second = importing(start, *command)
    assert second.process.wait(60) == 0, second.output()
    assert 4 <= before < 24
    assert Film.objects.count() == Prediction.objects.count() == 24
    assert set(Arrival.objects.values_list("state", flat=True)) == {"stored"}


def importing(start: Callable[..., Child], manage: str, folder: str, clinic: str, pattern: str) -> Child:
    return start(
        sys.executable, manage, "import_films", folder, "--clinic", clinic, "--patient-pattern", pattern
    )
