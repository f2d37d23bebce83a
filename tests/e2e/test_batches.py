"""A batch in a browser: a zip whose connection is cut, a folder that goes on from another page, answers."""

import io
import os
import re
import zipfile

import pytest
from playwright.sync_api import Page, Route, expect

from diagnosis.intake.views.batches import PART_BYTES
from tests.e2e.accessibility import breaches
from tests.e2e.test_film_to_training_run import file, log_in
from tests.support.pictures import png
from tests.support.processes import LiveSite
from tests.support.samples import sample_films


def mixed() -> bytes:
    """A zip of 18 films and six files that are none. It is longer than one part of a transfer."""
    inner = io.BytesIO()
    zipfile.ZipFile(inner, "w").close()
    films = {f"films/{n:02}.png": film for n, film in enumerate(sample_films(18))}
    bad = {
        "broken.png": films["films/00.png"][:2000],
        "noise.png": os.urandom(4_500_000),
        "in.zip": inner.getvalue(),
        "../../x": b"no film",
        "bomb.png": bytes(20_000_000),
        "empty.png": b"",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**films, **bad}.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_a_zip_whose_connection_is_cut_goes_on_from_another_page(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "clinician")
    begin(page, live_site, {"mixed.zip": mixed()}, "DEMO-0001")
    sent: list[str] = []
    lost = True

    def carry(route: Route) -> None:
        sent.append(offset(route))
        if lost and len(sent) > 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/zip/", carry)
    page.get_by_role("button", name="Send the batch").click()
    pill = page.locator(".carrier")
    expect(pill).to_contain_text("Connection lost")
    lost = False
    at = page.url
    page.goto(f"{live_site.url}patients/")
    expect(pill).to_have_count(0)
    page.goto(at)
    expect(page.locator("#batch-word")).to_have_text("All 24 done", timeout=90_000)
    expect(page.locator(".batch-refused .arrival")).to_have_count(6)
    # What had arrived is not sent again, however often the page tried before it was left.
    assert sent[0] == "0"
    assert set(sent[1:]) <= {"", str(PART_BYTES)}
    assert str(PART_BYTES) in sent


def test_unclear_films_wait_and_are_filed_with_one_click(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "clinician")
    films = {f"{n}.png": png(700 + n) for n in range(3)}
    rows = "0.png,E2E-B1,Bo Batch\n1.png,DEMO-0002,Somebody Else\n"
    begin(page, live_site, {**films, "manifest.csv": f"file,patient number,name\n{rows}".encode()})
    page.get_by_label("Manifest").set_input_files(
        {"name": "m.csv", "mimeType": "text/csv", "buffer": f"file,patient number,name\n{rows}".encode()}
    )
    page.get_by_role("button", name="Send the batch").click()
    expect(page.get_by_role("heading", name="2 films wait for you")).to_be_visible()
    assert not breaches(page)
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator(".differences")).to_contain_text("Somebody Else")
    page.get_by_role("button", name="It is Basil Thorne (demo): file 1").click()
    expect(page.get_by_text("1 film is filed under Basil Thorne (demo)")).to_be_visible()
    page.get_by_placeholder("Patient number").fill("demo-0003")
    page.get_by_role("button", name="File there").click()
    expect(page.get_by_text("1 film is filed under Clover Finch (demo)")).to_be_visible()
    page.reload()
    expect(page.locator("#batch-word")).to_have_text("All 3 done")


@pytest.mark.parametrize("width", [360, 1440])
def test_the_pages_of_batches_fit_and_keep_to_wcag(page: Page, live_site: LiveSite, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    log_in(page, live_site, "clinician")
    for address in ("batches/", "batches/new/"):
        page.goto(live_site.url + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not breaches(page)


def begin(page: Page, site: LiveSite, files: dict[str, bytes], number: str = "") -> None:
    page.goto(f"{site.url}batches/new/")
    page.get_by_label("Patient number").fill(number)
    page.locator("#batch-files").set_input_files([file(name, content) for name, content in files.items()])


def offset(route: Route) -> str:
    """Return where in the zip the part of this request begins."""
    found = re.search(rb'name="offset"\s+(\d+)', route.request.post_data_buffer or b"")
    return found[1].decode() if found else ""
