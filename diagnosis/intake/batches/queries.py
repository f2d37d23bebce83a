"""What the pages of batches show, in a constant number of queries."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Count, Exists, IntegerField, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Lower
from django.utils import timezone

from diagnosis.core.mrn import normalise_mrn
from diagnosis.core.querysets import with_predictions
from diagnosis.intake.batches import assignment
from diagnosis.models import Arrival, Batch, Film, Patient, Prediction
from ml.images.decoded import Offered

RATE_SECONDS = 60
SUGGESTED = 200
_ANSWERED = Exists(Prediction.objects.filter(film=OuterRef("film"), state__in=Prediction.FINAL))


@dataclass(frozen=True)
class Progress:
    """How far a batch is, counted in files. `seconds_left` is None where nobody can tell."""

    total: int
    expected: int
    stored: int
    known: int
    refused: int
    undecided: int
    answered: int
    zip_state: str
    seconds_left: float | None

    @property
    def done(self) -> int:
        return self.answered + self.refused

    @property
    def being_read(self) -> int:
        return self.stored + self.known - self.answered

    @property
    def in_zip(self) -> bool:
        return self.zip_state in (Batch.Zip.RECEIVING, Batch.Zip.WAITING, Batch.Zip.UNPACKING)

    @property
    def is_settled(self) -> bool:
        """Nothing moves any more by itself; what is undecided waits for a person."""
        return not (self.expected or self.being_read or self.in_zip)


@dataclass
class Group:
    """Waiting films that one answer can settle: of the same number, with the same doubts."""

    state: str
    person: Offered | None
    proposed: Patient | None
    named: Patient | None
    differences: list[list[str]]
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def can_register(self) -> bool:
        return bool(self.person and self.person.mrn and not self.named)


def progress(batch: Batch) -> Progress:
    """Count the batch's files, and guess the time left from the answers of the last minute."""
    states = dict(batch.arrivals.order_by().values_list("state").annotate(n=Count("pk")))
    answered = batch.arrivals.with_film().filter(_ANSWERED).count()
    total, refused = sum(states.values()), states.get("refused", 0)
    undecided = sum(states.get(state, 0) for state in Arrival.UNDECIDED)
    now = timezone.now()
    begun = max(now - timedelta(seconds=RATE_SECONDS), batch.created_at)
    lately = Prediction.objects.filter(film__arrivals__batch=batch, finished_at__gte=begun).count()
    left = total - undecided - answered - refused
    return Progress(
        total=total,
        expected=states.get("expected", 0),
        stored=states.get("stored", 0),
        known=states.get("known", 0),
        refused=refused,
        undecided=undecided,
        answered=answered,
        zip_state=batch.zip_state,
        seconds_left=left * (now - begun).total_seconds() / lately if lately and left else None,
    )


def with_answers(arrivals: QuerySet[Arrival]) -> QuerySet[Arrival]:
    """Arrivals with their film, and all that lists show of one."""
    return arrivals.prefetch_related(Prefetch("film", with_predictions(Film.objects.all())))


def with_counts(batches: QuerySet[Batch]) -> QuerySet[Batch]:
    """Batches with `films`, `refused`, `undecided` and `expected`, looked up for the rows of one page alone."""

    def count(condition: Q) -> Coalesce:
        mine = Arrival.objects.filter(condition, batch=OuterRef("pk")).order_by().values("batch")
        return Coalesce(Subquery(mine.annotate(n=Count("pk")).values("n"), output_field=IntegerField()), 0)

    return batches.select_related("by", "clinic", "patient").annotate(
        films=count(Q(film__isnull=False)),
        refused=count(Q(state="refused")),
        undecided=count(Q(state__in=Arrival.UNDECIDED)),
        expected=count(Q(state="expected")),
    )


def groups(batch: Batch) -> list[Group]:
    """Gather the films that wait for a person, those with the same question together."""
    found: dict[object, Group] = {}
    for arrival in (
        batch.arrivals.undecided().select_related("patient", "batch__clinic").order_by("state", "name")
    ):
        person = assignment.person_of(arrival)
        number = person.mrn.casefold() if person else ""
        key = (
            arrival.state,
            number,
            person.name if person else "",
            arrival.patient_id,
            str(arrival.differences),
        )
        if key not in found:
            found[key] = Group(arrival.state, person, arrival.patient, None, arrival.differences)
        found[key].arrivals.append(arrival)
    _name_patients(batch, found.values())
    return list(found.values())


def suggested(clinic: int | None) -> QuerySet[Patient]:
    """The clinic's newest patients, for the list below a field for a number."""
    return Patient.objects.filter(clinic=clinic).order_by("-pk")[:SUGGESTED]


def _name_patients(batch: Batch, found: Iterable[Group]) -> None:
    """Find, in one query, which groups' numbers the clinic knows."""
    numbers = {_number(group) for group in found} - {""}
    mine = Patient.objects.filter(clinic=batch.clinic_id).annotate(number=Lower("mrn"))
    known = {patient.number: patient for patient in mine.filter(number__in=numbers)}
    for group in found:
        group.named = known.get(_number(group))


def _number(group: Group) -> str:
    return normalise_mrn(group.person.mrn).lower() if group.person else ""
