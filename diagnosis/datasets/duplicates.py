"""Near-identical films of different patients: found by fingerprint, shown as suspicious. Worker side."""

import logging
from collections.abc import Callable, Iterable

from diagnosis.datasets import base_folder
from diagnosis.models import Film, Fingerprint, NearIdentical
from ml.images.errors import ImageError
from ml.images.perceptual_hash import fingerprint, near
from ml.images.reader import read_radiograph
from pneumoweb.storage.filesystem import StorageAway

log = logging.getLogger(__name__)


def look(patients: Iterable[int], beat: Callable[[], None] = lambda: None) -> None:
    """Take the fingerprints of the patients' films that have none yet, and remember which look like another's.

    `beat` is called between films. A film that cannot be read gets an empty fingerprint, and is like no other.
    """
    new, wanted = [], set(patients)
    for film in Film.objects.filter(fingerprint__isnull=True).order_by("pk"):
        if film.patient_id in wanted:
            new.append(Fingerprint(film=film, value=_print_of(film)))
            beat()
    # Found before they are stored: a look that broke off is made again as a whole.
    _compare([(row.film_id, row.film.patient_id, bytes(row.value)) for row in new if row.value])
    Fingerprint.objects.bulk_create(new, ignore_conflicts=True)


def prints_of(films: Iterable[int]) -> dict[int, bytes]:
    """Return the fingerprints of the films (by key) that were looked at; an unreadable one has an empty one."""
    found = Fingerprint.objects.filter(film__in=list(films)).values_list("film", "value")
    return {film: bytes(value) for film, value in found}


def links() -> list[tuple[int, int | str]]:
    """Return (patient, other patient) of each suspicion; the other's name where they are of the base folder."""
    pairs = NearIdentical.objects.values_list("film__patient", "other__patient", "base_patient")
    return sorted({(one, other or base_patient) for one, other, base_patient in pairs}, key=str)


def _print_of(film: Film) -> bytes:
    try:
        with film.file.open("rb") as file:
            return fingerprint(read_radiograph(file.read()))
    except StorageAway:
        raise
    except (ImageError, OSError) as error:
        log.warning("film %s cannot be read, so it has no fingerprint: %s", film.pk, error)
        return b""


def _compare(new: list[tuple[int, int, bytes]]) -> None:
    """Remember the pairs of new films with others of the site, and with films of the base folder."""
    if not new:
        return
    known = [
        (film, patient, bytes(value))
        for film, patient, value in Fingerprint.objects.values_list("film", "film__patient", "value")
        if value
    ]
    there = known + new
    found = []
    for place, other, bits in near([row[2] for row in new], [row[2] for row in there]):
        (film, patient, _), (film_2, patient_2, _) = new[place], there[other]
        if patient != patient_2:
            first, second = sorted((film, film_2))
            found.append(NearIdentical(film_id=first, other_id=second, bits=bits))
    found += _like_base(new)
    NearIdentical.objects.bulk_create(found, ignore_conflicts=True)


def _like_base(new: list[tuple[int, int, bytes]]) -> list[NearIdentical]:
    films = [film for film in base_folder.indexed() if film.print]
    pairs = near([row[2] for row in new], [bytes.fromhex(film.print) for film in films])
    return [
        NearIdentical(
            film_id=new[place][0], base_patient=films[other].patient, base_file=films[other].file, bits=bits
        )
        for place, other, bits in pairs
    ]
