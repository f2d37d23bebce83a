"""Every page of the site in a browser, with data: WCAG in dark and light, phones, one heading, no fault, no other host.

The addresses are those of tests/test_permissions.py, so that a new page cannot be forgotten.
"""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from django.conf import settings as site_settings
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from diagnosis.models import Film, ModelVersion, Outcome, Patient, Prediction, Review, Study
from diagnosis.reading import worklist
from ml.evaluation import reference_histograms
from ml.images.preprocessing import AREA_MEANS, Preparation
from ml.images.radiograph import Radiograph
from tests.core.test_permissions import ADDRESSES, World, make_world
from tests.e2e.accessibility import breaches
from tests.support.factories import (
    CARD,
    AnswerFactory,
    ArrivalFactory,
    FilmFactory,
    PredictionFactory,
    make_user,
)

LONG = "Bartholomew-Alexander Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh"
PHONES = (390, 360)


@pytest.fixture
def world(settings: Any, transactional_db: None) -> World:
    """The matrix's own clinic, with films of every state, readers who differ, and films unlike those of validation."""
    settings.ALLOWED_HOSTS = ["localhost"]
    found = make_world()
    version = found.prediction.model_version
    ModelVersion.objects.filter(pk=version.pk).update(card={**CARD, "reference": described()})
    Patient.objects.filter(pk=found.patient.pk).update(name=LONG, mrn="0123456789-" * 5)
    prior = AnswerFactory(film__study__patient=found.patient, model_version=version)
    differ = AnswerFactory(film__study__patient=found.patient, model_version=version)
    for verdict in ("normal", "pneumonia"):
        by = make_user("reviewer", found.clinic, first_name=LONG)
        Review.objects.create(prediction=differ, reviewer=by, verdict=verdict, remark="Dense " * 30)
    Outcome.objects.create(
        film=prior.film, diagnosis="other", source="CT", known_on=timezone.localdate(), by=by
    )
    ArrivalFactory(
        batch=found.arrival.batch, state="expected", decoded=None, picture="", preview="", offered=None
    )
    drifted(found, version)
    worklist.refresh(Film.objects.values_list("pk", flat=True))
    return found


def described() -> dict[str, Any]:
    """The reference of a version that was validated on 200 darker films, half of them ill."""
    random = np.random.default_rng(1)
    ill = np.arange(200) % 2
    greys = [random.normal(70, 20, (96, 96)).clip(0, 255).astype(np.uint8) for _ in ill]
    films = [Radiograph(grey, 8, "PNG") for grey in greys]
    probabilities = np.clip(random.normal(0.2, 0.1, 200) + 0.6 * ill, 0.01, 0.99)
    patients = [str(number) for number in range(200)]
    return reference_histograms.describe(films, probabilities, ill, patients, Preparation(96, AREA_MEANS))


def drifted(found: World, version: ModelVersion) -> None:
    """Sixty patients whose films are brighter than any of the validation."""
    owner = found.patient.created_by
    patients = Patient.objects.bulk_create(
        Patient(clinic=found.clinic, mrn=uuid.uuid4().hex, name="Invented", sex="F", created_by=owner)
        for _ in range(60)
    )
    shared: dict[str, Any] = {"taken_on": timezone.localdate(), "uploaded_by": owner}
    studies = Study.objects.bulk_create(Study(patient=p, upload_key=uuid.uuid4(), **shared) for p in patients)
    picture = found.prediction.film
    films = Film.objects.bulk_create(
        Film(
            study=study, patient=study.patient, sha256=uuid.uuid4().hex, name="film.png", file=picture.file.name,
            thumbnail=picture.file.name, source_format="PNG", source_bytes=1, width=256, height=256, bits=8,
            uploaded_by=owner,
        )
        for study in studies
    )  # fmt: skip
    answer: dict[str, Any] = {
        "model_version": version,
        "state": "succeeded",
        "label": "NORMAL",
        "probability": 0.1,
        "threshold": 0.5,
    }
    seen: dict[str, Any] = {"picture_mean": 0.7, "picture_deviation": 0.2, "picture_sharpness": 8.0}
    times: dict[str, Any] = {
        "waiting_seconds": 0.4,
        "reading_seconds": 0.2,
        "queued_at": timezone.now() - timedelta(hours=1),
    }
    Prediction.objects.bulk_create(Prediction(film=film, **answer, **seen, **times) for film in films)
    refused = {"reasons": ["This is a colour picture, not a radiograph."]}
    for state, more in (("rejected", refused), ("failed", {"failure": "x" * 300}), ("queued", {})):
        film = FilmFactory(study__patient=patients[0])
        PredictionFactory(film=film, model_version=version, state=state, **more)


class Walker:
    """A browser page that goes to addresses and collects what is wrong there."""

    def __init__(self, page: Page, server: str) -> None:
        self.page, self.server = page, server
        self.faults: dict[str, list[str]] = {}
        self.titles: dict[str, str] = {}
        self.at = ""
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: self.note(f"script: {error}"))
        page.on("console", lambda line: self.note(line.text) if line.type == "error" else None)
        page.on("request", lambda request: self.note(request.url) if not self.is_own(request.url) else None)

    def is_own(self, url: str) -> bool:
        return url.startswith((self.server, "data:", "blob:"))

    def note(self, fault: str) -> None:
        self.faults.setdefault(self.at, []).append(fault)

    def look(self, address: str) -> None:
        """Look at one page; fragments, pictures and tables are none."""
        self.at = address
        answer = self.page.request.get(self.server + address)
        if not answer.ok:
            self.note(f"status {answer.status}")
            return
        if (
            not answer.headers["content-type"].startswith("text/html")
            or "<!doctype" not in answer.text()[:20]
        ):
            return
        self.page.goto(self.server + address, wait_until="load")
        self.page.evaluate(
            "for (const more of document.querySelectorAll('details:not(.menu)')) more.open = true"
        )
        self.headings(address)
        self.widths()
        for breach in breaches(self.page):
            self.note(breach)

    def headings(self, address: str) -> None:
        if self.page.locator("h1").count() != 1:
            self.note(f"{self.page.locator('h1').count()} first headings")
        title = self.page.title()
        if not title.endswith("PneumoWeb") or title == "PneumoWeb":
            self.note(f"the title is {title!r}")
        self.titles[address] = title

    def widths(self) -> None:
        for wide in PHONES:
            self.page.set_viewport_size({"width": wide, "height": 800})
            reached = self.page.evaluate("document.documentElement.scrollWidth")
            if reached > wide:
                self.note(f"{reached} px wide on a phone of {wide}")


@pytest.fixture
def walker(browser: Browser, world: World, live_server: LiveServer) -> Iterator[Walker]:
    """An administrator of the world's clinic, logged in, on a phone in a dark room."""
    client = Client()
    client.force_login(make_user("administrator", world.clinic))
    context = browser.new_context(
        color_scheme="dark", reduced_motion="reduce", viewport={"width": PHONES[0], "height": 800}
    )
    name = site_settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
    yield Walker(context.new_page(), live_server.url)
    context.close()
    connection.close()


@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_every_page_is_whole(walker: Walker, world: World) -> None:
    pages = [
        f"{reverse(a.name, kwargs=world.pk(a.about))}?{urlencode(a.data)}"
        for a in ADDRESSES
        if a.method == "get" and a.status < 400
    ]
    states = [
        reverse("film", args=[film.pk]) for film in Film.objects.exclude(predictions__state="succeeded")
    ]
    more = [
        "/worklist/?show=all",
        "/review/?kind=disputed",
        "/accounts/profile/",
        "/accounts/password/change/",
    ]
    for address in [*pages, *states, *more]:
        walker.look(address)
    assert not walker.faults
    assert "/monitoring/?" in walker.titles
    assert len(walker.titles) > 30


@pytest.mark.django_db(transaction=True)
def test_keys_open_and_close_and_the_focus_comes_back(walker: Walker, world: World) -> None:
    page = walker.page
    page.goto(walker.server + reverse("worklist"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('content').contains(document.activeElement)")
    menu = page.locator(".menu > summary")
    menu.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.menu-box') !== null")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.menu > summary')")
    for address, button in (
        (reverse("worklist"), "[data-help]"),
        (reverse("film", args=[world.prediction.film_id]), "[data-help]:not(:disabled)"),
    ):
        page.goto(walker.server + address)
        page.locator(button).first.focus()
        page.keyboard.press("Enter")
        assert page.locator("dialog[open]").count() == 1, address
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0, address
        assert page.evaluate("button => document.activeElement.matches(button)", button), address
    assert not walker.faults


@pytest.mark.django_db(transaction=True)
def test_the_focus_is_seen_wherever_it_goes(walker: Walker, world: World) -> None:
    """Each stop of the Tab key has an outline or a ring (WCAG 2.4.7)."""
    page = walker.page
    unseen: list[str] = []
    for address in (reverse("home"), reverse("patient", args=[world.patient.pk]), reverse("models")):
        page.goto(walker.server + address)
        for _ in range(40):
            page.keyboard.press("Tab")
            stop = page.evaluate(
                """() => {
                    const at = document.activeElement;
                    if (!at || at === document.body) return null;
                    const style = getComputedStyle(at);
                    const seen = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2)
                        || style.boxShadow !== "none";
                    return [at.outerHTML.slice(0, 90), seen];
                }"""
            )
            if stop is None:
                break
            if not stop[1]:
                unseen.append(f"{address}: {stop[0]}")
    assert not unseen
