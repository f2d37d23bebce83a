"""The split ledger: a patient is given train, validation or holdout once, so that retraining can never leak."""

from collections.abc import Iterable

from django.db import transaction
from django.utils.crypto import salted_hmac

from diagnosis.models import SplitEntry

SHARES = (
    (SplitEntry.Share.TRAIN, 0.7),
    (SplitEntry.Share.VALIDATION, 0.15),
    (SplitEntry.Share.HOLDOUT, 0.15),
)


def shares_of(patients: Iterable[int]) -> dict[int, str]:
    """Return the share of each patient (by key), giving one to those who have none yet."""
    wanted = sorted(set(patients))
    with transaction.atomic():
        known = set(SplitEntry.objects.filter(patient__in=wanted).values_list("patient_id", flat=True))
        SplitEntry.objects.bulk_create(
            [SplitEntry(patient_id=pk, share=_drawn(pk)) for pk in wanted if pk not in known],
            ignore_conflicts=True,
        )
    return dict(SplitEntry.objects.filter(patient__in=wanted).values_list("patient_id", "share"))


def share_of_base(patient: str) -> str:
    """Return the share of a patient of the base folder, by the key of `ml.dataset.patient_of`."""
    return _drawn(f"base {patient}")


def _drawn(patient: int | str) -> str:
    """A share by a keyed hash: nobody can choose a patient's number so that they fall where it suits."""
    digest = salted_hmac("pneumoweb.splits", str(patient), algorithm="sha256").digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for share, size in SHARES:
        if place < size:
            return share
        place -= size
    return SplitEntry.Share.HOLDOUT
