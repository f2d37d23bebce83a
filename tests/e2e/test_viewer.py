"""The viewer in a browser: depth, keys, priors side by side."""

from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.e2e.accessibility import breaches
from tests.e2e.test_film_to_training_run import FINAL, file, log_in, register
from tests.support.pictures import encoded, film_array
from tests.support.processes import LiveSite

SIDE = 400
SPOT = slice(180, 220)
HIDDEN = (30_000, 30_060)  # of 65,535: both are grey 117 of 255


def deep_film() -> bytes:
    """Return a 16-bit film with a plain field, and in it a square that 8 bits cannot tell from the field."""
    values = film_array(11, SIDE).astype(np.uint16) * 257
    values[140:260, 140:260] = HIDDEN[0]
    values[SPOT, SPOT] = HIDDEN[1]
    values[0, :2] = 0, 65_535
    return encoded(Image.fromarray(values))


@pytest.fixture
def faultless(page: Page) -> Page:
    """A page on which no script may fail."""
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    return page


def ready(page: Page, number: int = 1) -> None:
    expect(page.locator(".viewer.live")).to_have_count(number)


def look(page: Page, script: str, number: int = 0) -> Any:
    """Return what `script` says of a viewer `v`, once all that waits to be drawn is drawn."""
    frame = f"""async () => {{
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        const v = document.querySelectorAll('[data-viewer]')[{number}].viewer;
        return {script};
    }}"""
    return page.evaluate(frame)


def grey(page: Page, x: int, y: int) -> int:
    """Return the grey on the screen at a place of the film."""
    place = f"v.toStage({x}, {y})"
    read = f"v.film.getContext('2d').getImageData({place}.x * v.ratio, {place}.y * v.ratio, 1, 1).data[0]"
    return int(look(page, read))


def drag(page: Page, dx: float, dy: float, number: int = 0) -> None:
    box = page.locator(".viewer-stage").nth(number).bounding_box()
    assert box
    x, y = box["x"] + box["width"] * 0.5 - dx / 2, box["y"] + box["height"] * 0.5 - dy / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + dx * step / 8, y + dy * step / 8)
    page.mouse.up()


def upload(page: Page, site: LiveSite, number: str, content: bytes) -> None:
    """Register a patient and open the page of a film that was sent."""
    log_in(page, site, "clinician")
    register(page, site, number, "Vera Viewer")
    page.get_by_label("Drop films here, or choose them").set_input_files([file("deep.png", content)])
    row = page.locator("#arrivals .arrival")
    expect(row.locator(".answer")).to_have_text(FINAL)
    row.locator("a.text-decoration-none").click()
    ready(page)


def test_windowing_shows_what_8_bits_cannot_and_the_keys_do_all_else(
    faultless: Page, live_site: LiveSite
) -> None:
    page = faultless
    upload(page, live_site, "VIEW-1", deep_film())
    assert grey(page, 200, 200) == grey(page, 160, 200) == 117

    width, height = look(page, "[(600 / v.picture.presets.full.width) * (600 - v.window.width), 0]")
    drag(page, width, height)
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+ArrowUp")
    assert look(page, "v.window.width") == pytest.approx(600, abs=150)
    centre = look(page, "v.window.centre")
    assert centre < 32_767
    look(page, f"v.setWindow({HIDDEN[0]}, v.window.width)")
    assert abs(grey(page, 200, 200) - grey(page, 160, 200)) > 15

    page.keyboard.press("d")
    assert grey(page, 200, 200) == 117
    page.keyboard.press("i")
    assert grey(page, 200, 200) == 255 - 117
    page.keyboard.press("i")
    fitting = look(page, "v.scale")
    page.keyboard.press("+")
    assert look(page, "v.scale") == pytest.approx(1.25 * fitting)
    page.keyboard.press("ArrowRight")
    assert look(page, "v.x") == pytest.approx(SIDE / 2 + 60 / (1.25 * fitting))
    page.keyboard.press("r")
    assert look(page, "v.turn") == [0, -1, 1, 0]
    assert (
        look(
            page,
            "(({x, y}) => { const f = v.toFilm(x, y); return Math.round(f.x * 10 + f.y); })(v.toClient(7, 5))",
        )
        == 75
    )
    page.keyboard.press("d")
    assert look(page, "[v.scale, v.x, v.upright]") == [fitting, SIDE / 2, True]

    page.keyboard.press("m")
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".viewer-said")).to_have_text(f"Distance: {round(50 / fitting)} pixels.")
    page.keyboard.press("Delete")
    assert look(page, "v.controls.measure.lines.length") == 0

    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys of the viewer")
    expect(dialog).to_be_visible()
    assert not breaches(page)
    dialog.get_by_label("Single keys work").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("i")
    assert look(page, "v.inverted") is False


def test_a_film_that_is_known_in_millimetres_is_measured_in_them(
    faultless: Page, live_site: LiveSite
) -> None:
    page = faultless
    log_in(page, live_site, "clinician")
    page.goto(f"{live_site.url}films/1/")
    ready(page)
    page.get_by_role("button", name="Measure").click()
    expect(page.locator(".viewer-said")).to_contain_text("distances are in pixels")
    look(page, "v.facts.spacing = {row: 0.2, column: 0.1, detector: true}")
    drag(page, 200, 0)
    scale = look(page, "v.scale")
    expect(page.locator(".viewer-said")).to_have_text(f"Distance: {20 / scale:.1f} mm at the detector.")


def test_priors_side_by_side_move_together_until_loosened(faultless: Page, live_site: LiveSite) -> None:
    page = faultless
    log_in(page, live_site, "clinician")
    page.goto(f"{live_site.url}patients/1/")
    page.get_by_role("link", name="Side by side").click()
    ready(page, 2)
    dates = page.locator(".side-head h2")
    expect(dates).to_have_count(2)

    def state(number: int) -> list[float]:
        seen: list[float] = look(page, "[v.scale / v.fitScale(), v.x / v.width, v.window.width]", number)
        return seen

    def together() -> None:
        assert state(0) == pytest.approx(state(1))

    box = page.locator(".viewer-stage").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.wheel(0, -300)
    assert state(0)[0] > 1.5
    together()
    drag(page, -60, 10)
    assert state(0)[2] < 240
    together()
    page.locator(".viewer-stage").nth(1).focus()
    page.keyboard.press("ArrowLeft")
    together()
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Linked")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("+")
    assert state(1)[0] == pytest.approx(state(0)[0] * 1.25)
    before = dates.all_inner_texts()
    page.keyboard.press("s")
    page.wait_for_url("**left=*&right=*")
    ready(page, 2)
    assert dates.all_inner_texts() == before[::-1]


def test_without_script_the_plain_film_and_its_heatmap_are_there(
    browser: Browser, live_site: LiveSite
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, live_site, "clinician")
    page.goto(f"{live_site.url}films/1/")
    expect(page.locator(".viewer-plain")).to_be_visible()
    expect(page.locator("#overlay image")).to_be_visible()
    context.close()


def test_what_the_browser_cannot_unpack_is_shown_at_8_bits_and_said(
    faultless: Page, live_site: LiveSite
) -> None:
    page = faultless
    log_in(page, live_site, "clinician")
    page.route("**/values.png", lambda route: route.fulfill(status=503, body="away"))
    page.goto(f"{live_site.url}films/1/")
    ready(page)
    expect(page.locator(".viewer-said")).to_contain_text("8 bits")
    assert grey(page, 250, 200) > 20


def test_a_film_out_of_reach_is_said(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "clinician")
    for name in ("values.png", "image.png", "preview.jpg"):
        page.route(f"**/{name}", lambda route: route.fulfill(status=503, body="away"))
    page.goto(f"{live_site.url}films/1/")
    said = "The storage of films does not answer. Load the page again in a moment."
    expect(page.locator(".viewer-said")).to_have_text(said)
