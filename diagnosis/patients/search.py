"""Find patients by parts of their names and numbers, page by page."""

from dataclasses import dataclass, field

from diagnosis.core import pagination
from diagnosis.core.permissions import visible_patients
from diagnosis.core.querysets import matching, with_study_facts
from diagnosis.models import Patient
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


def page(user: User, words: list[str], after: str = "", before: str = "") -> Page:
    """Return the patients who follow that one (key), or those before that one, or the first ones."""
    found = matching(user, words)
    said = before or after
    known = said.isascii() and said.isdigit() and len(said) < 19
    place = visible_patients(user).filter(pk=said).values_list(*ORDER).first() if known else None
    part = pagination.cut([found], ORDER, SIZE, place, backwards=bool(before) and place is not None)
    keys = [patient.pk for patient in part.rows]
    facts = with_study_facts(Patient.objects.filter(pk__in=keys).select_related("clinic")).in_bulk()
    return Page(
        patients=[facts[key] for key in keys],
        before=keys[0] if part.has_before else None,
        after=keys[-1] if part.has_after else None,
        count=found.values("pk")[: COUNTED + 1].count(),
    )
