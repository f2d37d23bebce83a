"""A clinic of any size, written by the database itself: 100,000 films take some seconds, not minutes.

As in a clinic that has worked with the site for a year: 19 of 20 films are reviewed, one in five is called pneumonia,
few are urgent, some wait for a second reader, the newest wait for the model. One patient has 40 films, the others 8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import isclose
from typing import Any

from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.models import Max, Model
from django.utils import timezone

from diagnosis.core.querysets import with_predictions
from diagnosis.models import AccessLog, Film, Listed, Patient, Prediction, Review, Study, WorklistRow
from diagnosis.reading import worklist
from diagnosis.registry import versions
from pneumoweb.accounts.models import Clinic, User
from tests.support.factories import ClinicFactory, make_user

FIRST = ["Ada", "Bela", "Chen", "Dara", "Emil", "Fanny", "Gus", "Hana", "Ines", "Jun"]
LAST = [
    "Abara",
    "Berg",
    "Cruz",
    "Diaz",
    "Eze",
    "Fisk",
    "Gray",
    "Haas",
    "Ito",
    "Jovic",
    "Kaya",
    "Lund",
    "Mora",
]
MINUTES = 5


@dataclass(frozen=True)
class Filled:
    """The clinic with its reviewer, for whom pages are drawn, and two of its patients (keys)."""

    clinic: Clinic
    user: User
    first_patient: int
    last_patient: int


def fill(number: int) -> Filled:
    """Make a clinic with `number` films and as many rows of the access log."""
    version = versions.production()
    if version is None:
        raise AssertionError("no model is in production")
    clinic = ClinicFactory()
    user, other = make_user("reviewer", clinic), make_user("reviewer", clinic)
    base = {model: top(model) for model in (Patient, Film, Prediction, AccessLog)}
    # Keys of films, studies, predictions and reviews run side by side: i is the film's number, the newest has the last.
    study, review = top(Study), top(Review)
    patient = f"{base[Patient]} + CASE WHEN i <= 40 THEN 1 ELSE 2 + (i - 41) / 8 END"
    answered = f"i % 50 <> 0 AND i <= {number - 20}"
    ill, done = "i % 5 = 0", f"i <= {number - number // 20}"
    second = f"i % 40 = 1 AND NOT ({done})"
    reading = f"CASE WHEN {done} THEN 'done' WHEN {second} THEN 'second' ELSE 'open' END"
    priority = "CASE WHEN i % 100 = 7 THEN 2 WHEN i % 20 = 1 THEN 1 ELSE 0 END"
    label = f"CASE WHEN {answered} THEN CASE WHEN {ill} THEN 'PNEUMONIA' ELSE 'NORMAL' END ELSE '' END"
    score = f"CASE WHEN {ill} THEN 0.5 ELSE 0.0 END + (i % 997) / 2000.0"
    assigned = f"CASE WHEN NOT ({done}) AND i % 7 = 0 THEN {user.pk} END"
    suspicion = f"CASE WHEN {answered} THEN {score} ELSE 0.5 END"
    at = moments(number)
    patients = 1 + -(-max(0, number - 40) // 8)
    with transaction.atomic():
        Patient.objects.bulk_create(
            Patient(
                pk=base[Patient] + n + 1,
                clinic=clinic,
                mrn=f"B{clinic.pk}-{n:06}",
                name=f"{FIRST[n % 10]} {LAST[n // 10 % 13]} {n:06}",
                birth_date=date(2020, 1 + n % 12, 1),
                created_by=user,
            )
            for n in range(patients)
        )
        insert(Study, number, {
            "id": f"{study} + i", "patient_id": patient, "taken_on": at["day"], "upload_key": at["key"],
            "uploaded_by_id": user.pk, "created_at": at["moment"],
        })  # fmt: skip
        insert(Film, number, {
            "id": f"{base[Film]} + i", "study_id": f"{study} + i", "patient_id": patient,
            "sha256": "CAST(i AS varchar(20))", "name": "'film.png'", "file": "'none.png'", "thumbnail": "'none.png'",
            "source_format": "'PNG'", "source_bytes": 1, "width": 256, "height": 256, "bits": 8, "priority": priority,
            "uploaded_by_id": user.pk, "created_at": at["moment"], "assigned_to_id": assigned,
        })  # fmt: skip
        insert(Prediction, number, {
            "id": f"{base[Prediction]} + i", "film_id": f"{base[Film]} + i", "model_version_id": version.pk,
            "priority": priority, "queued_at": at["moment"], "label": label,
            "state": f"CASE WHEN {answered} THEN 'succeeded' WHEN i % 50 = 0 THEN 'rejected' ELSE 'queued' END",
            "probability": f"CASE WHEN {answered} THEN {score} END",
            "threshold": f"CASE WHEN {answered} THEN 0.5 END",
            "waiting_seconds": f"CASE WHEN {answered} THEN 0.3 + i % 13 END",
            "reading_seconds": f"CASE WHEN {answered} THEN 0.1 + i % 7 END",
        })  # fmt: skip
        insert(Review, number, {
            "id": f"{review} + i", "prediction_id": f"{base[Prediction]} + i", "reviewer_id": other.pk,
            "verdict": f"CASE WHEN {ill} AND i % 30 <> 0 THEN 'pneumonia' ELSE 'normal' END", "at": at["moment"],
            "second_wanted": at["truth"].format(second),
        }, f"{done} OR {second}")  # fmt: skip
        insert(WorklistRow, number, {
            "film_id": f"{base[Film]} + i", "clinic_id": clinic.pk, "patient_id": patient, "label": label,
            "priority": priority, "assigned_to_id": assigned, "reading": reading, "requested_at": at["moment"],
            "state": f"CASE WHEN {answered} THEN 'answered' WHEN i % 50 = 0 THEN 'unanswered' ELSE 'waiting' END",
            "todo": at["truth"].format(f"NOT ({done})"),
            "disputed": at["truth"].format(f"{answered} AND i % 30 = 0 AND NOT {reading} = 'open'"),
            "suspicion": suspicion, "doubt": f"CASE WHEN {answered} THEN ABS({score} - 0.5) ELSE 1.0 END",
            "urgency": f"2.0 * ({priority}) + {suspicion}", "draw": "(i * 7919 % 100003) / 100003.0",
        })  # fmt: skip
        insert(AccessLog, number, {
            "id": f"{base[AccessLog]} + i", "user_id": user.pk, "action": "'seen'", "patient_id": patient,
            "what": "'film'", "at": at["moment"],
            **{name: f"'{clinic.pk}.' || CAST(i - {shift} AS varchar(20))"
               for name, shift in (("previous", 1), ("digest", 0))},
        })  # fmt: skip
        # Every second row is taken for a list, of 20 patients.
        for place in range(min(20, patients)):
            insert(Listed, number, {
                "id": f"{top(Listed)} + i", "row_id": f"{base[AccessLog]} + i",
                "patient_id": f"{base[Patient]} + 1 + (i + {place}) % {patients}",
            }, "i % 2 = 0")  # fmt: skip
    with connection.cursor() as cursor:
        models = [Patient, Study, Film, Prediction, Review, AccessLog, Listed]
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE")
    by_name = Patient.objects.filter(clinic=clinic).order_by("-name")
    return Filled(clinic, user, base[Patient] + 1, by_name[min(10, len(by_name[:11]) - 1)].pk)


def check(filled: Filled) -> None:
    """Raise AssertionError unless rows of the worklist are what the site itself would have written."""
    films = with_predictions(Film.objects.filter(patient__clinic=filled.clinic))
    compared = [
        name
        for name in worklist.FIELDS
        if name not in ("clinic", "patient", "assigned_to", "draw", "disputed")
    ]
    for film in [*films.order_by("pk")[:100:9], *films.order_by("-pk")[:300:9]]:
        ours, sites = WorklistRow.objects.get(film=film), worklist.row_of(film)
        for name in compared:
            said, wanted = getattr(ours, name), getattr(sites, name)
            if not (isclose(said, wanted) if isinstance(said, float) else said == wanted):
                raise AssertionError(f"film {film.pk}: {name} is {wanted}, not {said}")


def insert(model: type[Model], number: int, columns: Mapping[str, object], condition: str = "1 = 1") -> None:
    """Insert a row for each i from 1 to `number`; columns that are not named get their field's default."""
    others = {
        field.column: field.get_db_prep_save(field.get_default(), connection)
        for field in model._meta.concrete_fields
        if field.column not in columns
    }
    # A per cent sign in SQL is doubled, as single ones mark what the driver fills in.
    said = [f"({expression})".replace("%", "%%") for expression in columns.values()]
    names = ", ".join(f'"{name}"' for name in [*columns, *others])
    values = ", ".join([*said, *["%s"] * len(others)])
    condition = condition.replace("%", "%%")
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
    with connection.cursor() as cursor:
        cursor.execute(
            f'{numbers} INSERT INTO "{model._meta.db_table}" ({names}) SELECT {values} FROM n WHERE {condition}',
            list(others.values()),
        )


def moments(number: int) -> dict[str, str]:
    """How each database says when film i arrived, its day, a key of its own, and a truth value."""
    now = timezone.now().replace(microsecond=0, tzinfo=None).isoformat(" ")
    ago = f"({number} - i) * {MINUTES}"
    if connection.vendor == "postgresql":
        moment = f"TIMESTAMPTZ '{now}+00' - {ago} * INTERVAL '1 minute'"
        key = "CAST(LPAD(TO_HEX(i), 32, '0') AS uuid)"
        return {"moment": moment, "day": f"CAST({moment} AS date)", "key": key, "truth": "{}"}
    moment = f"datetime('{now}', '-' || ({ago}) || ' minutes')"
    return {
        "moment": moment,
        "day": f"date({moment})",
        "key": "printf('%032x', i)",
        "truth": "CASE WHEN {} THEN 1 ELSE 0 END",
    }


def top(model: type[Model]) -> int:
    found: Any = model._default_manager.aggregate(top=Max("pk"))["top"]
    return int(found or 0)
