"""Does the identity that a DICOM file offers belong to this patient?"""

import unicodedata
from datetime import date

from django.db.models import QuerySet
from django.utils.formats import date_format

from diagnosis.models import Patient
from ml.images.decoded import Offered

Difference = tuple[str, str, str]
"""What differs, what the file says, what the patient's record says; in words, to be shown and not to be stored."""


def differences(offered: Offered, patient: Patient) -> list[Difference]:
    """Return where the file and the patient's record contradict each other. What one of them does not say is no
    contradiction; nor are case, accents, the order of names, or a second name that only one of them has."""
    found: list[Difference] = []
    if offered.mrn and _plain(offered.mrn) != _plain(patient.mrn):
        found.append(("patient number", offered.mrn, patient.mrn))
    if offered.name and not same_name(offered.name, patient.name):
        found.append(("name", offered.name, patient.name))
    if offered.birth_date and patient.birth_date and offered.birth_date != patient.birth_date:
        found.append(("birth date", day(offered.birth_date), day(patient.birth_date)))
    if offered.sex and patient.sex != Patient.Sex.UNKNOWN and offered.sex != patient.sex:
        found.append(("sex", str(Patient.Sex(offered.sex).label), patient.get_sex_display()))
    return found


def find(patients: QuerySet[Patient], offered: Offered) -> list[Patient]:
    """Return those of `patients` who have the file's number, or its birth date and name."""
    found = list(patients.filter(mrn__iexact=offered.mrn)) if offered.mrn else []
    if offered.birth_date and offered.name:
        born = patients.filter(birth_date=offered.birth_date).exclude(pk__in=[p.pk for p in found])
        found += [patient for patient in born if same_name(offered.name, patient.name)]
    return found


def same_name(one: str, other: str) -> bool:
    """True for names of the same words; the words of one may all be among the other's, if they are two or more."""
    short, long = sorted((_words(one), _words(other)), key=len)
    return short == long or (len(short) >= 2 and short <= long)


def day(value: date) -> str:
    return date_format(value)


def _words(name: str) -> set[str]:
    apart = "".join(c if c.isalnum() else " " for c in _unaccented(name))
    return set(apart.split())


def _plain(number: str) -> str:
    return "".join(_unaccented(number).split())


def _unaccented(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c))
