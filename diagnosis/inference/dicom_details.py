"""What a DICOM file said of its picture, in words for the film's page."""

import re
from datetime import date
from typing import Any

from django.utils.formats import date_format

from diagnosis.models import Film, Patient

Row = tuple[str, str]
_MODALITIES = {"CR": "CR, computed radiography", "DX": "DX, digital radiography", "RG": "RG, digitised film"}
_UNCOMPRESSED = re.compile(r"^(Explicit|Implicit) VR (Little|Big) Endian$")
_SIDES = {"L": "left", "R": "right", "B": "both", "U": "unpaired"}


def rows(film: Film) -> list[Row]:
    """Return label and text of each fact that the file had; none for PNG and JPEG."""
    facts: dict[str, Any] = film.facts
    found = {
        "Modality": _MODALITIES.get(facts.get("modality", ""), facts.get("modality", "")),
        "Study date": _date(facts.get("study_date", "")),
        "View": facts.get("view", ""),
        "Age": f"{facts['age_years']:g} years" if "age_years" in facts else "",
        "Sex": Patient.Sex(facts["sex"]).label if facts.get("sex") else "",
        "Body part": facts.get("body_part", "").capitalize(),
        "Side": _SIDES.get(facts.get("laterality", ""), ""),
        "Pixel size": _spacing(facts),
        "Values": _values(facts),
        "Window": _window(facts),
        "Compression": _UNCOMPRESSED.sub("none", facts.get("transfer_syntax", "")),
        "Device": " ".join(facts.get("device", {}).values()).strip(),
    }
    return [(label, str(text)) for label, text in found.items() if text]


def _date(text: str) -> str:
    """A day, or a month where the clinic keeps no more."""
    if len(text) == 7:
        return date_format(date.fromisoformat(f"{text}-01"), "M Y")
    return date_format(date.fromisoformat(text)) if text else ""


def _spacing(facts: dict[str, Any]) -> str:
    if "pixel_spacing_mm" not in facts:
        return ""
    row, column = facts["pixel_spacing_mm"]
    where = "at the detector" if facts["pixel_spacing_from"] == "Imager Pixel Spacing" else "as calibrated"
    return f"{row:g} × {column:g} mm {where}"


def _values(facts: dict[str, Any]) -> str:
    if "bits_stored" not in facts:
        return ""
    return f"{facts['bits_stored']} bits, {facts.get('photometric', '')}".rstrip(", ")


def _window(facts: dict[str, Any]) -> str:
    window = facts.get("window")
    if not window:
        return ""
    if window["source"] == "table":
        return "by the file's own table"
    text = f"centre {window['center']:g}, width {window['width']:g}"
    if window["source"] == "range":
        return f"{text}, the film's own range"
    return (
        text if window["function"] == "LINEAR" else f"{text}, {window['function'].lower().replace('_', ' ')}"
    )
