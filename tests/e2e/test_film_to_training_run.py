"""The main job in a browser, against the whole site: log in, register, upload, answer with heatmap, history."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from django.template.loader import render_to_string
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from ml import synthesize
from ml.artifact.folder import SHIPPED
from tests.e2e.accessibility import breaches
from tests.support.pictures import encoded
from tests.support.processes import LiveSite

SAMPLES = sorted((Path(synthesize.__file__).parent / "samples").glob("*.png"))
PAGES = [
    "", "patients/", "patients/new/", "patients/from-dicom/", "patients/1/", "patients/1/upload/",
    "patients/1/side-by-side/", "films/1/", "review/", "models/", "models/1/", "training/", "worklist/",
    "worklist/?show=all", "review/films/1/", "review/readers/", "films/1/outcome/", "clinics/1/",
    "accounts/profile/", "accounts/password/change/",
]  # fmt: skip
FINAL = re.compile("Pneumonia|Normal|Not answered|Failed")


@pytest.fixture
def reading_room(page: Page, live_site: LiveSite) -> Iterator[Page]:
    """A browser page whose errors fail the test; nothing may come from another host."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    # Chromium reports each refused film's 422 as an error; that answer is meant.
    refusal = "the server responded with a status of 422"
    page.on(
        "console",
        lambda line: faults.append(line.text) if line.type == "error" and refusal not in line.text else None,
    )
    page.on(
        "request",
        lambda r: None if r.url.startswith((live_site.url, "data:", "blob:")) else faults.append(r.url),
    )
    yield page
    assert not faults


def log_in(page: Page, site: LiveSite, who: str) -> None:
    email, password = site.accounts[who]
    page.goto(site.url)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Newest films")).to_be_visible()


def register(page: Page, site: LiveSite, number: str, name: str, born: str = "2023-06-01") -> None:
    page.goto(f"{site.url}patients/new/")
    page.get_by_label("Patient number").fill(number)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Birth date").fill(born)
    page.get_by_label("Sex").select_option("F")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("heading", name="Add films")).to_be_visible()
    page.wait_for_load_state()


def file(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def varied(path: Path, change: int) -> bytes:
    """Return a film of nobody that was not sent before: the sample with one grey value shifted in a corner."""
    picture = np.asarray(Image.open(path).convert("L")).copy()
    picture[0, 0] = (int(picture[0, 0]) + change) % 256
    return encoded(Image.fromarray(picture))


def test_log_in_register_upload_answer_history(reading_room: Page, live_site: LiveSite) -> None:
    page = reading_room
    log_in(page, live_site, "clinician")
    register(page, live_site, "E2E-1", "Elia Browser")

    page.get_by_label("Drop films here, or choose them").set_input_files(
        [
            file("first.png", varied(SAMPLES[0], 1)),
            file("no film.png", b"This is a letter, not a film."),
            file("second.png", varied(SAMPLES[-1], 1)),
        ]
    )
    expect(page.locator("#transfer-count")).to_have_text("2 taken in, 1 not")
    rows = page.locator("#arrivals .arrival")
    expect(rows).to_have_count(3)
    refused = rows.filter(has_text="no film.png")
    expect(refused).to_contain_text("Not taken in")
    expect(refused).to_contain_text("PNG or JPEG")
    for name in ("first.png", "second.png"):
        expect(rows.filter(has_text=name).locator(".answer")).to_have_text(FINAL)

    rows.filter(has_text="first.png").locator("a.text-decoration-none").click()
    expect(page.locator("#reading .answer").first).to_have_text(FINAL)
    expect(page.get_by_text("probability of pneumonia")).to_be_visible()
    expect(page.get_by_text("Decision support, not a diagnosis")).to_be_visible()
    expect(page.locator(".viewer.live")).to_be_visible()
    overlay = page.locator("#overlay")
    expect(overlay.locator("image")).to_have_count(1)
    page.get_by_label("Heatmap", exact=True).fill("80")
    assert overlay.evaluate("e => e.style.opacity") == "0.8"
    page.keyboard.press("h")
    assert overlay.evaluate("e => e.style.opacity") == "0"
    for picture in page.locator("svg image").all():
        loaded = page.request.get(live_site.url.rstrip("/") + str(picture.get_attribute("href")))
        assert Image.open(io.BytesIO(loaded.body())).format == "PNG"

    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("heading", name="Elia Browser")).to_be_visible()
    lines = page.locator(".film-line")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text(SHIPPED.name)


def test_drop_films_on_the_page(reading_room: Page, live_site: LiveSite) -> None:
    page = reading_room
    log_in(page, live_site, "clinician")
    register(page, live_site, "E2E-2", "Dara Drop")
    transfer = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
            return transfer;
        }""",
        list(varied(SAMPLES[1], 2)),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    answer = page.locator("#arrivals .arrival").filter(has_text="dropped.png").locator(".answer")
    expect(answer).to_have_text(FINAL)


def test_a_lost_connection_is_said_and_the_film_can_be_sent_again(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "clinician")
    register(page, live_site, "E2E-3", "Lea Lost")
    page.context.set_offline(True)
    page.get_by_label("Drop films here, or choose them").set_input_files(
        [file("cut.png", varied(SAMPLES[2], 3))]
    )
    row = page.locator("#arrivals .arrival")
    expect(row).to_contain_text("The connection was lost")
    page.context.set_offline(False)
    row.get_by_role("button", name="Send again").click()
    expect(row.locator(".answer")).to_have_text(FINAL)
    expect(page.locator("#transfer-count")).to_have_text("1 taken in")


def test_a_film_that_the_storage_could_not_take_can_be_sent_again(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "clinician")
    register(page, live_site, "E2E-3B", "Stella Storage")
    row_of_503 = render_to_string(
        "intake/_upload_row.html", {"name": "full.png", "error": "The storage is full."}
    )
    page.route(
        "**/upload/",
        lambda route: route.fulfill(status=503, content_type="text/html", body=row_of_503),
        times=1,
    )
    page.get_by_label("Drop films here, or choose them").set_input_files(
        [file("full.png", varied(SAMPLES[2], 7))]
    )
    row = page.locator("#arrivals .arrival")
    expect(row).to_contain_text("The storage is full.")
    expect(page.locator("#transfer-count")).to_have_text("0 taken in, 1 not")
    row.get_by_role("button", name="Send again").click()
    expect(row.locator(".answer")).to_have_text(FINAL)
    expect(page.locator("#transfer-count")).to_have_text("1 taken in")


def test_films_chosen_before_the_script_came_are_sent_too(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "clinician")
    late: list[Route] = []
    page.route("**/upload*.js", lambda route: late.append(route))
    page.goto(f"{live_site.url}patients/1/upload/", wait_until="commit")
    films = page.get_by_label("Drop films here, or choose them")
    films.set_input_files([file("early.png", varied(SAMPLES[2], 5))])
    expect(page.locator("#arrivals .arrival")).to_have_count(0)
    late[0].continue_()
    expect(page.locator("#arrivals .arrival .answer")).to_have_text(FINAL)
    expect(films).to_have_value("")

    page.unroute("**/upload*.js")
    page.route("**/zip_upload*.js", lambda route: late.append(route))
    page.goto(f"{live_site.url}batches/new/", wait_until="commit")
    page.locator("#batch-files").set_input_files([file("early.png", varied(SAMPLES[2], 6))])
    expect(page.locator("#batch-choice")).to_have_text("Drop a folder, films or a zip here")
    late[1].continue_()
    expect(page.locator("#batch-choice")).to_contain_text("1 file, ")


def test_an_inverted_film_gets_a_reason_not_a_score(reading_room: Page, live_site: LiveSite) -> None:
    page = reading_room
    log_in(page, live_site, "clinician")
    register(page, live_site, "E2E-4", "Ines Inverted")
    inverted = encoded(Image.fromarray(255 - np.asarray(Image.open(SAMPLES[3]).convert("L"))))
    page.get_by_label("Drop films here, or choose them").set_input_files([file("inverted.png", inverted)])
    row = page.locator("#arrivals .arrival")
    expect(row.locator(".answer")).to_have_text("Not answered")
    expect(row).to_contain_text("Black and white seem to be swapped")


def test_an_adults_answer_says_that_it_is_less_sure(reading_room: Page, live_site: LiveSite) -> None:
    page = reading_room
    log_in(page, live_site, "clinician")
    register(page, live_site, "E2E-5", "Alma Grown", born="1970-01-01")
    page.get_by_label("Drop films here, or choose them").set_input_files(
        [file("adult.png", varied(SAMPLES[4], 5))]
    )
    row = page.locator("#arrivals .arrival")
    expect(row.locator(".answer")).to_have_text(FINAL)
    row.locator("a.text-decoration-none").click()
    expect(page.locator(".warnlist")).to_contain_text("At this age the model is less sure")


def test_each_role_finds_its_pages(reading_room: Page, live_site: LiveSite) -> None:
    page = reading_room
    menus = {
        "clinician": ["Worklist", "Patients"],
        "reviewer": ["Worklist", "Patients", "Review"],
        "staff": ["Worklist", "Patients", "Review", "Models", "Training", "Monitoring"],
        "admin": ["Worklist", "Patients", "Review", "Models", "Training", "Monitoring", "Admin"],
    }
    for who, entries in menus.items():
        log_in(page, live_site, who)
        menu = page.get_by_role("navigation", name="Main").get_by_role("link")
        assert menu.all_inner_texts() == entries
        for entry in entries:
            page.get_by_role("navigation", name="Main").get_by_role("link", name=entry).click()
            page.wait_for_load_state()
            assert page.locator("h1").first.is_visible()
            page.goto(live_site.url)
        page.context.clear_cookies()


def test_staff_see_the_models_matrix_and_curves(reading_room: Page, live_site: LiveSite) -> None:
    page = reading_room
    log_in(page, live_site, "staff")
    page.goto(f"{live_site.url}models/production/")
    expect(page.get_by_text("false alarm", exact=True)).to_be_visible()
    for plot in ("loss", "auc", "roc", "reliability"):
        drawn = page.locator(f"#plot-{plot}").evaluate(
            "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"
        )
        assert drawn, f"the plot {plot} is empty"


def test_a_reviewer_corrects_the_model(reading_room: Page, live_site: LiveSite) -> None:
    page = reading_room
    log_in(page, live_site, "reviewer")
    page.goto(f"{live_site.url}review/")
    page.locator(".card-film").first.click()
    page.get_by_label("Remark").fill("moved")
    film = page.url.partition("?")[0].replace("review/", "")
    page.get_by_role("button", name="Unreadable").click()
    expect(page.get_by_text("Kept: Unreadable")).to_be_visible()
    page.goto(film)
    expect(page.get_by_text("Reviewed by Rowan Ellery")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1920])
def test_no_page_is_wider_than_the_screen(page: Page, live_site: LiveSite, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{live_site.url}accounts/login/")
    log_in(page, live_site, "admin")
    for address in PAGES:
        page.goto(live_site.url + address)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{address or 'home'} is {wide} px wide"


def test_no_page_breaks_wcag(browser: Browser, live_site: LiveSite) -> None:
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto(f"{live_site.url}accounts/login/")
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "light"
    broken = {"log in": breaches(page)}
    log_in(page, live_site, "admin")
    for address in PAGES:
        page.goto(live_site.url + address)
        page.wait_for_load_state("networkidle")
        broken[address] = breaches(page)
    context.close()
    assert not {address: found for address, found in broken.items() if found}
