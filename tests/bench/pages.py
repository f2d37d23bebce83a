"""What every list costs with 1,000, 10,000 and 100,000 films in the clinic: time, processor time, queries.

`BENCH_FILMS=1000,5000` chooses other sizes. Pages are drawn in this process, without the network.
"""

import os
import statistics
import time
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from diagnosis.reading import worklist, worklist_page
from diagnosis.reading.review_queue import Kind
from pneumoweb.accounts.models import Role, User
from tests.bench import clinic
from tests.bench.clinic import Filled
from tests.support.factories import make_user

Row = dict[str, Any]
SIZES = (1_000, 10_000, 100_000)
REPEATS = 5
ENOUGH = 5.0
"""Seconds after which a slow page is not drawn once more."""


def rows() -> list[Row]:
    """Medians; `ratio` is the processor time against that with the fewest films."""
    sizes = [int(size) for size in os.environ.get("BENCH_FILMS", "").split(",") if size] or SIZES
    found: list[Row] = []
    first: dict[str, float] = {}
    for size in sizes:
        filled = clinic.fill(size)
        clinic.check(filled)
        for user, pages in people(filled, size):
            client = client_of(user)
            for what, address in pages.items():
                row = measured(client, what, address, size)
                row["ratio"] = round(row["cpu_ms"] / first.setdefault(what, row["cpu_ms"]), 2)
                found.append(row)
    return found


def people(filled: Filled, size: int) -> list[tuple[User, dict[str, str]]]:
    """Who looks at which pages."""
    reviewer = filled.user
    reviewer.groups.add(Group.objects.get(name=Role.CLINICIAN))
    order = worklist_page.ORDERS["urgency"]
    last = worklist.visible_rows(reviewer).order_by(*order)[size - 30]
    films, review, patients = reverse("worklist"), reverse("review_queue"), reverse("patients")
    mine = {
        "worklist": films,
        "worklist, all films": f"{films}?show=all",
        "worklist, all films, last page": f"{films}?show=all&after={worklist_page.place_of(last, order)}",
        "worklist, all films, oldest first": f"{films}?show=all&sort=oldest",
        "worklist, most suspicious first": f"{films}?sort=suspicion",
        "worklist, reviewed": f"{films}?show=done",
        "worklist, waits too long": f"{films}?show=overdue",
        "worklist, for a second reader": f"{films}?show=second",
        "worklist, for an adjudicator (none)": f"{films}?show=differ",
        "worklist, waiting for the model": f"{films}?state=waiting",
        "worklist, all films, normal": f"{films}?show=all&answer=NORMAL",
        "worklist, all films, stat": f"{films}?show=all&priority=2",
        "worklist, all films, mine": f"{films}?show=all&assigned=me",
        "worklist, all films, nobody's": f"{films}?show=all&assigned=nobody",
        "worklist, search that finds nobody": f"{films}?show=all&q=nobody",
        "worklist, search that finds one patient": f"{films}?show=all&q={size // 16:06}",
        "worklist, search that finds every 10th": f"{films}?show=all&q=ada",
        "worklist, search that finds all": f"{films}?show=all&q=a",
        "worklist, what is new": f"{reverse('worklist_news')}?since={last.film_id}",
        **{f"review queue, {kind}": f"{review}?kind={kind}" for kind in Kind},
        "newest films (home)": reverse("home"),
        "patients": patients,
        "patients, last page": f"{patients}?after={filled.last_patient}",
        "patients, search that finds nobody": f"{patients}?q=nobody",
        "patients, search that finds every 10th": f"{patients}?q=ada",
        "history of a patient of 40 films": reverse("patient", args=[filled.first_patient]),
        "batches": reverse("batches"),
    }
    staff = {f"monitoring of {days} days": f"{reverse('monitoring')}?days={days}" for days in (30, 365)}
    log = reverse("admin:diagnosis_accesslog_changelist")
    everything = {
        "administrator: worklist of all clinics": films,
        "administrator: worklist of all clinics, all films": f"{films}?show=all",
        "administrator: patients of all clinics": patients,
        "access log": log,
        "access log, search for one user": f"{log}?q={reviewer.email}",
        "access log, search for one patient": f"{log}?q=B{filled.clinic.pk}-{size // 16:06}",
    }
    return [
        (reviewer, mine),
        (make_user("staff", filled.clinic), staff),
        (make_user("administrator", filled.clinic), everything),
    ]


def measured(client: Client, what: str, address: str, size: int) -> Row:
    with CaptureQueriesContext(connection) as queries:
        get(client, address)
        asked = len(queries)
    wall: list[float] = []
    cpu: list[float] = []
    while len(wall) < REPEATS and sum(wall) < ENOUGH:
        begun, used = time.perf_counter(), time.process_time()
        get(client, address)
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    return {
        "what": f"page: {what}, {size:,} films",
        "figure": round(1000 * statistics.median(wall), 1),
        "unit": "ms",
        "cpu_ms": round(1000 * statistics.median(cpu), 1),
        "queries": asked,
    }


def client_of(user: User) -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def get(client: Client, address: str) -> None:
    answer = client.get(address)
    if answer.status_code != 200:
        raise AssertionError(f"{address} answered {answer.status_code}")
