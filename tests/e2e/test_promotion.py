"""From candidate to production and back, in a browser."""

import re

from playwright.sync_api import Browser, Page, expect

from ml.artifact.folder import SHIPPED
from tests.e2e.accessibility import breaches
from tests.e2e.test_film_to_training_run import log_in
from tests.support.processes import LiveSite


def open_gate(page: Page, site: LiveSite, name: str) -> None:
    page.goto(f"{site.url}models/")
    page.get_by_role("link", name=f"Promote {name}").click()
    expect(page.get_by_role("heading", name=f"Promote {name}?")).to_be_visible()


def test_a_candidate_goes_into_production_and_back(page: Page, live_site: LiveSite) -> None:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    log_in(page, live_site, "staff")
    open_gate(page, live_site, "sequential-2")
    page.get_by_role("button", name="Evaluate", exact=True).click()
    # The page goes on by itself and says what is missing. The demo has no reviewed films; other tests review a few,
    # and chance may have put one of them into the holdout.
    missing = re.compile("No film is in the holdout yet|No figures: films of both kinds are needed")
    expect(page.get_by_text(missing)).to_be_visible()
    page.get_by_role("link", name="To the rules").click()
    expect(page.get_by_text(f"Evaluation 1, against {SHIPPED.name}.")).to_be_visible()
    page.get_by_label("Why").fill("The smaller one answers faster")
    page.get_by_role("button", name="Ask a second person").click()
    expect(page.get_by_text("Waits for a second person", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Promote against the rules")).to_have_count(0)

    page.context.clear_cookies()
    log_in(page, live_site, "admin")
    open_gate(page, live_site, "sequential-2")
    page.get_by_label("Your reason").fill("Tried it with staff")
    page.get_by_role("button", name="Promote against the rules").click()
    expect(page.get_by_text("sequential-2 is in production.")).to_be_visible()

    page.goto(f"{live_site.url}models/")
    page.get_by_text(f"Roll back to {SHIPPED.name}").click()
    page.get_by_label("Why").fill("It misses more")
    page.get_by_role("button", name="Roll back now").click()
    expect(page.get_by_text(f"{SHIPPED.name} is in production again.")).to_be_visible()
    row = page.get_by_role("row").filter(has_text=SHIPPED.name).first
    expect(row.get_by_text("Production", exact=True)).to_be_visible()
    assert not faults


def test_the_pages_of_promotion_break_no_rule(browser: Browser, live_site: LiveSite) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 360, "height": 800})
    page = context.new_page()
    log_in(page, live_site, "admin")
    broken = {}
    for address in (
        "models/", "models/1/gate/", "models/1/shadow/", "models/rules/", "models/operating-point/",
        "review/disagreements/", "evaluations/1/",
    ):  # fmt: skip
        page.goto(live_site.url + address)
        page.wait_for_load_state("networkidle")
        broken[address] = breaches(page)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > 360:
            broken[address].append(f"{wide} px wide")
    context.close()
    assert not {address: found for address, found in broken.items() if found}
