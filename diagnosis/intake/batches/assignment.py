"""A person says whose film it is. Until then nothing is analysed; with the answer the offered identity is erased."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from django.utils import timezone

from diagnosis.core.mrn import normalise_mrn
from diagnosis.intake import films
from diagnosis.intake.batches import filing, matching
from diagnosis.intake.batches.filing import Sender
from diagnosis.models import Arrival, Batch, Patient
from ml.images.decoded import Offered
from pneumoweb.storage.filesystem import discard

WAITING_FIELDS = ("picture", "preview", "values")
ERASED: dict[str, object] = {
    "patient": None, "offered": None, "differences": [], "decoded": None, "picture": "", "preview": "", "values": "",
}  # fmt: skip


@dataclass
class Outcome:
    """What an answer did: films filed, and why others still wait."""

    filed: int = 0
    faults: list[str] = field(default_factory=list)


def file_under(arrivals: Iterable[Arrival], patient: Patient, sender: Sender) -> Outcome:
    """File waiting films under a patient, as the person who answers says, whatever the files say of it."""
    outcome = Outcome()
    for arrival in arrivals:
        try:
            _file(arrival, patient, sender)
        except films.Refused as error:
            outcome.faults.append(f"{arrival.name}: {error}")
        else:
            outcome.filed += 1
    return outcome


def register_and_file(arrivals: list[Arrival], sender: Sender) -> Outcome:
    """Register the patient whom these films offer, and file them there. They must offer the same number."""
    people = [person for person in map(person_of, arrivals) if person and person.mrn]
    if not people or len({normalise_mrn(person.mrn).casefold() for person in people}) > 1:
        return Outcome(
            faults=["These films do not name one and the same patient. Choose the patient for them."]
        )
    return file_under(arrivals, filing.register(arrivals[0].batch, people[0], sender), sender)


def leave_out(arrivals: Iterable[Arrival], sender: Sender) -> int:
    """Refuse waiting films: their pictures and what they offered are erased. Return how many."""
    return sum(
        _decide(
            arrival,
            state=Arrival.State.REFUSED,
            reason=f"Left out by {sender.user}; the picture was erased."[:500],
        )
        for arrival in arrivals
    )


def person_of(arrival: Arrival) -> Offered | None:
    """Return whom the film is said to be of: by the manifest, else by its own tags."""
    offered = arrival.offered or {}
    return matching.from_json(offered.get("row")) or matching.from_json(offered.get("tags"))


def erase(arrival: Arrival, reason: str) -> bool:
    """Refuse one waiting film and erase its picture."""
    return _decide(arrival, state=Arrival.State.REFUSED, reason=reason)


def _file(arrival: Arrival, patient: Patient, sender: Sender) -> None:
    incoming = filing.restored(arrival)
    row = matching.from_json((arrival.offered or {}).get("row"))
    received = filing.keep(arrival.batch, patient, incoming, row, sender, answered=True)
    if arrival.differences:
        received = replace(received, differences=tuple(what for what, _, _ in arrival.differences))
    state = filing.state_of(arrival.batch, received)
    if _decide(arrival, state=state, film=received.film) and state == Arrival.State.STORED:
        filing.log(received, sender)


def _decide(arrival: Arrival, **fields: object) -> bool:
    """Write the decision unless another person was first; then take the waiting picture away."""
    undecided = Arrival.objects.undecided().filter(pk=arrival.pk)
    if not undecided.update(**{**ERASED, **fields}):
        return False
    Batch.objects.filter(pk=arrival.batch_id).update(touched_at=timezone.now())
    waiting = (getattr(arrival, column).name for column in WAITING_FIELDS)
    discard(name for name in waiting if name)
    return True
