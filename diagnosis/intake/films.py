"""A film arrives: validate, decode, strip, store, create the rows, wake a worker after commit.

What is stored is the picture alone: lossless greyscale PNG without any metadata of the source, and the facts of a
DICOM file that name nobody. `receive` does all of it for a patient who is known beforehand. Who decides on the
patient by what is in the file calls `decode_upload` first and `keep` later; nothing is kept in between.
"""

import hashlib
import logging
import unicodedata
import uuid
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from diagnosis.core import queue
from diagnosis.intake import decoder_pool, identity
from diagnosis.intake.identity import Difference
from diagnosis.models import Film, ModelVersion, Patient, Prediction, Priority, Study
from diagnosis.reading import worklist
from diagnosis.registry import versions
from ml.images.decoded import Decoded
from ml.images.errors import ImageError
from pneumoweb.accounts.models import Clinic, User
from pneumoweb.storage.filesystem import StorageAway, discard

log = logging.getLogger(__name__)

DATE_TAKEN = "date taken"

NAME_LENGTH = Film._meta.get_field("name").max_length or 200


class Refused(Exception):
    """The file is not taken in. The message says why and what to do; `status` is HTTP's word for it."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


class Mismatch(Refused):
    """The file contradicts the patient's record, and nobody has said yet that it is this patient all the same.

    `differences` are (what, in the file, of the patient). Nothing is kept; send the film again as `answered`.
    """

    def __init__(self, differences: list[Difference]) -> None:
        what = ", ".join(what for what, _, _ in differences)
        super().__init__(
            f"The file does not fit this patient: {what}. Nothing is kept yet. Check whose film it is.", 409
        )
        self.differences = differences


@dataclass(frozen=True)
class Received:
    """A film that is stored; `created` is False where the same picture of this patient was there already.

    `differences` names what the file contradicts of the patient's record, where the sender answered for it: for the
    access log.
    """

    film: Film
    created: bool
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrival:
    """A file that was received and decoded, but is not kept yet. `decoded.offered` says whose it claims to be."""

    name: str
    digest: str
    size: int
    decoded: Decoded


def receive(
    user: User,
    patient: Patient,
    upload: File,
    *,
    taken_on: date | None,
    view: str = "",
    note: str = "",
    priority: int = Priority.ROUTINE,
    upload_key: uuid.UUID,
    answered: bool = False,
) -> Received:
    """Take in one film of a patient and queue its prediction. Raises Refused; then nothing is kept.

    `taken_on` None means the date of the file, else today; an empty `view` means the view that the file names. A
    DICOM file that contradicts the patient's record raises Mismatch, unless the sender has `answered` that it is this
    patient.
    """
    data, digest = _content(upload)
    known = find(patient, digest)
    if known:
        return Received(known, created=False)
    _production()
    arrival = _arrival(upload, data, digest)
    return keep(
        user,
        patient,
        arrival,
        taken_on=taken_on,
        view=view,
        note=note,
        priority=priority,
        upload_key=upload_key,
        answered=answered,
    )


def decode_upload(upload: File) -> Arrival:
    """Check and decode a file without keeping anything of it. Raises Refused."""
    return _arrival(upload, *_content(upload))


def find(patient: Patient, digest: str) -> Film | None:
    """Return the patient's film that was made from the bytes of this SHA-256."""
    return Film.objects.filter(patient=patient, sha256=digest).select_related("study").first()


def keep(
    user: User,
    patient: Patient,
    arrival: Arrival,
    *,
    taken_on: date | None,
    view: str = "",
    note: str = "",
    priority: int = Priority.ROUTINE,
    upload_key: uuid.UUID,
    answered: bool = False,
) -> Received:
    """Store a decoded film under a patient and queue its prediction. Raises Refused and Mismatch as `receive` does.

    Films of one `upload_key` gather in one study; those whose date or view came from their files, in one study for
    each of these.
    """
    known = find(patient, arrival.digest)
    if known:
        return Received(known, created=False)
    version = _production()
    decoded, offered = arrival.decoded, arrival.decoded.offered
    found = identity.differences(offered, patient) if offered else []
    day, from_file = _date_taken(patient, arrival, taken_on, found)
    sop_hash = _sop_hash(arrival)
    again = _same_instance(patient, arrival, sop_hash, found)
    if again:
        return Received(again, created=False)
    if found and not answered:
        raise Mismatch(found)
    if not view and offered and offered.view:
        view, from_file = offered.view, True
    film = Film(
        patient=patient,
        sha256=arrival.digest,
        name=arrival.name,
        source_format=decoded.source_format,
        source_bytes=arrival.size,
        width=decoded.width,
        height=decoded.height,
        bits=decoded.bits,
        colourfulness=decoded.colourfulness,
        notes=[*decoded.notes, *_answered(found)],
        facts=_facts(arrival, patient.clinic),
        sop_hash=sop_hash,
        priority=priority,
        uploaded_by=user,
    )
    key = uuid.uuid5(upload_key, f"{day} {view}") if from_file else upload_key
    study = Study(patient=patient, upload_key=key, taken_on=day, view=view, note=note, uploaded_by=user)
    received = _store(film, study, version, decoded)
    return replace(received, differences=tuple(what for what, _, _ in found)) if found else received


def clean_name(name: str) -> str:
    """Return a file name fit for showing: no path, no control characters, NFC, at most 200 characters.

    It is a label only: no file of ours is ever named by it.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C").strip() or "unnamed"
    if len(name) <= NAME_LENGTH:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 10:
        return name[: NAME_LENGTH - 1] + "…"
    return f"{stem[: NAME_LENGTH - len(suffix) - 2]}….{suffix}"


def study_date(clinic: Clinic, day: date) -> date:
    """Return what the clinic keeps of the study date in a file: the day, or the first of its month."""
    return day.replace(day=1) if clinic.study_dates == Clinic.StudyDates.MONTH else day


def _content(upload: File) -> tuple[bytes, str]:
    if upload.size > settings.MAX_FILM_BYTES:
        limit = settings.MAX_FILM_BYTES // 1024**2
        raise Refused(
            f"The file is larger than {limit} MB. Export the film as JPEG or as 8-bit PNG and send that.", 413
        )
    data = upload.read()
    return data, hashlib.sha256(data).hexdigest()


def _arrival(upload: File, data: bytes, digest: str) -> Arrival:
    try:
        decoded = decoder_pool.decode(data)
    except ImageError as error:
        raise Refused(str(error), 413 if error.code == "too-large" else 422) from error
    return Arrival(clean_name(upload.name or ""), digest, len(data), decoded)


def _production() -> ModelVersion:
    version = versions.production()
    if version is None:
        raise Refused("No model is in production, so films cannot be read. Ask a member of staff.", 503)
    return version


def _date_taken(
    patient: Patient, arrival: Arrival, typed: date | None, found: list[Difference]
) -> tuple[date, bool]:
    """Return the date taken and whether it is the file's; add to `found` where typed and file differ."""
    offered = arrival.decoded.offered
    in_file = study_date(patient.clinic, offered.study_date) if offered and offered.study_date else None
    today = timezone.localdate()
    if typed:
        if in_file and study_date(patient.clinic, typed) != in_file:
            found.append((DATE_TAKEN, identity.day(in_file), identity.day(typed)))
        return typed, False
    if in_file is None:
        return today, False
    # East of the server, a film of "tomorrow" was taken today.
    latest = today + timedelta(days=1)
    if in_file > latest or (patient.birth_date and in_file < study_date(patient.clinic, patient.birth_date)):
        when = "in the future" if in_file > latest else "before the patient's birth"
        raise Refused(f"The file's study date, {identity.day(in_file)}, lies {when}. Enter the date taken.")
    return in_file, True


def _sop_hash(arrival: Arrival) -> str:
    uid = arrival.decoded.offered.sop_uid if arrival.decoded.offered else ""
    return salted_hmac("diagnosis.intake.sop", uid, algorithm="sha256").hexdigest() if uid else ""


def _same_instance(patient: Patient, arrival: Arrival, sop_hash: str, found: list[Difference]) -> Film | None:
    """Return the patient's film of the same DICOM instance; raise Refused if its pixels are others.

    Where the instance is filed under another patient of the clinic, that is added to `found`.
    """
    if not sop_hash:
        return None
    same = Film.objects.filter(patient__clinic=patient.clinic_id, sop_hash=sop_hash)
    for film in same.select_related("patient", "study"):
        if film.patient_id != patient.pk:
            found.append(("film", "the same picture", f"filed under {film.patient}"))
        elif film.facts.get("pixels_sha256") == arrival.decoded.facts.get("pixels_sha256"):
            return film
        else:
            raise Refused(
                "A film of the same DICOM number (SOP Instance UID) is here already, but its pixels are others, so one "
                f"of the two was changed. The film of {identity.day(film.study.taken_on)} is kept; this file is not."
            )
    return None


def _answered(found: list[Difference]) -> list[str]:
    """Say in the film's notes what differed, but not what the file said: that may be another patient's identity."""
    what = ", ".join(what for what, _, _ in found)
    return [f"filed under this patient though the file says otherwise: {what}"] if found else []


def _facts(arrival: Arrival, clinic: Clinic) -> dict[str, Any]:
    facts = dict(arrival.decoded.facts)
    offered = arrival.decoded.offered
    if offered and offered.study_date:
        month = clinic.study_dates == Clinic.StudyDates.MONTH
        facts["study_date"] = offered.study_date.isoformat()[: 7 if month else 10]
    return facts


def _store(film: Film, study: Study, version: ModelVersion, decoded: Decoded) -> Received:
    """Write the files, then the rows in one transaction; whatever fails takes the files with it."""
    stem = f"films/{film.patient_id}/{uuid.uuid4().hex}"
    written: list[str] = []
    try:
        for field, suffix, data in (
            (film.file, ".png", decoded.picture),
            (film.thumbnail, "-preview.jpg", decoded.preview),
            (film.values, "-values.png", decoded.values),
        ):
            if data is not None:
                field.name = default_storage.save(stem + suffix, ContentFile(data))
                written.append(field.name)
        with transaction.atomic():
            film.study, _ = Study.objects.get_or_create(
                patient=study.patient,
                upload_key=study.upload_key,
                defaults={
                    "taken_on": study.taken_on,
                    "view": study.view,
                    "note": study.note,
                    "uploaded_by": study.uploaded_by,
                },
            )
            film.save(force_insert=True)
            # Decoding takes time, in which another version may have been promoted.
            Prediction.objects.create(
                film=film, model_version=versions.production() or version, priority=film.priority
            )
            worklist.refresh([film.pk])
            transaction.on_commit(queue.notify_worker)
    except BaseException as error:
        discard(written)
        if isinstance(error, StorageAway):
            raise Refused(f"{error} Nothing is kept of this film. Send it again in a moment.", 503) from error
        known = find(film.patient, film.sha256) if isinstance(error, IntegrityError) else None
        if known:
            # The same film was sent twice at the same moment; the other one was first.
            return Received(known, created=False)
        raise
    return Received(film, created=True)
