"""DICOM in a browser: a patient registered from a file, a film that fits, one that is answered for, one left out."""

from pathlib import Path
from typing import Any

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from ml import synthesize
from ml.data.dicom_writer import write_film
from tests.e2e.test_film_to_training_run import log_in
from tests.support.dicoms import REFUSED
from tests.support.processes import LiveSite

SAMPLES = sorted(synthesize.SAMPLES.glob("*.png"))


def film(sample: Path, **elements: str) -> bytes:
    values = np.asarray(Image.open(sample).convert("L")).astype(np.uint16) << 4
    identity: dict[str, Any] = {
        "PatientID": "E2E-D1",
        "PatientName": "Browser^Dora",
        "PatientBirthDate": "20220415",
    }
    return write_film(values, bits=12, seed=str(elements), **{**identity, **elements})


def dicom(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "application/dicom", "buffer": content}


def test_a_dicom_film_from_register_to_facts(page: Page, live_site: LiveSite) -> None:
    log_in(page, live_site, "clinician")
    page.goto(f"{live_site.url}patients/")
    page.get_by_role("link", name="From a DICOM file").click()
    page.get_by_label("DICOM file").set_input_files(dicom("own.dcm", film(SAMPLES[0])))
    page.get_by_role("button", name="Read the file").click()
    expect(page.get_by_label("Patient number")).to_have_value("E2E-D1")
    expect(page.get_by_label("Name")).to_have_value("Dora Browser")
    page.get_by_role("button", name="Register", exact=True).click()

    page.get_by_label("Drop films here, or choose them").set_input_files(
        [
            dicom("own.dcm", film(SAMPLES[0])),
            dicom("answered.dcm", film(SAMPLES[1], PatientName="Browser^Dorothea")),
            dicom("left out.dcm", film(SAMPLES[2], PatientID="E2E-D2")),
            dicom("lateral.dcm", REFUSED["lateral"][0]),
        ]
    )
    count = page.locator("#transfer-count")
    expect(count).to_have_text("1 taken in, 2 to be answered, 1 not")
    faults = [fault["id"] for fault in Axe().run(page).response["violations"]]
    assert faults == []
    asked = page.locator(".mismatch")
    asked.filter(has_text="left out.dcm").get_by_role("button", name="Leave it out").click()
    asked.filter(has_text="answered.dcm").get_by_role("button", name="file it here").click()
    expect(count).to_have_text("2 taken in, 2 not")

    page.locator(".arrival a.thumb").first.click()
    page.get_by_text("From the DICOM file").click()
    expect(page.get_by_text("DX, digital radiography")).to_be_visible()
    expect(page.get_by_role("heading", name="Dora Browser")).to_be_visible()
    expect(page.get_by_text("3 Nov 2026", exact=True)).to_be_visible()
