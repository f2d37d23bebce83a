"""The access log: a hash chain that shows when a row was changed or taken out."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import get_adapter
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from diagnosis.models import AccessLog, Film, Listed, Patient
from pneumoweb.accounts.models import User
from pneumoweb.accounts.roles import UserRequest

START = "0" * 64
# The key of the lock: any number that nothing else in this database locks by.
TURN = 0x6163636573734C6F
ASKED_LENGTH = 200
WHAT_LENGTH = AccessLog._meta.get_field("what").max_length


def record(request: UserRequest, action: str, patient: Patient | None, what: str) -> None:
    """Append one row: the request's user did `action` to `what` of `patient` (None for a search).

    The address is the one behind our own proxies.
    """
    append(request.user, action, patient, what, address=get_adapter(request).get_client_ip(request))


def record_search(request: UserRequest, what: str) -> None:
    """Log who searched for what: once, however often the same list is drawn anew or gone through."""
    if request.session.get("last_search") != what:
        request.session["last_search"] = what
        record(request, AccessLog.Action.SEARCHED, None, what[:WHAT_LENGTH])


def record_list(
    request: UserRequest, name: str, films: Iterable[Film] = (), patients: Iterable[int] = (), **more: Any
) -> None:
    """Log that a list was opened, in one row: which, as what was asked for, and whom it showed; nobody, no row.

    A view calls it once a page, not where a page that is open asks for what has changed. `patients` are keys beside
    those of the films' patients; `more` is what else the list showed, as JSON.
    """
    shown = list(films)
    people = sorted({film.patient_id for film in shown} | set(patients))
    if not people and not more:
        return
    asked = {key: value[:ASKED_LENGTH] for key, value in request.GET.items() if value}
    detail = {"list": name, "asked": asked, "patients": people, "films": [film.pk for film in shown], **more}
    what = f"{name}: {len(people)} patient{'' if len(people) == 1 else 's'}" if people else name
    address = get_adapter(request).get_client_ip(request)
    append(request.user, AccessLog.Action.LISTED, None, what[:WHAT_LENGTH], address, detail)


def append(
    user: User,
    action: str,
    patient: Patient | None,
    what: str,
    address: str | None,
    detail: dict[str, Any] | None = None,
) -> AccessLog:
    """Append one row behind the newest. Writers take turns: each waits until the one before has committed."""
    with transaction.atomic():
        take_turn()
        newest = AccessLog.objects.order_by("-pk").values_list("digest", flat=True).first()
        row = AccessLog(
            user=user, action=action, patient=patient, what=what, at=timezone.now(), address=address or None,
            detail=detail or {}, previous=newest or START,
        )  # fmt: skip
        row.digest = digest(row)
        row.save(force_insert=True)
        Listed.objects.bulk_create(
            Listed(row=row, patient_id=shown) for shown in row.detail.get("patients", ())
        )
    return row


def rows_of(users: Collection[int], patients: Collection[int]) -> QuerySet[Any]:
    """Return the keys of rows by these users, about these patients, and of lists that showed one of them."""
    rows = AccessLog.objects.order_by().values("pk")
    lists = Listed.objects.filter(patient__in=patients).values("row")
    return rows.filter(user__in=users).union(rows.filter(patient__in=patients), lists)


def take_turn() -> None:
    """Wait until no other transaction is between reading the newest row and committing the one behind it.

    SQLite has one writer at a time, and takes the lock as the transaction begins. PostgreSQL gives a lock that lasts
    until the transaction ends; it hands it out in the order of asking, so that nobody waits for ever. The unique
    `previous` stays the guard behind it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURN])


def digest(row: AccessLog) -> str:
    """Return the SHA-256 of the row's facts and of the row before it."""
    at: datetime = row.at.astimezone(UTC)
    facts: list[Any] = [
        row.previous,
        row.user_id,
        row.action,
        row.patient_id,
        row.what,
        at.isoformat(),
        row.address,
    ]
    # A row without detail has the digest that it had before there was any. A database may keep keys in another order.
    facts += [row.detail] if row.detail else []
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def broken_links() -> Iterator[AccessLog]:
    """Yield each row whose hash is not that of its facts, or which does not follow the row before it."""
    previous = START
    for row in AccessLog.objects.order_by("pk").iterator():
        if row.digest != digest(row) or row.previous != previous:
            yield row
        previous = row.digest
