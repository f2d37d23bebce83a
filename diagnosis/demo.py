"""Something to look at on the first run: invented people and synthetic films, taken in and read like any other."""

import json
import secrets
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path
from uuid import UUID, uuid5

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.utils import timezone

from diagnosis.intake import films as intake_films
from diagnosis.models import Film, Patient
from pneumoweb.accounts.models import Clinic, Role, User
from pneumoweb.server.first_run import write_secret

SAMPLES = settings.BASE_DIR / "ml" / "samples"
NOTE = "Demo: synthetic film of an invented patient"
# Makes each demo upload's key from what it is, so that a second run finds the same studies again.
UPLOADS = UUID("6f0e5f1e-6d0a-4f4e-9a3c-6d1f1f0b5a11")

NORTH, SOUTH = "Demo clinic North", "Demo clinic South"


@dataclass(frozen=True)
class Person:
    """A demo user; the password is the installation's own."""

    email: str
    first_name: str
    last_name: str
    role: str
    clinic: str
    group: Role | None = None
    staff: bool = False
    administrator: bool = False


@dataclass(frozen=True)
class Account:
    """What one needs to log in as a demo user."""

    email: str
    password: str
    role: str


@dataclass(frozen=True)
class Invented:
    """A demo patient: today's `age` in days, and how many `days_ago` each study with its one film was taken."""

    mrn: str
    name: str
    sex: str
    age: int
    days_ago: tuple[int, ...]
    clinic: str = NORTH


PEOPLE = (
    Person("clinician@demo.example", "Cleo", "Marsh", "clinician", NORTH, group=Role.CLINICIAN),
    Person("reviewer@demo.example", "Rowan", "Ellery", "reviewer", NORTH, group=Role.REVIEWER),
    Person("staff@demo.example", "Sorrel", "Tate", "staff", NORTH, staff=True),
    Person("admin@demo.example", "Ash", "Linden", "administrator", NORTH, staff=True, administrator=True),
    Person(
        "clinician.south@demo.example",
        "Sage",
        "Waters",
        "clinician of the other clinic",
        SOUTH,
        Role.CLINICIAN,
    ),
)

PATIENTS = (
    Invented("DEMO-0001", "Juniper Vale (demo)", "F", 1150, (41, 12, 1)),
    Invented("DEMO-0002", "Basil Thorne (demo)", "M", 560, (9, 2)),
    Invented("DEMO-0003", "Clover Finch (demo)", "F", 1490, (1,)),
    Invented("DEMO-0004", "Alder Rook (demo)", "M", 790, (5,)),
    Invented("DEMO-0005", "Hazel Brook (demo)", "F", 1790, (203, 0)),
    Invented("DEMO-0006", "Fennel Moss (demo)", "M", 430, (0,)),
    Invented("DEMO-0007", "Iris Heath (demo)", "F", 980, (3,), SOUTH),
    Invented("DEMO-0008", "Linus Fell (demo)", "M", 1310, (16,), SOUTH),
)


def create() -> list[Account]:
    """Make clinics, users, patients and films that are not there yet; return every demo account."""
    accounts = create_accounts()
    create_films()
    return accounts


def create_accounts() -> list[Account]:
    """Make the demo users. Passwords are made once an installation and kept in its data folder, mode 600."""
    file = settings.DATA_DIR / "demo_accounts.json"
    fresh = not file.is_file()
    write_secret(file, json.dumps({person.email: new_password() for person in PEOPLE}, indent=1) + "\n")
    passwords: dict[str, str] = json.loads(file.read_text())
    for person in PEOPLE:
        user = User.objects.filter(email=person.email).first()
        if user is None:
            _create_user(person, passwords[person.email])
        elif fresh:
            # The file with the old passwords is gone; nobody could log in with those printed now.
            user.set_password(passwords[person.email])
            user.save(update_fields=["password"])
    return [Account(person.email, passwords[person.email], person.role) for person in PEOPLE]


def new_password() -> str:
    """Return 12 letters and digits that cannot be misread, in three groups: about 58 bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(3))


def create_films(today: date | None = None) -> list[Film]:
    """Hand each invented patient's synthetic films to the ordinary intake, which queues them for the worker."""
    today = today or timezone.localdate()
    # By number, then by name: normal and pneumonia take turns, so that histories show both.
    samples = cycle(sorted(SAMPLES.glob("*.png"), key=lambda path: (path.stem.rpartition("-")[2], path.name)))
    films = []
    for invented in PATIENTS:
        patient = _patient(invented, today)
        for number, (days_ago, sample) in enumerate(zip(invented.days_ago, samples, strict=False)):
            key = uuid5(UPLOADS, f"{invented.mrn} {number}")
            if not patient.studies.filter(upload_key=key).exists():
                films.append(_receive(patient, sample, today - timedelta(days=days_ago), key))
    return films


def _patient(invented: Invented, today: date) -> Patient:
    clinic = Clinic.objects.get(name=invented.clinic)
    patient, _ = Patient.objects.get_or_create(
        clinic=clinic,
        mrn=invented.mrn,
        defaults={
            "name": invented.name,
            "sex": invented.sex,
            "birth_date": today - timedelta(days=invented.age),
            "created_by": User.objects.filter(clinic=clinic, groups__name=Role.CLINICIAN).earliest("pk"),
        },
    )
    return patient


def _receive(patient: Patient, sample: Path, taken_on: date, key: UUID) -> Film:
    upload = ContentFile(sample.read_bytes(), name=sample.name)
    user = patient.created_by
    return intake_films.receive(
        user, patient, upload, taken_on=taken_on, view="PA", note=NOTE, upload_key=key
    ).film


def _create_user(person: Person, password: str) -> None:
    clinic, _ = Clinic.objects.get_or_create(name=person.clinic)
    user = User.objects.create_user(
        person.email,
        password,
        first_name=person.first_name,
        last_name=person.last_name,
        clinic=clinic,
        is_staff=person.staff,
        is_superuser=person.administrator,
    )
    if person.group:
        user.groups.add(Group.objects.get(name=person.group))
