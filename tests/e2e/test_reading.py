"""Worklist and review in a browser: by keys alone, blind first, with several readers; no page breaks WCAG."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.accessibility import breaches
from tests.e2e.test_film_to_training_run import log_in
from tests.e2e.test_viewer import ready
from tests.support.processes import LiveSite

READ = re.compile(r"Pneumonia|Normal|Not answered|Failed|Hidden")
PAGES = [
    "worklist/?show=all",
    "review/",
    "review/films/2/",
    "review/readers/",
    "films/2/",
    "films/2/outcome/",
]


@pytest.fixture
def faults(page: Page) -> Iterator[None]:
    """Fail a test whose page reports an error of a script or of the content security policy."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda line: found.append(line.text) if line.type == "error" else None)
    yield
    assert not found


def rules(browser: Browser, site: LiveSite, *, blind: bool = False, share: int = 0) -> None:
    """Set the demo clinic's rules, as its administrator does."""
    page = browser.new_page()
    log_in(page, site, "admin")
    page.locator(".menu > summary").click()
    page.get_by_role("link", name="The clinic's rules").click()
    page.get_by_label("Verdict before the model's answer").set_checked(blind)
    page.get_by_label("Films with a second reader").fill(str(share))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("are saved")).to_be_visible()
    page.close()


@pytest.fixture
def usual_rules(browser: Browser, live_site: LiveSite) -> Iterator[None]:
    yield
    rules(browser, live_site)


def wait_for_answers(page: Page, site: LiveSite) -> None:
    page.goto(f"{site.url}worklist/?show=all")
    for answer in page.locator("tr[data-row] .answer").all():
        expect(answer).to_have_text(READ)


@pytest.mark.usefixtures("faults")
def test_a_whole_reading_by_keys_alone(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "reviewer")
    wait_for_answers(page, live_site)
    page.goto(f"{live_site.url}worklist/")
    press = page.keyboard.press
    press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    press("Escape")
    press("/")
    expect(page.locator("#id_q")).to_be_focused()
    page.keyboard.type("basil")
    # Other tests on this site may have added films of the same patient.
    expect(page.locator("tr[data-row]").filter(has_not_text="Basil")).to_have_count(0)
    press("Escape")
    name = page.locator("tr[data-row] a[data-open]").first
    expect(name).to_be_focused()
    press("a")
    expect(page.locator("tr[data-row]").first.get_by_role("button")).to_have_text("Me")
    expect(name).to_be_focused()
    press("j")
    expect(page.locator("tr[data-row] a[data-open]").nth(1)).to_be_focused()
    press("k")
    press("Enter")
    expect(page.get_by_role("heading", name="Basil Thorne (demo)")).to_be_visible()
    address = page.url
    ready(page)
    press("h")
    expect(page.locator("[data-do=heat]")).to_have_attribute("aria-pressed", "false")
    press("Shift+B")
    expect(page.locator(".regions .chosen")).to_be_focused()
    box = page.locator(".regions .chosen .line")
    before = box.bounding_box()
    press("ArrowLeft")
    press("Shift+ArrowDown")
    after = box.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] < before["x"]
    assert after["height"] > before["height"]
    press("t")
    page.keyboard.type("left base, no doubt")
    press("Escape")
    press("p")
    expect(page.get_by_text("Kept: Pneumonia")).to_be_visible()
    assert page.url != address
    ready(page)
    press("z")
    expect(page.get_by_text("Your verdict is taken back")).to_be_visible()
    ready(page)
    press("n")
    expect(page.get_by_text("Kept: Normal")).to_be_visible()
    page.goto(address)
    verdicts = page.locator(".verdicts li")
    expect(verdicts).to_have_count(2)
    expect(verdicts.nth(1)).to_contain_text("withdrawn")
    expect(verdicts.nth(1)).to_contain_text("1 region")


@pytest.mark.usefixtures("faults")
def test_a_key_gives_no_verdict_on_a_film_that_is_not_there_yet(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "reviewer")
    wait_for_answers(page, live_site)
    held: list[Route] = []
    page.route("**/values.png", lambda route: held.append(route))
    page.goto(f"{live_site.url}review/films/3/", wait_until="domcontentloaded")
    before = page.locator(".verdicts li").count()
    page.keyboard.press("n")
    expect(page.locator(".viewer-said")).to_have_text(re.compile("still on its way"))
    held.pop().continue_()
    ready(page)
    expect(page.locator(".viewer-said")).to_be_hidden()
    page.unroute("**/values.png")
    page.reload()
    expect(page.locator(".verdicts li")).to_have_count(before)
    page.get_by_role("button", name="Leave the film").click()


@pytest.mark.usefixtures("faults", "usual_rules")
def test_a_blind_first_review(page: Page, browser: Browser, live_site: LiveSite) -> None:
    asked: list[str] = []
    log_in(page, live_site, "reviewer")
    wait_for_answers(page, live_site)
    rules(browser, live_site, blind=True)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{live_site.url}review/")
    page.get_by_role("button", name="Start with the first").click()
    expect(page.get_by_text("You read first")).to_be_visible()
    ready(page)
    page.keyboard.press("h")
    expect(page.locator(".viewer-said")).to_have_text("This page shows no heatmap.")
    assert "heatmap.png" not in page.content()
    assert not [url for url in asked if "heatmap" in url]
    page.keyboard.press("x")
    expect(page.locator(".viewer-turned")).to_have_text("turned or mirrored")
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name="Your verdict is committed: Pneumonia")).to_be_visible()
    expect(page.locator(".probability")).to_be_visible()
    # The film is looked at as before, now with what the model says.
    expect(page.locator(".viewer-turned")).to_have_text("turned or mirrored")
    expect(page.locator(".viewer-heatbar")).to_be_visible()
    film = page.url
    page.keyboard.press("n")
    expect(page.get_by_text("Kept: Normal")).to_be_visible()
    assert page.url != film
    page.goto(film)
    expect(page.locator(".verdicts li")).to_have_count(2)
    expect(page.locator(".verdicts li").nth(1)).to_contain_text("before the answer")


@pytest.mark.usefixtures("usual_rules")
def test_two_readers_who_differ_and_an_adjudicator(browser: Browser, live_site: LiveSite) -> None:
    rules(browser, live_site, share=100)
    first, second, third = (browser.new_context().new_page() for _ in range(3))
    for page, who in ((first, "reviewer"), (second, "staff"), (third, "admin")):
        log_in(page, live_site, who)
    wait_for_answers(first, live_site)
    first.goto(f"{live_site.url}review/")
    first.get_by_role("button", name="Start with the first").click()
    ready(first)
    film = first.url
    first.keyboard.press("Shift+B")
    first.get_by_label("Remark").fill("dense right base")
    first.get_by_role("button", name="Pneumonia").click()
    expect(first.get_by_text("Kept: Pneumonia")).to_be_visible()

    second.goto(film)
    ready(second)
    expect(second.get_by_text("dense right base")).to_have_count(0)
    expect(second.locator(".theirs")).to_have_count(0)
    second.get_by_role("button", name="Normal").click()
    expect(second.get_by_text("Kept: Normal")).to_be_visible()

    third.goto(film)
    expect(third.get_by_role("heading", name="Two readers differ: you decide")).to_be_visible()
    expect(third.get_by_text("dense right base")).to_be_visible()
    theirs = third.get_by_role("img", name="Region A1, Box, drawn by Rowan Ellery")
    expect(theirs).to_be_visible()
    third.keyboard.press("a")
    expect(theirs).to_be_hidden()
    third.keyboard.press("a")
    third.get_by_role("button", name="Take over the regions of Rowan Ellery").click()
    expect(third.locator(".regions .chosen")).to_be_visible()
    third.get_by_role("button", name="Normal").click()
    expect(third.get_by_text("Kept: Normal")).to_be_visible()
    third.goto(film)
    expect(third.locator(".verdicts li").first).to_contain_text("adjudication")
    third.goto(f"{live_site.url}review/readers/")
    expect(third.get_by_role("row", name="Ash Linden")).to_contain_text("1")
    for page in (first, second, third):
        page.context.close()


def test_no_page_of_the_reading_room_breaks_wcag(browser: Browser, live_site: LiveSite) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 390, "height": 800})
    page = context.new_page()
    log_in(page, live_site, "staff")
    broken = {}
    for address in PAGES:
        page.goto(live_site.url + address)
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
        broken[address] = breaches(page)
    context.close()
    assert not {address: found for address, found in broken.items() if found}
