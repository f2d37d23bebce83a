"""The demo: one account a role, two clinics, invented patients with synthetic films."""

import json
import stat
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from diagnosis import demo
from diagnosis.core.permissions import visible_patients
from diagnosis.models import Film, ModelVersion, Patient, Prediction
from pneumoweb.accounts.models import User
from pneumoweb.accounts.roles import roles_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folder(settings: object, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    return tmp_path


def test_there_is_one_account_a_role(own_folder: Path) -> None:
    accounts = demo.create_accounts()
    roles = {"clinician": 1, "reviewer": 2, "staff": 3, "admin": 4, "clinician.south": 1}
    assert {a.email.split("@")[0]: len(roles_of(User.objects.get(email=a.email))) for a in accounts} == roles
    for account in accounts:
        assert User.objects.get(email=account.email).check_password(account.password)
        assert len(account.password) >= 12
    assert len({account.password for account in accounts}) == len(accounts)
    file = own_folder / "demo_accounts.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {account.email: account.password for account in accounts}


def test_a_second_run_changes_nothing(production: ModelVersion) -> None:
    def everything() -> list[object]:
        return [list(model.objects.order_by("pk").values()) for model in (User, Patient, Film, Prediction)]

    first = demo.create()
    before = everything()
    assert demo.create() == first
    assert everything() == before


def test_a_changed_password_stays_and_a_lost_file_makes_new_ones(own_folder: Path) -> None:
    demo.create_accounts()
    user = User.objects.get(email="staff@demo.example")
    user.set_password("chosen by the person")
    user.save()
    demo.create_accounts()
    user.refresh_from_db()
    assert user.check_password("chosen by the person")
    (own_folder / "demo_accounts.json").unlink()
    passwords = {account.email: account.password for account in demo.create_accounts()}
    user.refresh_from_db()
    assert user.check_password(passwords[user.email])


def test_patients_are_children_with_histories_and_marked_as_invented(production: ModelVersion) -> None:
    demo.create()
    today = timezone.localdate()
    patients = Patient.objects.all()
    assert patients.count() == len(demo.PATIENTS) >= 8
    for patient in patients:
        age = patient.age_on(today)
        assert age is not None
        assert 1 <= age < 6
        assert "demo" in patient.name
        assert patient.mrn.startswith("DEMO-")
        assert all("synthetic" in study.note for study in patient.studies.all())
        assert patient.films.count() == patient.studies.count() >= 1
    assert sum(patient.studies.values("taken_on").distinct().count() >= 2 for patient in patients) >= 3
    assert set(Prediction.objects.values_list("state", flat=True)) == {Prediction.State.QUEUED}
    assert not Film.objects.filter(study__taken_on__gt=today).exists()


def test_the_clinics_do_not_see_each_other(production: ModelVersion) -> None:
    demo.create()
    north = visible_patients(User.objects.get(email="clinician@demo.example"))
    south = visible_patients(User.objects.get(email="clinician.south@demo.example"))
    assert north.count() >= 5
    assert south.count() >= 1
    assert not north & south
    assert (
        visible_patients(User.objects.get(email="admin@demo.example")).count()
        == north.count() + south.count()
    )


def test_the_command_prints_the_accounts(production: ModelVersion) -> None:
    out = StringIO()
    call_command("create_demo", stdout=out)
    lines = [line.split("\t") for line in out.getvalue().splitlines()]
    assert [(email, role) for email, _, role in lines] == [(p.email, p.role) for p in demo.PEOPLE]
