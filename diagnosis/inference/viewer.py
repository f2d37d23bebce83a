"""What the viewer in the browser must know of a film to show its values as the source meant them."""

from typing import Any

from diagnosis.models import Film

IMAGER = "Imager Pixel Spacing"


def viewer_facts(film: Film) -> dict[str, Any]:
    """Return the film's size, how its stored numbers become values, its own window and the size of its pixels.

    value = stored * slope + offset. `inverse`: the highest value is black (MONOCHROME1). `modality`: the values are
    those of the detector, not of a picture made for the screen. `spacing` in mm, None where it is not known.
    """
    facts = film.facts or {}
    modality = bool(film.values)
    counted = facts.get("values", {}) if modality else {}
    depth = 2**film.bits - 1
    return {
        "width": film.width,
        "height": film.height,
        "slope": counted.get("slope", 1) if modality or film.bits in (8, 16) else depth / 65535,
        "offset": counted.get("offset", 0),
        "inverse": modality and facts.get("photometric") == "MONOCHROME1",
        "modality": modality,
        "window": facts.get("window") if modality else None,
        "spacing": _spacing(facts),
    }


def _spacing(facts: dict[str, Any]) -> dict[str, Any] | None:
    """Imager Pixel Spacing is that of the detector: what lies before it is shown larger than it is."""
    pair = facts.get("pixel_spacing_mm")
    if not pair:
        return None
    row, column = pair
    return {"row": row, "column": column, "detector": facts.get("pixel_spacing_from") == IMAGER}
