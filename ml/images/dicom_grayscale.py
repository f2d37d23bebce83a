"""Stored pixel values of a DICOM file -> modality values and the grey that is shown, in the order of the standard.

Modality LUT or rescale (PS3.3 C.11.1), then VOI LUT or window (C.11.2), then MONOCHROME1 turned round. A film holds at
most 65,536 different values, so everything is worked out once for each value and then looked up for each pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from ml.images.errors import ImageError
from ml.images.radiograph import Pixels

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
_FUNCTIONS: dict[str, Function] = {
    "LINEAR": "LINEAR",
    "LINEAR_EXACT": "LINEAR_EXACT",
    "SIGMOID": "SIGMOID",
}
Array = NDArray[np.float64]
MIN_CONTRAST = 0.02
"""Least part of the full scale that the file's window must give to the film's values."""
MIN_GREYS = 16
"""Least greys between black and white that the file's window must leave, where the film has as many."""
BAND = 2**20
"""Pixels that are looked up at once: numpy makes an index of 8 bytes of each."""


class WrongTable(ImageError):
    code = "damaged"


@dataclass(frozen=True)
class Window:
    """In modality values. `source`: the file, the ends of its VOI table, or the range of the film's own values."""

    center: float
    width: float
    function: Function
    source: Literal["file", "table", "range"]


@dataclass(frozen=True)
class Grey:
    """`shown` (H, W) uint8 or uint16 over the full scale, black first. `values` (H, W) uint16: a modality value is
    `offset + slope * stored`, of `bits` bits as stored."""

    shown: Pixels
    values: NDArray[np.uint16]
    offset: float
    slope: float
    bits: int
    window: Window
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Modality:
    """The modality value of each stored value, and how they are kept as whole numbers."""

    values: Array
    kept: NDArray[np.uint16]
    offset: float
    slope: float
    bits: int


def render(stored: NDArray[Any], dataset: Dataset) -> Grey:
    """Turn stored values (H, W), of `BitsStored` bits, signed or not, into `Grey`. Raises `WrongTable`."""
    bits = int(dataset.BitsStored)
    signed = int(dataset.PixelRepresentation) == 1
    notes: list[str] = []
    domain = _domain(bits, signed)
    modality = _modality(dataset, domain, bits, notes)
    padding = _padding(dataset, domain)
    window, brightness = _brightness(dataset, stored, domain, modality, padding, notes)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        brightness = 1.0 - brightness
        notes.append("MONOCHROME1 turned round, so that bone is white")
    if padding.any():
        brightness[padding] = 0.0
        notes.append("padding around the film painted black")
    kind, top = (np.uint8, 255) if bits <= 8 else (np.uint16, 65535)
    shown = (brightness * top + 0.5).astype(kind)
    return Grey(
        _look_up(stored, shown, bits), _look_up(stored, modality.kept, bits), modality.offset, modality.slope,
        modality.bits, window, tuple(notes),
    )  # fmt: skip


def _domain(bits: int, signed: bool) -> NDArray[np.int64]:
    """Each value that can be stored, at the place of its bit pattern: 0, 1, … and, if signed, then the negative."""
    patterns = np.arange(2**bits, dtype=np.int64)
    return np.where(patterns < 2 ** (bits - 1), patterns, patterns - 2**bits) if signed else patterns


def _look_up(stored: NDArray[Any], table: NDArray[Any], bits: int) -> NDArray[Any]:
    """`table` at the bit pattern of each pixel."""
    found = np.empty(stored.shape, dtype=table.dtype)
    for place, patterns in _patterns(stored, bits):
        found.reshape(-1)[place] = table[patterns]
    return found


def _patterns(stored: NDArray[Any], bits: int) -> Iterator[tuple[slice, NDArray[Any]]]:
    flat = stored.reshape(-1)
    for start in range(0, flat.size, BAND):
        place = slice(start, start + BAND)
        yield place, flat[place].astype(np.int64) & (2**bits - 1)


def _modality(dataset: Dataset, domain: NDArray[np.int64], bits: int, notes: list[str]) -> _Modality:
    item = _table_item(dataset, "ModalityLUTSequence")
    if item is not None:
        table = _Table.read(item, dataset, signed=int(dataset.PixelRepresentation) == 1)
        values = table.at(domain)
        return _Modality(values, values.astype(np.uint16), 0.0, 1.0, table.bits)
    slope = _number(dataset.get("RescaleSlope"), 1.0)
    intercept = _number(dataset.get("RescaleIntercept"), 0.0)
    if slope == 0:
        raise WrongTable(
            "The DICOM file's rescale slope is 0, so its pixels mean nothing; export the film again and upload that."
        )
    lowest = int(domain.min())
    if slope > 0:
        kept, offset = domain - lowest, intercept + slope * lowest
    else:
        kept, offset = domain.max() - domain, intercept + slope * int(domain.max())
        notes.append("values turned round by a negative rescale slope")
    return _Modality(domain * slope + intercept, kept.astype(np.uint16), offset, abs(slope), bits)


def _padding(dataset: Dataset, domain: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which stored values are padding (PS3.3 C.7.5.1.1.2): that value, or those from it to the range limit."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(domain.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted((value, limit if isinstance(limit, int) else value))
    return (domain >= ends[0]) & (domain <= ends[1])


def _brightness(
    dataset: Dataset,
    stored: NDArray[Any],
    domain: NDArray[np.int64],
    modality: _Modality,
    padding: NDArray[np.bool_],
    notes: list[str],
) -> tuple[Window, Array]:
    """The brightness, 0 to 1, of each stored value, and the window that gives it or comes nearest to it."""
    item = _table_item(dataset, "VOILUTSequence")
    if item is not None:
        table = _Table.read(item, dataset, signed=float(modality.values.min()) < 0)
        window = Window(table.first + table.data.size / 2, table.data.size, "LINEAR_EXACT", "table")
        return window, table.at(modality.values) / (2**table.bits - 1)
    found = window_of(dataset)
    own = _own_values(stored, modality, padding, int(dataset.BitsStored))
    if found is None:
        if "WindowCenter" in dataset:
            notes.append("the file's window is not valid and was not used")
        notes.append("no window in the file: shown over the range of its own values")
        found = _range(own)
    elif _hides(found, own):
        notes.append("the file's window does not fit its values: shown over the range of its own values")
        found = _range(own)
    return found, windowed(modality.values, found)


def _table_item(dataset: Dataset, keyword: str) -> Dataset | None:
    """The sequence's first item that holds a table: templates export items without one."""
    for item in dataset.get(keyword) or []:
        if item.get("LUTDescriptor") is not None or item.get("LUTData"):
            return item
    return None


def _hides(window: Window, own: Array) -> bool:
    """Whether the film would be one single grey, or black and white only, though its own values differ."""
    if own.size < 2:
        return False
    shown = windowed(own, window)
    if float(shown.max()) - float(shown.min()) < MIN_CONTRAST:
        return True
    between = ((shown > 0) & (shown < 1)).sum()
    return bool(between < MIN_GREYS <= own.size)


def window_of(dataset: Dataset) -> Window | None:
    """The file's first window; None where it has none, or none that the standard allows."""
    center, width = _number(dataset.get("WindowCenter"), None), _number(dataset.get("WindowWidth"), None)
    function = _FUNCTIONS.get(str(dataset.get("VOILUTFunction") or "LINEAR"))
    if function is None or center is None or width is None or width <= 0:
        return None
    if function == "LINEAR" and width < 1:
        # Too narrow for the equation of whole numbers: files with a tiny slope mean the other one.
        function = "LINEAR_EXACT"
    return Window(center, width, function, "file")


def windowed(values: Array, window: Window) -> Array:
    """Brightness, 0 to 1, by the equations of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if window.function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (values - window.center) / window.width)), dtype=np.float64)
    center, width = window.center, window.width
    if window.function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.asarray(((values - center) / width + 0.5).clip(0, 1), dtype=np.float64)


def _own_values(stored: NDArray[Any], modality: _Modality, padding: NDArray[np.bool_], bits: int) -> Array:
    """The modality values that occur in the film, without padding."""
    count = np.zeros(2**bits, dtype=np.int64)
    for _, patterns in _patterns(stored, bits):
        count += np.bincount(patterns, minlength=2**bits)
    present = (count > 0) & ~padding
    return modality.values[present] if present.any() else np.zeros(1)


def _range(own: Array) -> Window:
    low, high = float(own.min()), float(own.max())
    return Window((low + high) / 2, high - low or 1.0, "LINEAR_EXACT", "range")


def _number(value: Any, otherwise: Any) -> Any:
    """A finite number; of several the first."""
    if isinstance(value, (MultiValue, list)):
        value = value[0] if len(value) else None
    try:
        found = number(value)
    except (TypeError, ValueError):
        return otherwise
    return found if np.isfinite(found) else otherwise


def number(value: Any) -> float:
    """A decimal string's number, also with a decimal comma. Raises TypeError and ValueError."""
    return float(value.strip().replace(",", ".") if isinstance(value, str) else value)


@dataclass(frozen=True)
class _Table:
    """A lookup table of the file (PS3.3 C.11.1.1): values below `first` give its first entry, those behind its last."""

    first: int
    bits: int
    data: NDArray[np.int64]

    @classmethod
    def read(cls, item: Dataset, dataset: Dataset, *, signed: bool) -> _Table:
        descriptor = item.get("LUTDescriptor")
        raw = item.get("LUTData")
        if descriptor is None or raw is None or len(descriptor) != 3:
            raise WrongTable(_WRONG_TABLE)
        length, first, bits = (int(n) for n in descriptor)
        length = (length & 0xFFFF) or 2**16
        if first > 0x7FFF and signed:
            first -= 2**16
        elif first < 0 and not signed:
            first += 2**16
        data = _entries(raw, length, bits, dataset)
        if data.size < length:
            raise WrongTable(_WRONG_TABLE)
        data = data[:length] & 0xFFFF
        return cls(first, max(int(data.max()).bit_length(), 1), data)

    def at(self, values: NDArray[Any]) -> Array:
        place = (np.rint(values).astype(np.int64) - self.first).clip(0, self.data.size - 1)
        return self.data[place].astype(np.float64)


def _entries(raw: Any, length: int, bits: int, dataset: Dataset) -> NDArray[np.int64]:
    """The table's entries: numbers, or bytes of two (of one, in some files of 8 bits) for each."""
    if isinstance(raw, bytes):
        little = dataset.original_encoding[1] is not False
        word = "<u2" if little else ">u2"
        one_byte = bits == 8 and len(raw) < 2 * length
        return np.frombuffer(raw, "u1" if one_byte else word, len(raw) // (1 if one_byte else 2)).astype(
            np.int64
        )
    return np.atleast_1d(np.asarray(raw, dtype=np.int64))


_WRONG_TABLE = "The DICOM file holds a damaged lookup table; export the film again and upload that."
