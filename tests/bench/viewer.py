"""The viewer in a headless Chromium: time to the first picture and to the whole film, and frames while dragging.

The site's real programs serve films of 2,000 pixels at 8 and 16 bits to a browser with an empty cache.
"""

import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
from django.conf import settings
from django.test import Client
from django.urls import reverse
from PIL import Image

from diagnosis.models import Film
from ml.data.dicom_writer import write_film
from pneumoweb.server.supervisor import Supervisor
from tests.bench.pace import running_site
from tests.bench.site import full_size, stored
from tests.conftest import browser_program
from tests.support.factories import make_user
from tests.support.processes import wait_for

Row = dict[str, Any]
LOADS = 5
WARMING = 3
"""Loads before those that count: a site that has just started has yet to import what it needs."""
MOVES = 120
PATIENCE = 120_000
FRAME = 1000 / 60
JITTER = 1.3
"""A frame counts as late from this many milliseconds more: the clock that pages are given is coarse."""

MARKS = """
window.marks = {};
const look = () => {
  const first = document.querySelector(".viewer-first");
  // The next frame begins when this one, with the picture, is on the screen.
  const seen = () => { window.marks.first = performance.now(); };
  if (first && first.complete && first.naturalWidth) requestAnimationFrame(seen);
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
const mark = () => { window.marks.whole = performance.now(); };
document.addEventListener("viewer:ready", () => requestAnimationFrame(mark));
"""
FRAMES = """
window.frames_seen = [];
const tick = (now) => { window.frames_seen.push(now); requestAnimationFrame(tick); };
requestAnimationFrame(tick);
"""


def rows() -> list[Row]:
    """Medians of loads with an empty browser cache, and after another film, as usually; every frame of a drag."""
    eight = full_size("PNG", 1)[0]
    grey = np.asarray(Image.open(BytesIO(eight)).convert("L")).astype(np.uint16)
    noise = np.random.default_rng(1).integers(0, 256, grey.shape, dtype=np.uint16)
    first = stored(eight)
    second = stored(write_film(grey << 8 | noise, bits=16), first.patient.clinic)
    films = {"8 bits": first, "16 bits": second}
    found: list[Row] = []
    with running_site() as supervisor, browser() as chromium:
        for (bits, film), other in zip(films.items(), reversed(films.values()), strict=True):
            found += film_rows(chromium, supervisor, film, other, f"viewer, 2,000 pixels, {bits}")
    return found


def film_rows(chromium: Any, supervisor: Supervisor, film: Film, other: Film, what: str) -> list[Row]:
    address, before = (
        supervisor.site.address.rstrip("/") + reverse("film", args=[shown.pk]) for shown in (film, other)
    )
    first, whole, gaps, later = [], [], [], []
    for load in range(-WARMING, LOADS):
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([session_for(film, supervisor)])
        page = context.new_page()
        page.add_init_script(MARKS)
        page.goto(address, wait_until="commit", timeout=PATIENCE)
        marks = loaded(page)
        if load < 0:
            context.close()
            continue
        first.append(marks["first"])
        whole.append(marks["whole"])
        gaps += drag(page)
        context.close()
        later.append(after_another(chromium, session_for(film, supervisor), before, address))
    late = FRAME + JITTER
    percentiles = statistics.quantiles(gaps, n=100, method="inclusive")
    return [
        {"what": f"{what}: first picture", "figure": round(statistics.median(first), 1), "unit": "ms"},
        {
            "what": f"{what}: first picture, after another film",
            "figure": round(statistics.median(later), 1),
            "unit": "ms",
        },
        {"what": f"{what}: whole film", "figure": round(statistics.median(whole), 1), "unit": "ms"},
        {"what": f"{what}: frame while windowing, p50", "figure": round(percentiles[49], 1), "unit": "ms"},
        {"what": f"{what}: frame while windowing, p95", "figure": round(percentiles[94], 1), "unit": "ms"},
        {"what": f"{what}: frames over 16.7 ms", "figure": share(gaps, late), "unit": "%"},
        {"what": f"{what}: frames over 50 ms", "figure": share(gaps, 50), "unit": "%"},
    ]


def after_another(chromium: Any, cookie: Any, before: str, address: str) -> float:
    """The first picture where the browser has the site's own files already, in milliseconds."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([cookie])
    page = context.new_page()
    page.add_init_script(MARKS)
    for shown in (before, address):
        page.goto(shown, wait_until="commit", timeout=PATIENCE)
        marks = loaded(page)
    context.close()
    return marks["first"]


def loaded(page: Any) -> dict[str, float]:
    """Wait for the whole film; return when it and the first picture were there, in milliseconds."""

    def there() -> bool:
        """The film is there."""
        # Playwright's own waiting would evaluate words, which the page's policy forbids.
        return bool(page.evaluate("Boolean(marks.first && marks.whole)"))

    wait_for(there, PATIENCE / 1000, every=0.05)
    marks: dict[str, float] = page.evaluate("marks")
    return marks


def drag(page: Any) -> list[float]:
    """Drag the window to and fro over the film; return the times between frames, in milliseconds."""
    box = page.locator(".viewer-stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(FRAMES)
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("window.frames_seen.length = 0")
    for n in range(MOVES):
        page.mouse.move(x + (n % 40) * 3 - 60, y + (n % 30) * 2 - 30)
    seen = page.evaluate("window.frames_seen")
    page.mouse.up()
    return [after - before for before, after in pairwise(seen)]


def share(gaps: list[float], limit: float) -> float:
    return round(100 * sum(gap > limit for gap in gaps) / len(gaps), 1)


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    # Its event loop makes Django think that the thread is asynchronous; nothing here is.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    program = browser_program()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(args=arguments, executable_path=program)
        try:
            yield chromium
        finally:
            chromium.close()
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


def session_for(film: Film, supervisor: Supervisor) -> dict[str, str]:
    """A logged-in clinician of the film's clinic, as a cookie."""
    client = Client(headers={"host": "localhost"})
    client.force_login(
        make_user("clinician", film.patient.clinic), "django.contrib.auth.backends.ModelBackend"
    )
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": supervisor.site.address}
