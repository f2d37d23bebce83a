"""A film arrives: validate, decode, strip, store, create the rows, wake a worker after commit.

What is stored is the picture alone: a lossless greyscale PNG without any metadata of the source.
"""

import hashlib
import logging
import threading
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import date

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction

from diagnosis import registry, tasks
from diagnosis.models import Film, ModelVersion, Patient, Prediction, Study
from ml.images import ImageError, read_radiograph, thumbnail, to_png
from pneumoweb.accounts.models import User

log = logging.getLogger(__name__)

NAME_LENGTH = Film._meta.get_field("name").max_length or 200
# A film of 50 megapixels takes some hundred megabytes while it is decoded: two at a time in one process.
_decoders = threading.BoundedSemaphore(2)


class Refused(Exception):
    """The file is not taken in. The message says why and what to do; `status` is HTTP's word for it."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Received:
    """A film that is stored; `created` is False where the same picture of this patient was there already."""

    film: Film
    created: bool


def receive(
    user: User,
    patient: Patient,
    upload: File,
    *,
    taken_on: date,
    view: str = "",
    note: str = "",
    upload_key: uuid.UUID,
) -> Received:
    """Take in one film of a patient and queue its prediction. Raises Refused; then nothing is kept."""
    name = clean_name(upload.name or "")
    if upload.size > settings.MAX_FILM_BYTES:
        limit = settings.MAX_FILM_BYTES // 1024**2
        raise Refused(
            f"The file is larger than {limit} MB. Export the film as JPEG or as 8-bit PNG and send that.", 413
        )
    data = upload.read()
    digest = hashlib.sha256(data).hexdigest()
    known = _known(patient, digest)
    if known:
        return Received(known, created=False)
    version = registry.production()
    if version is None:
        raise Refused("No model is in production, so films cannot be read. Ask a member of staff.", 503)
    try:
        with _decoders:
            radiograph = read_radiograph(data)
            picture, preview = to_png(radiograph), thumbnail(radiograph)
    except ImageError as error:
        raise Refused(str(error), 413 if error.code == "too-large" else 422) from error
    film = Film(
        patient=patient,
        sha256=digest,
        name=name,
        source_format=radiograph.source_format,
        source_bytes=len(data),
        width=radiograph.width,
        height=radiograph.height,
        bits=radiograph.bits,
        colourfulness=radiograph.colourfulness,
        notes=list(radiograph.notes),
        uploaded_by=user,
    )
    study = Study(
        patient=patient, upload_key=upload_key, taken_on=taken_on, view=view, note=note, uploaded_by=user
    )
    return _store(film, study, version, picture, preview)


def again(film: Film, version: ModelVersion) -> Prediction:
    """Queue a film for a model version that has not read it yet; an answer that stands stays."""
    with transaction.atomic():
        prediction, created = Prediction.objects.get_or_create(film=film, model_version=version)
        if created:
            transaction.on_commit(tasks.wake)
    return prediction


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


def _known(patient: Patient, digest: str) -> Film | None:
    return Film.objects.filter(patient=patient, sha256=digest).select_related("study").first()


def _store(film: Film, study: Study, version: ModelVersion, picture: bytes, preview: bytes) -> Received:
    """Write the files, then the rows in one transaction; whatever fails takes the files with it."""
    stem = f"films/{film.patient_id}/{uuid.uuid4().hex}"
    written: list[str] = []
    try:
        for suffix, data in ((".png", picture), ("-preview.jpg", preview)):
            written.append(default_storage.save(stem + suffix, ContentFile(data)))
        film.file.name, film.thumbnail.name = written
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
            Prediction.objects.create(film=film, model_version=registry.production() or version)
            transaction.on_commit(tasks.wake)
    except BaseException as error:
        for name in written:
            default_storage.delete(name)
        known = _known(film.patient, film.sha256) if isinstance(error, IntegrityError) else None
        if known:
            # The same film was sent twice at the same moment; the other one was first.
            return Received(known, created=False)
        raise
    return Received(film, created=True)
