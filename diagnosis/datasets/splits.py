"""The split ledger: a patient is given train, validation or holdout once, so that retraining can never leak.

Patients of the site and of the base folder stand in one ledger. Patients whose films are near-identical share a group,
and the share stands at the group: the database has no way to put them on different sides.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from django.db import transaction
from django.utils.crypto import salted_hmac

from diagnosis.datasets import duplicates
from diagnosis.datasets.base_folder import BaseFilm
from diagnosis.models import SplitEntry, SplitGroup
from ml.graph import component_of

SHARES = (
    (SplitGroup.Share.TRAIN, 0.7),
    (SplitGroup.Share.VALIDATION, 0.15),
    (SplitGroup.Share.HOLDOUT, 0.15),
)
STRICTNESS = [share for share, _ in SHARES]
"""From the share that learns to the one that nothing may learn from."""
Owner = int | str
"""A patient: of the site by key, of the base folder by name."""


def shares_of(patients: Collection[int], beat: Callable[[], None] = lambda: None) -> dict[int, str]:
    """Return the share of each patient (by key), giving one to those who have none yet.

    Worker side: it reads films of new patients, to see whose are near-identical. `beat` is called between films.
    """
    wanted: set[Owner] = set(patients)
    duplicates.look(patients, beat)
    found = _shares(wanted, duplicates.links())
    return {pk: share for pk, share in found.items() if isinstance(pk, int)}


def base_shares(films: Sequence[BaseFilm]) -> dict[str, str]:
    """Return the share of each patient of the base folder, giving one to those who have none yet."""
    first: dict[str, str] = {}
    same: list[tuple[Owner, Owner]] = []
    for film in films:
        same.append((first.setdefault(film.sha256, film.patient), film.patient))
    found = _shares({film.patient for film in films}, [*same, *duplicates.links()])
    return {name: share for name, share in found.items() if isinstance(name, str)}


def expected(owners: Iterable[Owner]) -> dict[Owner, str]:
    """Return the share that each has in the ledger, or would be given by itself. Nothing is written."""
    ledger = _ledger()
    return {owner: ledger[owner][1] if owner in ledger else _drawn(owner) for owner in owners}


def stricter(one: str, other: str) -> str:
    """Return the one of two shares that less may learn from."""
    return max(one, other, key=lambda share: STRICTNESS.index(SplitGroup.Share(share)))


def _shares(wanted: set[Owner], links: Iterable[tuple[Owner, Owner]]) -> dict[Owner, str]:
    with transaction.atomic():
        ledger = _ledger()
        parts = _components(wanted - ledger.keys(), ledger.keys(), links)
        strangers = [bound for bound in parts if not bound & ledger.keys()]
        groups = SplitGroup.objects.bulk_create(
            SplitGroup(share=_drawn(min(bound, key=str))) for bound in strangers
        )
        places = {id(bound): group.pk for bound, group in zip(strangers, groups, strict=True)}
        # Where those whom they join differ already, newcomers go where nothing learns from them.
        places |= {
            id(bound): max((ledger[owner] for owner in bound & ledger.keys()), key=_strictness)[0]
            for bound in parts
            if id(bound) not in places
        }
        # Another process may have been first; what it said stands.
        SplitEntry.objects.bulk_create(
            (
                SplitEntry(
                    group_id=places[id(bound)],
                    patient_id=owner if isinstance(owner, int) else None,
                    base_patient=owner if isinstance(owner, str) else None,
                )
                for bound in parts
                for owner in bound - ledger.keys()
            ),
            ignore_conflicts=True,
        )
        ledger = _ledger()
    return {owner: ledger[owner][1] for owner in wanted}


def _ledger() -> dict[Owner, tuple[int, str]]:
    """Group and share of everybody who has one."""
    rows = SplitEntry.objects.values_list("patient_id", "base_patient", "group_id", "group__share")
    return {str(base) if patient is None else patient: (group, share) for patient, base, group, share in rows}


def _components(
    new: set[Owner], known: Collection[Owner], links: Iterable[tuple[Owner, Owner]]
) -> list[set[Owner]]:
    """Connected components of the new owners. Owners already in the ledger are leaves."""
    pairs = [pair for one, other in links for pair in ((one, other), (other, one))]
    component = component_of(
        [*((owner, owner) for owner in new), *(p for p in pairs if p[0] not in known and p[1] not in known)]
    )
    members: dict[int, set[Owner]] = {component[owner]: set() for owner in sorted(new, key=str)}
    for owner, number in component.items():
        members.get(number, set()).add(owner)
    for owner, other in pairs:
        if owner not in known and other in known:
            members.get(component.get(owner, -1), set()).add(other)
    return list(members.values())


def _strictness(entry: tuple[int, str]) -> int:
    return STRICTNESS.index(SplitGroup.Share(entry[1]))


def _drawn(owner: Owner) -> str:
    """A share by a keyed hash: nobody can choose a patient's number so that they fall where it suits."""
    digest = salted_hmac("pneumoweb.splits", str(owner), algorithm="sha256").digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for share, size in SHARES:
        if place < size:
            return share
        place -= size
    return SplitGroup.Share.HOLDOUT
