"""What of a DICOM file's header is kept, and what is only offered: a whitelist, everything else is never looked at.

Codes are kept if they are codes of the standard, and text only as a vendor's and a device's name; so nothing that
somebody wrote into a field of another purpose is kept.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from ml.images.decoded import Offered
from ml.images.dicom_grayscale import Grey, number
from ml.images.person_name import spoken_name

OFFERED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate", "AcquisitionDate",
    "SeriesDate", "ContentDate", "AcquisitionDateTime",
    "ViewPosition", "ViewCodeSequence", "PatientOrientation", "SOPInstanceUID",
)  # fmt: skip
KEPT = (
    "Modality", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio", "Manufacturer",
    "ManufacturerModelName", "BodyPartExamined", "Laterality", "ImageLaterality",
)  # fmt: skip
"""Read in addition to the description of the pixels."""

PHOTOMETRIC = {
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT",
}  # fmt: skip
_BODY_PARTS = {
    "ABDOMEN", "ANKLE", "ARM", "CHEST", "CHESTABDOMEN", "CLAVICLE", "CSPINE", "ELBOW", "FOOT", "FOREARM", "HAND",
    "HEAD", "HIP", "KNEE", "LEG", "LSPINE", "LUNG", "NECK", "PELVIS", "RIB", "SHOULDER", "SKULL", "SPINE", "STERNUM",
    "THORAX", "TSPINE", "WRIST",
}  # fmt: skip
_VENDORS = (
    "Agfa", "Canon", "Carestream", "Del Medical", "DRGEM", "DRTECH", "Fujifilm", "GE", "Hologic", "iRay", "Kodak",
    "Konica Minolta", "Lodox", "MinXray", "Philips", "Rayence", "Samsung", "Sedecal", "Shimadzu", "Siemens",
    "Swissray", "Toshiba", "Varex", "Varian", "Vieworks", "Wisonic", "Ziehm",
)  # fmt: skip
_MODEL_LENGTH = 24
_NAME_LENGTH = 324
_PA = {"272479007", "R-40888", "R-10214"}
_AP = {"399348003", "R-10206"}
_FRONTAL = {"399033003", "R-10202"}
_OTHER_VIEWS = {
    "LL", "RL", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "LLD", "RLD", "LPD", "RPD", "DEC", "LDEC", "RDEC", "MLO",
}  # fmt: skip
"""Codes of PS3.3 C.8.7.1.1 and what is written in their place: lateral, oblique, decubitus."""
_OTHER_PARTS = re.compile(
    r"(?<!BI)LATERAL(?!ITY)|^X?[LR]?LAT|(?<!F)LAT[LRX]?$|LATERO|DECUB|OBL|AXIAL|TANGENT|LORDO|SWIMM|^XTABLE|XTBL"
    r"|CROSSTABLE|LINDBLOM|APICAL|PROFIL"
)
"""Parts of words that name another view."""
_ALONE = {"SUP", "INF", "AX", "TAN", "ML", "LM"}
"""Views where they stand alone; beside PA or AP they say how the patient lay, or which side a marker is on."""
_FRONTAL_WORDS = {
    "PA": ("POSTEROANTERIOR", "POSTERIORANTERIOR", "POSTERIORTOANTERIOR", "POSTANT", "DORSOVENTRAL"),
    "AP": ("ANTEROPOSTERIOR", "ANTERIORPOSTERIOR", "ANTERIORTOPOSTERIOR", "ANTPOST", "VENTRODORSAL"),
}
_AXES = {"L": "across", "R": "across", "A": "through", "P": "through", "H": "along", "F": "along"}
_DATES = ("StudyDate", "AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "ContentDate")
"""Where the date taken stands, the best first."""
_AGE = re.compile(r"^(\d{1,3})([DWMY]?)$")
OLDEST = 90.0
"""Older patients are kept as this old: so few are, that the age would say who."""
_YEARS = {"": 1.0, "D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def offered_of(dataset: Dataset) -> Offered:
    """The identity in the file, readable and cut to a sensible length."""
    sex = _text(dataset, "PatientSex", 1).upper()
    return Offered(
        mrn=_text(dataset, "PatientID", 64),
        name=_name(dataset),
        birth_date=_day(dataset, "PatientBirthDate"),
        sex=sex if sex in ("F", "M", "O") else "",
        study_date=next((day for keyword in _DATES if (day := _day(dataset, keyword))), None),
        view=view_of(dataset) or "",
        sop_uid=_text(dataset, "SOPInstanceUID", 64),
        name_groups=_text(dataset, "PatientName", _NAME_LENGTH),
    )


def facts_of(dataset: Dataset, offered: Offered, transfer_syntax: str) -> dict[str, Any]:
    """What is kept, ready for JSON: facts of the picture that say nothing about whose it is."""
    facts: dict[str, Any] = {
        "modality": _code(dataset, "Modality", {"CR", "DX", "RG", "OT"}),
        "view": offered.view,
        **_spacing(dataset),
        "bits_stored": int(dataset.BitsStored),
        "photometric": _code(dataset, "PhotometricInterpretation", PHOTOMETRIC),
        "transfer_syntax": transfer_syntax,
        "age_years": _age(dataset, offered),
        "sex": offered.sex,
        "device": _device(dataset, offered),
        "body_part": body_part(dataset),
        "laterality": _code(dataset, "ImageLaterality", {"L", "R", "B", "U"})
        or _code(dataset, "Laterality", {"L", "R"}),
    }
    return {name: fact for name, fact in facts.items() if fact not in ("", None, {})}


def grey_facts(grey: Grey) -> dict[str, Any]:
    """How the stored values are counted and which window they were shown with, both in modality values."""
    return {
        "window": asdict(grey.window),
        "values": {"offset": grey.offset, "slope": grey.slope, "bits": grey.bits},
    }


def view_of(dataset: Dataset) -> str | None:
    """PA, AP, an empty string for a frontal film or one whose view is not said, or None for another view.

    Where neither View Position nor a view code says it, Patient Orientation does: a film on which one looks along
    anything but the line from front to back is not frontal.
    """
    position = _view_of_words(_text(dataset, "ViewPosition", 64))
    if position != "":
        return position
    for item in dataset.get("ViewCodeSequence") or []:
        code = _text(item, "CodeValue", 16)
        if code in _PA:
            return "PA"
        if code in _AP:
            return "AP"
        if code in _FRONTAL:
            return ""
        meaning = _view_of_words(_text(item, "CodeMeaning", 64))
        if meaning != "":
            return meaning
    return None if _axes(dataset) in ({"through", "along"}, {"through", "across"}) else ""


def _view_of_words(text: str) -> str | None:
    """PA or AP as free text says it, None for another view, an empty string where it says neither.

    Any word of another view decides: `PA LLD` is a decubitus film. `POSTERO-ANTERIOR` and its like are PA.
    """
    text = re.sub(r"\b(X|CROSS)[ -]TABLE", r"\1TABLE", text.upper())
    words = [word for word in re.split(r"[^A-Z]+", text) if word]
    if any(word in _OTHER_VIEWS or _OTHER_PARTS.search(word) for word in words):
        return None
    joined = "".join(words)
    for view, spellings in _FRONTAL_WORDS.items():
        if view in words or any(spelling in joined for spelling in spellings):
            return view
    if len(words) == 1 and words[0] not in _ALONE and words[0].endswith(("PA", "AP")):
        return words[0][-2:]
    return None if words and set(words) <= _ALONE else ""


def _axes(dataset: Dataset) -> set[str]:
    """The two lines of the body that rows and columns run along (PS3.3 C.7.6.1.1.1); empty if they are not said.

    Each is a letter for the direction, with smaller parts of it behind: `A`, `LPH`.
    """
    said = dataset.get("PatientOrientation")
    if not isinstance(said, (MultiValue, list, tuple)) or len(said) != 2:
        return set()
    found = {_AXES.get(str(direction).strip().upper()[:1], "") for direction in said}
    return found if "" not in found and len(found) == 2 else set()


def body_part(dataset: Dataset) -> str:
    return _code(dataset, "BodyPartExamined", _BODY_PARTS)


def _spacing(dataset: Dataset) -> dict[str, Any]:
    """[row, column] in mm. Pixel Spacing is meant for the patient, Imager Pixel Spacing for the detector's plane."""
    for keyword, words in (("PixelSpacing", "Pixel Spacing"), ("ImagerPixelSpacing", "Imager Pixel Spacing")):
        try:
            pair = [round(number(value), 5) for value in dataset.get(keyword) or []]
        except (TypeError, ValueError):
            continue
        if len(pair) == 2 and all(0.01 <= side <= 5 for side in pair):
            return {"pixel_spacing_mm": pair, "pixel_spacing_from": words}
    return {}


def pixel_ratio(dataset: Dataset) -> float:
    """How many times as high as wide a pixel is; 1 where it is not said, or cannot be."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        try:
            height, width = (number(value) for value in dataset.get(keyword) or [])
            ratio = height / width
        except (TypeError, ValueError, ZeroDivisionError):
            continue
        if 0.2 <= ratio <= 5:
            return ratio
    return 1.0


def _age(dataset: Dataset, offered: Offered) -> float | None:
    if offered.birth_date and offered.study_date and offered.birth_date <= offered.study_date:
        return min(round((offered.study_date - offered.birth_date).days / 365.25, 1), OLDEST)
    match = _AGE.match(_text(dataset, "PatientAge", 8).upper())
    return min(round(int(match[1]) * _YEARS[match[2]], 1), OLDEST) if match else None


def _device(dataset: Dataset, offered: Offered) -> dict[str, str]:
    """The vendor, if it is one that we know, and its model, if nothing in its name could be a person or a number."""
    words = re.split(r"[^a-z0-9]+", _text(dataset, "Manufacturer", 64).lower())
    vendor = next((v for v in _VENDORS if set(v.lower().split()) <= set(words)), "")
    if not vendor:
        return {}
    model = " ".join(re.findall(r"[A-Za-z0-9.+/-]+", _text(dataset, "ManufacturerModelName", 64)))
    identity = {
        part.lower() for part in re.split(r"[\W_]+", f"{offered.name_groups} {offered.mrn}") if len(part) > 2
    }
    suspicious = re.search(r"\d{5}", model) or identity & set(re.split(r"\W+", model.lower()))
    return {"manufacturer": vendor, "model": "" if suspicious else model[:_MODEL_LENGTH].strip()}


def _name(dataset: Dataset) -> str:
    """`Family^Given^Middle^Prefix^Suffix` as it is spoken; of several scripts the first that is not empty."""
    groups = _text(dataset, "PatientName", _NAME_LENGTH).split("=")
    return spoken_name(next((group for group in groups if group.strip(" ^")), ""))


def _text(dataset: Dataset, keyword: str, most: int) -> str:
    """The element's first value as one line without control characters; empty if there is none."""
    value = dataset.get(keyword)
    if isinstance(value, (MultiValue, list, tuple)):
        value = value[0] if len(value) else None
    if value is None or isinstance(value, bytes):
        return ""
    printable = "".join(c if c.isprintable() else " " for c in str(value))
    return " ".join(printable.split())[:most]


def _code(dataset: Dataset, keyword: str, known: set[str]) -> str:
    code = _text(dataset, keyword, 16).upper()
    return code if code in known else ""


def _day(dataset: Dataset, keyword: str) -> date | None:
    """A date of the form 20261122 or, in old files, 2026.11.22."""
    text = _text(dataset, keyword, 26)
    digits = text[:8] if keyword == "AcquisitionDateTime" else text[:10].replace(".", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if len(digits) == 8 else None
    except ValueError:
        return None
