"""Find patients by parts of their names and numbers, page by page."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from diagnosis import places
from diagnosis.models import Patient
from diagnosis.permissions import visible_patients
from diagnosis.queries import with_study_facts
from pneumoweb.accounts.models import User

SIZE = 25
COUNTED = 1000
ORDER = ("name", "mrn", "pk")


@dataclass(frozen=True)
class Page:
    """Patients in the order of their names, the patients (keys) before and behind whom others follow, and how many
    there are: at most COUNTED are counted.
    """

    patients: list[Patient] = field(default_factory=list)
    before: int | None = None
    after: int | None = None
    count: int = 0

    @property
    def many(self) -> bool:
        return self.count > COUNTED


def matching(user: User, words: Iterable[str]) -> QuerySet[Patient]:
    """Return the patients in whose name or number every word occurs.

    Parts of words must be found, such as the end of a number, which no index can do in both databases. So the search
    goes through names and numbers, but in the index that holds both: 100,000 patients in some 20 ms.
    """
    patients = visible_patients(user)
    for word in words:
        patients = patients.filter(Q(name__icontains=word) | Q(mrn__icontains=word))
    return patients.order_by()


def page(user: User, words: list[str], after: str = "", before: str = "") -> Page:
    """Return the patients who follow that one (key), or those before that one, or the first ones."""
    found = matching(user, words)
    said = before or after
    known = said.isascii() and said.isdigit() and len(said) < 19
    place = visible_patients(user).filter(pk=said).values_list(*ORDER).first() if known else None
    part = places.cut([found], ORDER, SIZE, place, backwards=bool(before) and place is not None)
    keys = [patient.pk for patient in part.rows]
    facts = with_study_facts(Patient.objects.filter(pk__in=keys).select_related("clinic")).in_bulk()
    return Page(
        patients=[facts[key] for key in keys],
        before=keys[0] if part.has_before else None,
        after=keys[-1] if part.has_after else None,
        count=found.values("pk")[: COUNTED + 1].count(),
    )
