"""Whose film a file is: the manifest's line decides, else the patient chosen for the whole batch, else the file's tags.

What contradicts one another is never decided here: it waits for a person, and so does a film that nobody is named for.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from diagnosis.core.mrn import normalise_mrn
from diagnosis.intake import identity
from diagnosis.intake.identity import Difference
from diagnosis.models import Batch, Patient
from ml.images.decoded import Offered
from pneumoweb.accounts.models import Clinic


@dataclass(frozen=True)
class Decision:
    """File it under `patient`; where there is none, register `person` first; where there is neither, ask.

    `differences` have to be answered before.
    """

    patient: Patient | None = None
    person: Offered | None = None
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_clear(self) -> bool:
        return bool(self.patient or self.person) and not self.differences


def decide(batch: Batch, row: Offered | None, tags: Offered | None) -> Decision:
    """Weigh what the manifest's line (`row`), the chosen patient and the file's own tags say."""
    if row:
        patient = find(batch.clinic, row.mrn)
        found = identity.differences(row, patient) if patient else []
        told = {what for what, _, _ in found}
        known = patient or unsaved(batch.clinic, row)
        found += [d for d in _against(tags, known) if d[0] not in told]
        return Decision(patient, None if patient else row, found)
    if batch.patient:
        return Decision(batch.patient, None, _against(tags, batch.patient))
    patient = find(batch.clinic, tags.mrn) if tags else None
    return Decision(patient, None, _against(tags, patient)) if patient else Decision()


def find(clinic: Clinic, number: str) -> Patient | None:
    """Return the clinic's patient of this number."""
    number = normalise_mrn(number)
    return Patient.objects.filter(clinic=clinic, mrn__iexact=number).first() if number else None


def unsaved(clinic: Clinic, person: Offered) -> Patient:
    """Return a patient as a manifest or a file describes one, not stored; without a name the number stands for it."""
    number = normalise_mrn(person.mrn)[:64]
    name = " ".join(person.name.split())[:200] or number
    sex = person.sex or Patient.Sex.UNKNOWN
    return Patient(clinic=clinic, mrn=number, name=name, birth_date=person.birth_date, sex=sex)


def as_json(offered: Offered | None) -> dict[str, str] | None:
    """Return an offered identity as JSON has it: days as 2026-11-22, empty where not said."""
    if offered is None:
        return None
    days = {what: getattr(offered, what) for what in DAYS}
    return {**vars(offered), **{what: day.isoformat() if day else "" for what, day in days.items()}}


def from_json(facts: dict[str, str] | None) -> Offered | None:
    if not facts:
        return None
    days = {what: date.fromisoformat(facts[what]) if facts[what] else None for what in DAYS}
    fields: dict[str, Any] = {**facts, **days}
    return Offered(**fields)


DAYS = ("birth_date", "study_date")


def _against(tags: Offered | None, patient: Patient) -> list[Difference]:
    return identity.differences(tags, patient) if tags else []
