"""A film as it comes out of its file: pictures to store, facts without identity, and the identity that is offered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ml.images.radiograph import SourceFormat


@dataclass(frozen=True)
class Offered:
    """Whose film a DICOM file says it is. Shown to the uploader to find the patient, and never stored.

    `name_groups` is the name in all its scripts, as DICOM has it (`Yamada^Tarou=山田^太郎=やまだ^たろう`).
    `sex` is F, M, O or empty; `view` is PA, AP or empty; `sop_uid` numbers the picture among all of the world.
    """

    mrn: str = ""
    name: str = ""
    birth_date: date | None = None
    sex: str = ""
    study_date: date | None = None
    view: str = ""
    sop_uid: str = ""
    name_groups: str = ""


@dataclass(frozen=True)
class Decoded:
    """One film, ready to be stored.

    `picture`: greyscale PNG of 8 or 16 bits, what the model reads. `preview`: small JPEG. `values`: the modality values
    as 16-bit PNG where the source is DICOM (`facts["values"]` says how they are counted), else None. `bits`,
    `colourfulness` and `notes` are those of `ml.images.radiograph.Radiograph`. `facts` can be written as JSON.
    """

    picture: bytes
    preview: bytes
    values: bytes | None
    width: int
    height: int
    bits: int
    colourfulness: float
    notes: tuple[str, ...]
    source_format: SourceFormat
    facts: dict[str, Any] = field(default_factory=dict)
    offered: Offered | None = None
