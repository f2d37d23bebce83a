"""Regions on the review's viewer: where they lie, how they are drawn without a drag; the page without a script."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.accessibility import breaches
from tests.e2e.test_film_to_training_run import log_in
from tests.e2e.test_reading import wait_for_answers
from tests.e2e.test_viewer import look, ready
from tests.support.processes import LiveSite

FILM = "review/films/3/"


@pytest.fixture
def review(page: Page, live_site: LiveSite) -> Iterator[Page]:
    """The review of a film that nobody else has, with no region on it; it is given back in the end."""
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    log_in(page, live_site, "reviewer")
    wait_for_answers(page, live_site)
    page.goto(live_site.url + FILM)
    ready(page)
    for _ in drawn(page):
        page.get_by_role("button", name="Take region").first.click()
    yield page
    page.goto(live_site.url + FILM)
    page.get_by_role("button", name="Leave the film").click()


def middle(page: Page) -> tuple[float, float]:
    page.locator(".viewer").scroll_into_view_if_needed()
    box = page.locator(".viewer-stage").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drawn(page: Page) -> Any:
    return json.loads(page.locator("#id_region").input_value() or "[]")


def drag(page: Page, *places: tuple[float, float]) -> None:
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(x, y, steps=4)
    page.mouse.up()


def test_a_box_on_a_turned_and_enlarged_film_lies_where_it_was_drawn(
    review: Page, live_site: LiveSite
) -> None:
    page = review
    for key in ("x", "r", "+", "+", "b"):
        page.keyboard.press(key)
    width, height, stage_w, stage_h = look(
        page, "[v.width, v.height, v.stage.clientWidth, v.stage.clientHeight]"
    )
    scale = min(stage_w / height, stage_h / width) * 1.25**2
    x, y = middle(page)
    drag(page, (x - 100, y - 40), (x + 60, y + 80))
    # Mirrored left and right, then turned clockwise: a way (u, v) on the film is seen as (-v, -u).
    expected = [
        [width / 2 - 80 / scale, height / 2 - 60 / scale],
        [width / 2 + 40 / scale, height / 2 + 100 / scale],
    ]
    (region,) = drawn(page)
    for point, wanted in zip(region["points"], expected, strict=True):
        assert point == pytest.approx(wanted, abs=1.5)
    seen = page.locator(".regions .mine .line").bounding_box()
    assert seen
    assert [seen["x"], seen["y"], seen["width"], seen["height"]] == pytest.approx(
        [x - 100, y - 40, 160, 120], abs=3
    )
    # It is moved as it is seen, by a key and by its line.
    page.keyboard.press("w")
    page.locator(".regions .mine").focus()
    page.keyboard.press("ArrowRight")
    drag(page, (x - 92, y), (x - 72, y))
    moved = page.locator(".regions .mine .line").bounding_box()
    assert moved
    assert [moved["x"] - seen["x"], moved["y"] - seen["y"]] == pytest.approx([28, 0], abs=1)
    assert look(page, "v.tool") == "window"
    assert look(page, "v.preset") == "own"

    kept = drawn(page)
    page.get_by_role("button", name="Unreadable").click()
    expect(page.get_by_text("Kept: Unreadable")).to_be_visible()
    page.goto(live_site.url + FILM)
    ready(page)
    assert drawn(page) == kept
    page.keyboard.press("d")
    scale = look(page, "v.scale")
    x, y = middle(page)
    upright = page.locator(".regions .mine .line").bounding_box()
    assert upright
    assert upright["x"] == pytest.approx(x + (kept[0]["points"][0][0] - width / 2) * scale, abs=3)
    assert upright["y"] == pytest.approx(y + (kept[0]["points"][0][1] - height / 2) * scale, abs=3)


def test_regions_are_drawn_by_clicks_and_by_keys_and_the_page_keeps_to_wcag(review: Page) -> None:
    page = review
    x, y = middle(page)
    page.keyboard.press("b")
    page.mouse.click(x - 90, y - 90)
    page.mouse.click(x - 10, y - 20)
    page.keyboard.press("c")
    for place in ((x + 20, y), (x + 90, y), (x + 60, y + 70), (x + 21, y + 1)):
        page.mouse.click(*place)
    five_up, five_left = ["ArrowUp"] * 5, ["ArrowLeft"] * 5
    for key in ("Enter", *five_up, "Enter", *five_left, "Enter", "Enter"):  # the cross begins in the middle
        page.keyboard.press(key)
    regions = drawn(page)
    assert [(r["kind"], len(r["points"])) for r in regions] == [("box", 2), ("outline", 3), ("outline", 3)]
    scale = look(page, "v.scale")
    (x0, y0), (x1, y1), (x2, y2) = regions[2]["points"]
    assert [x1 - x0, y1 - y0, x2 - x1, y2 - y1] == pytest.approx([0, -50 / scale, -50 / scale, 0], abs=0.5)

    pad = page.get_by_role("group", name="Move and size region 3")
    pad.get_by_role("button", name="Move right").click()
    pad.get_by_role("button", name="Wider").click()
    (u0, _), _, (u2, _) = drawn(page)[2]["points"]
    assert u2 == pytest.approx(x2 + 8 / scale, abs=0.5)
    assert u0 - u2 == pytest.approx(x0 - x2 + 8 / scale, abs=0.5)
    page.emulate_media(reduced_motion="reduce")  # else the colours would still be on their way
    assert not breaches(page)
    page.locator(".regions .mine").first.focus()
    page.keyboard.press("Delete")
    assert [region["kind"] for region in drawn(page)] == ["outline", "outline"]
    page.keyboard.press("m")
    page.mouse.click(x, y)
    page.mouse.click(x + 50, y)
    expect(page.locator(".viewer-said")).to_have_text(f"Distance: {round(50 / scale)} pixels.")


def test_every_key_of_the_table_is_taken_on_a_review(review: Page) -> None:
    table = "JSON.parse(document.querySelector('[data-keys]').dataset.keys)"
    done = review.evaluate(
        f"""() => Object.keys({table}).filter(key => key !== 'v').filter(key => {{
            const event = new KeyboardEvent('keydown', {{ key, bubbles: true, cancelable: true, repeat: true }});
            document.body.dispatchEvent(event);
            document.querySelector('dialog[open]')?.close();
            document.activeElement.blur();
            return !event.defaultPrevented;
        }})"""
    )
    # Nothing to keep, to undo or of others is on this page; full screen asks for a person's own key press.
    assert set(done) <= {"k", "z", "a"}


def test_without_script_the_film_is_there_and_a_verdict_can_be_given(
    browser: Browser, live_site: LiveSite
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, live_site, "reviewer")
    page.goto(live_site.url + FILM)
    expect(page.locator(".viewer-plain")).to_be_visible()
    expect(page.locator(".viewer-tools")).to_be_hidden()
    page.get_by_label("Remark").fill("plain")
    page.get_by_role("button", name="Unreadable").click()
    expect(page.get_by_text("Kept: Unreadable")).to_be_visible()
    page.get_by_role("button", name="Leave the film").click()
    context.close()
