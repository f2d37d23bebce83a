"""A film of a batch, whose patient is sure, goes through the same intake as every other film."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models.fields.files import FieldFile

from diagnosis.core import audit_log
from diagnosis.intake import films, identity
from diagnosis.intake.batches import matching
from diagnosis.models import AccessLog, Arrival, Batch, Patient
from ml.images.decoded import Decoded, Offered
from pneumoweb.accounts.models import User


@dataclass(frozen=True)
class Sender:
    """Who sends or answers, and from which address; None where it is no browser."""

    user: User
    address: str | None = None


def register(batch: Batch, person: Offered | None, sender: Sender) -> Patient:
    """Return the patient of this number, registered now unless another film brought it a moment ago."""
    if person is None or not person.mrn.strip():
        raise films.Refused("A patient needs a number. Register the patient first, then file the film.")
    patient = matching.unsaved(batch.clinic, person)
    patient.created_by = sender.user
    try:
        with transaction.atomic():
            patient.save(force_insert=True)
    except IntegrityError:
        known = matching.find(batch.clinic, patient.mrn)
        if known is None:
            raise
        return known
    audit_log.append(
        sender.user, AccessLog.Action.CREATED, patient, f"patient, by batch {batch.pk}", sender.address
    )
    return patient


def keep(
    batch: Batch,
    patient: Patient,
    incoming: films.Arrival,
    row: Offered | None,
    sender: Sender,
    *,
    answered: bool,
) -> films.Received:
    """Store a film under its patient. Date and view are those of the manifest, else of the file, else of the batch.

    Raises intake.Refused and intake.Mismatch.
    """
    tags = incoming.decoded.offered
    day = row.study_date if row and row.study_date else None
    if day is None and not (tags and tags.study_date):
        day = batch.taken_on
    if day and patient.birth_date and day < patient.birth_date:
        raise films.Refused(
            f"The film would be older than the patient: it was taken on {identity.day(day)}, the patient was born on "
            f"{identity.day(patient.birth_date)}. Correct the one that is wrong and send the film again."
        )
    view = row.view if row and row.view else ""
    if not view and not (tags and tags.view):
        view = batch.view
    key = uuid.uuid5(batch.key, f"{day} {view}")
    return films.keep(
        sender.user, patient, incoming, taken_on=day, view=view, upload_key=key, answered=answered
    )


def state_of(batch: Batch, received: films.Received) -> str:
    """Say whether the film came with this file, also where the process died before it could write that down."""
    film = received.film
    ours = received.created or (film.created_at >= batch.created_at and not film.arrivals.exists())
    return Arrival.State.STORED if ours else Arrival.State.KNOWN


def log(received: films.Received, sender: Sender) -> None:
    """Write into the access log who filed the film, and what the sender answered for."""
    what = f"film {received.film.pk}"
    if received.differences:
        what = f"{what}, answered for: {', '.join(received.differences)}"
    audit_log.append(sender.user, AccessLog.Action.UPLOADED, received.film.patient, what[:80], sender.address)


def facts_of(incoming: films.Arrival) -> dict[str, Any]:
    """Return what has to be remembered of a decoded film besides its pictures and the identity that it offers."""
    decoded = incoming.decoded
    return {
        "name": incoming.name,
        "bytes": incoming.size,
        "width": decoded.width,
        "height": decoded.height,
        "bits": decoded.bits,
        "colourfulness": decoded.colourfulness,
        "notes": list(decoded.notes),
        "source_format": decoded.source_format,
        "facts": decoded.facts,
    }


def restored(arrival: Arrival) -> films.Arrival:
    """Return a waiting film as it was when it had been decoded."""
    facts = arrival.decoded or {}
    decoded = Decoded(
        picture=_content(arrival.picture),
        preview=_content(arrival.preview),
        values=_content(arrival.values) if arrival.values else None,
        width=facts["width"],
        height=facts["height"],
        bits=facts["bits"],
        colourfulness=facts["colourfulness"],
        notes=tuple(facts["notes"]),
        source_format=facts["source_format"],
        facts=facts["facts"],
        offered=matching.from_json((arrival.offered or {}).get("tags")),
    )
    return films.Arrival(facts["name"], arrival.sha256, facts["bytes"], decoded)


def _content(file: FieldFile) -> bytes:
    with default_storage.open(str(file.name), "rb") as stored:
        content: bytes = stored.read()
    return content
