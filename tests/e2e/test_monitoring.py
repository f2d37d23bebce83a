"""Monitoring in a browser: from a verdict to the matrix and back to the film; plots drawn; WCAG."""

from playwright.sync_api import Browser, Page, expect

from tests.e2e.accessibility import breaches
from tests.e2e.test_film_to_training_run import FINAL, log_in
from tests.support.processes import LiveSite

DRAWN = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"


def review_one(page: Page, live_site: LiveSite) -> None:
    page.goto(f"{live_site.url}films/1/")
    expect(page.locator("#reading .answer").first).to_have_text(FINAL)
    page.goto(f"{live_site.url}review/")
    page.get_by_role("button", name="Start with the first").click()
    page.get_by_role("button", name="Normal").click()
    expect(page.get_by_text("Kept: Normal")).to_be_visible()
    # The next film opened with the verdict; kept in hand, it would be missing to other tests of this site.
    page.get_by_role("button", name="Leave the film").click()
    page.wait_for_load_state()


def test_staff_follow_a_number_of_the_matrix_to_its_film(page: Page, live_site: LiveSite) -> None:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    log_in(page, live_site, "staff")
    review_one(page, live_site)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Monitoring").click()
    expect(page.get_by_role("heading", name="Monitoring")).to_be_visible()
    for plot in ("films", "times", "agreement"):
        assert page.locator(f"#plot-{plot}").evaluate(DRAWN), f"the plot {plot} is empty"
    page.get_by_role("link", name="7 days").click()
    page.get_by_text("Films by day as a table").click()
    expect(page.get_by_role("columnheader", name="Pneumonia", exact=True)).to_be_visible()
    page.locator(".confusion tbody tr").first.locator("a").filter(has_not_text="0").first.click()
    expect(page.get_by_role("heading", name="Confirmed normal, model said")).to_be_visible()
    page.locator(".card-film").first.click()
    expect(page.locator("#reading .answer").first).to_be_visible()
    assert not faults


def test_monitoring_breaks_no_rule_of_wcag(browser: Browser, live_site: LiveSite) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 390, "height": 844})
    page = context.new_page()
    log_in(page, live_site, "admin")
    broken = {}
    for address in ("monitoring/", "monitoring/films/"):
        page.goto(live_site.url + address)
        for closed in page.locator("details.more > summary").all():
            closed.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        broken[address] = breaches(page)
    context.close()
    assert not {address: found for address, found in broken.items() if found}
