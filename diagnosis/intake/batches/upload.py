"""Files of a batch arrive, in any order, again after a lost connection, and one bad file never stops the others."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.utils import timezone

from diagnosis.intake import films as intake_films
from diagnosis.intake.batches import filing, manifest, matching
from diagnosis.intake.batches.filenames import is_left_aside, label
from diagnosis.intake.batches.filing import Sender
from diagnosis.models import Arrival, Batch
from pneumoweb.storage.filesystem import StorageAway, discard


class TooMany(Exception):
    """More films than a batch takes; the message says so."""


@dataclass(frozen=True)
class Announced:
    """A file as its sender lists it. `modified` is the time of change in whatever the sender counts it."""

    path: str
    size: int
    modified: str

    @property
    def name(self) -> str:
        return label(self.path)

    @property
    def key(self) -> str:
        """Name the file within its batch: the same after a lost connection, in another browser, another day."""
        return hashlib.sha256(f"{self.name}\0{self.size}\0{self.modified}".encode()).hexdigest()


def announce(batch: Batch, files: Iterable[Announced], limit: int | None = None) -> list[dict[str, str]]:
    """Note which files will come; return for each, in order, its key and whether it is wanted, here or left aside.

    Raises TooMany where the batch would have more than `limit` films.
    """
    listed = list(files)
    films = {file.key: file for file in listed if not is_left_aside(file.path)}
    states = dict(batch.arrivals.values_list("key", "state"))
    fresh = [file for key, file in films.items() if key not in states]
    if limit is not None and len(states) + len(fresh) > limit:
        raise TooMany(
            f"{len(states) + len(fresh)} films are too many for one batch. Send at most {limit} at a time; "
            "nothing of this choice was taken."
        )
    Arrival.objects.bulk_create(
        (Arrival(batch=batch, key=file.key, name=file.name, size=file.size) for file in fresh),
        ignore_conflicts=True,
        batch_size=500,
    )
    aside = sum(is_left_aside(file.path) for file in listed)
    Batch.objects.filter(pk=batch.pk).update(touched_at=timezone.now(), skipped=max(batch.skipped, aside))
    return [
        {"key": file.key, "state": "aside" if file.key not in films else _wanted(states.get(file.key))}
        for file in listed
    ]


def receive(arrival: Arrival, upload: File, sender: Sender) -> Arrival:
    """Take in one expected file; return its row as it stands then. A file that came before is not looked at again.

    Raises intake.Refused with status 503 where nothing can be taken in now; the file stays expected.
    """
    if arrival.state != Arrival.State.EXPECTED:
        return arrival
    try:
        incoming = intake_films.decode_upload(_named(upload, arrival.name))
        _arrive(arrival, incoming, sender)
    except StorageAway as error:
        raise intake_films.Refused(f"{error} It is not kept yet.", 503) from error
    except intake_films.Refused as error:
        if error.status == 503:
            raise
        refuse(arrival, _in_words(upload, error))
    arrival.refresh_from_db()
    return arrival


def refuse(arrival: Arrival, reason: str) -> bool:
    """Write down why an expected file is not taken in."""
    expected = Arrival.objects.expected().filter(pk=arrival.pk)
    _touch(arrival.batch)
    return bool(expected.update(state=Arrival.State.REFUSED, reason=reason[:500]))


def give_up(batch: Batch) -> int:
    """Close what has not come: files that were announced and are sent no more. Return how many."""
    missing = batch.arrivals.expected().filter(member__isnull=True)
    return missing.update(
        state=Arrival.State.REFUSED, reason="It was not sent. Choose it again in a new batch if it is wanted."
    )


def _arrive(arrival: Arrival, incoming: intake_films.Arrival, sender: Sender) -> None:
    batch = arrival.batch
    row, tags = manifest.row_of(batch.manifest, arrival.name), incoming.decoded.offered
    decision = matching.decide(batch, row, tags)
    found = decision.differences
    if decision.is_clear:
        patient = decision.patient or filing.register(batch, decision.person, sender)
        try:
            received = filing.keep(batch, patient, incoming, row, sender, answered=False)
        except intake_films.Mismatch as mismatch:
            found = mismatch.differences
            decision = matching.Decision(patient)
        else:
            _close(arrival, received, incoming, sender)
            return
    _park(
        arrival,
        incoming,
        decision.patient,
        found,
        {"row": matching.as_json(row), "tags": matching.as_json(tags)},
    )


def _close(
    arrival: Arrival, received: intake_films.Received, incoming: intake_films.Arrival, sender: Sender
) -> None:
    state = filing.state_of(arrival.batch, received)
    expected = Arrival.objects.expected().filter(pk=arrival.pk)
    if (
        expected.update(state=state, film=received.film, sha256=incoming.digest)
        and state == Arrival.State.STORED
    ):
        filing.log(received, sender)
    _touch(arrival.batch)


def _park(
    arrival: Arrival, incoming: intake_films.Arrival, patient: Any, found: list[Any], offered: dict[str, Any]
) -> None:
    """Keep a decoded picture, without identity in it, until a person says whose it is."""
    decoded = incoming.decoded
    stem = f"batches/{arrival.batch_id}/{arrival.key[:24]}"
    pictures = {
        "picture": (".png", decoded.picture),
        "preview": ("-preview.jpg", decoded.preview),
        "values": ("-values.png", decoded.values),
    }
    written = {
        field: default_storage.save(stem + suffix, ContentFile(data))
        for field, (suffix, data) in pictures.items()
        if data is not None
    }
    expected = Arrival.objects.expected().filter(pk=arrival.pk)
    parked = expected.update(
        state=Arrival.State.MISMATCH if found else Arrival.State.UNASSIGNED,
        patient=patient,
        offered=offered,
        differences=[list(difference) for difference in found],
        decoded=filing.facts_of(incoming),
        sha256=incoming.digest,
        **written,
    )
    if not parked:
        discard(written.values())
    _touch(arrival.batch)


def _touch(batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk).update(touched_at=timezone.now())


def _wanted(state: str | None) -> str:
    return "wanted" if state in (None, Arrival.State.EXPECTED) else "here"


def _named(upload: File, name: str) -> File:
    upload.name = name
    return upload


def _in_words(upload: File, error: intake_films.Refused) -> str:
    upload.seek(0)
    if upload.read(4) in (b"PK\x03\x04", b"PK\x05\x06"):
        return "This is a zip among the films. Unpack it, or send it as a batch of its own."
    return str(error)
