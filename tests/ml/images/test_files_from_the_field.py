"""Files as real machines and exports write them: read where the picture is whole, refused in true words where not."""

import io
import struct
import zlib
from datetime import date
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ComputedRadiographyImageStorage, JPEG2000Lossless, RLELossless

from ml.images.dicom import OtherView, Unreadable, read_dicom
from ml.images.errors import DamagedFile
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph
from tests.support.dicoms import dx, stored, table, values_of
from tests.support.pictures import jpeg, png

CURVE = list(range(4096))


def spread(film: Radiograph) -> float:
    """How much of the grey scale the film uses, 0 to 1."""
    return float(np.ptp(film.pixels)) / np.iinfo(film.pixels.dtype).max


@pytest.mark.parametrize("bits", [0, 8, 10, 12, 16])
def test_a_lookup_table_is_as_bright_whatever_bits_it_declares(bits: int) -> None:
    right = read_radiograph(dx(VOILUTSequence=table(0, 12, CURVE))).pixels
    assert np.array_equal(read_radiograph(dx(VOILUTSequence=table(0, bits, CURVE))).pixels, right)


def test_empty_lookup_tables_are_as_if_they_were_not_there() -> None:
    empty: dict[str, Any] = {
        "ModalityLUTSequence": Sequence([Dataset()]),
        "VOILUTSequence": Sequence([Dataset()]),
    }
    window: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 1500}
    assert np.array_equal(read_radiograph(dx(**empty, **window)).pixels, read_radiograph(dx(**window)).pixels)


def test_a_table_that_starts_below_zero_serves_signed_modality_values() -> None:
    elements: dict[str, Any] = {
        "RescaleSlope": 1,
        "RescaleIntercept": -1000,
        "VOILUTSequence": table(64536, 12, CURVE),
    }
    film = read_radiograph(dx(**elements))
    assert spread(film) == 1.0
    assert np.array_equal(film.pixels, read_radiograph(dx(VOILUTSequence=table(0, 12, CURVE))).pixels)


@pytest.mark.parametrize("center", [-5000, 60000])
def test_a_window_beside_the_values_is_not_used_and_that_is_said(center: int) -> None:
    film = read_radiograph(dx(WindowCenter=center, WindowWidth=200))
    assert spread(film) == 1.0
    assert any("does not fit its values" in note for note in film.notes)


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 0.02, "WindowWidth": 0.03}])
def test_a_tiny_rescale_slope_leaves_the_film_its_range(window: dict[str, Any]) -> None:
    assert spread(read_radiograph(dx(RescaleSlope="0.00001", RescaleIntercept="0", **window))) > 0.9


def with_commas(content: bytes, *numbers: bytes) -> bytes:
    for number in numbers:
        assert number in content
        content = content.replace(number, number.replace(b".", b","))
    return content


def test_decimal_commas_are_numbers() -> None:
    plain = dx(WindowCenter="1500.5", WindowWidth="2000.0", PixelSpacing=["0.143", "0.143"])
    film = read_dicom(with_commas(plain, b"1500.5", b"2000.0", b"0.143"))
    assert np.array_equal(film.radiograph.pixels, read_radiograph(plain).pixels)
    assert film.facts["pixel_spacing_mm"] == [0.143, 0.143]
    assert film.facts["window"]["center"] == 1500.5


COMMENT = b"\xff\x64" + struct.pack(">HH", 4 + 5, 1) + b"scan "


@pytest.mark.parametrize("ending", [COMMENT + b"\xff\xd9", COMMENT, b""])
def test_jpeg_2000_is_read_whatever_follows_its_last_tile(ending: bytes) -> None:
    whole = dx(syntax=JPEG2000Lossless)
    place = whole.rindex(b"\xff\xd9")
    tail = whole[place + 2 :]
    start = whole.index(b"\xff\x4f\xff\x51")
    frame = whole[start:place] + ending
    frame += b"\0" * (len(frame) % 2)
    delimiter = tail[tail.index(b"\xfe\xff\xdd\xe0") :]
    content = whole[: start - 4] + struct.pack("<L", len(frame)) + frame + delimiter
    assert np.array_equal(values_of(content), stored())


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_a_missing_sequence_delimiter_harms_nothing(syntax: Any) -> None:
    whole = dx(syntax=syntax)
    assert np.array_equal(values_of(whole[: whole.rindex(b"\xfe\xff\xdd\xe0")]), stored())


def test_a_file_cut_off_says_that_it_is_incomplete() -> None:
    whole = dx(syntax=RLELossless)
    for length in (400, len(whole) // 2, len(whole) - 2000):
        with pytest.raises(DamagedFile, match="incomplete"):
            read_dicom(whole[:length])


def test_an_empty_modality_is_that_of_the_class() -> None:
    assert read_dicom(dx(Modality="", SOPClassUID=ComputedRadiographyImageStorage)).facts["modality"] == "CR"
    assert read_dicom(dx(Modality="")).facts["modality"] == "DX"


def test_a_private_transfer_syntax_is_named() -> None:
    content = dx(syntax=JPEG2000Lossless).replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.113619.5.2.1.1")
    with pytest.raises(Unreadable, match=r"1\.2\.840\.113619\.5\.2\.1\.1"):
        read_dicom(content)


def test_colour_without_planar_configuration_is_side_by_side() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 100, 3), dtype=np.uint8)
    usual = dx(pixels=pixels, bits=8, photometric="RGB", PlanarConfiguration=0)
    bare = dx(pixels=pixels, bits=8, photometric="RGB", PlanarConfiguration=None)
    assert np.array_equal(read_radiograph(bare).pixels, read_radiograph(usual).pixels)


@pytest.mark.parametrize(
    "text",
    [
        "LAT", "LATERAL", "LEFT LATERAL", "XTABLE LATERAL", "X-TABLE LAT", "CHESTLAT", "LLAT", "RLAT", "PA LLD",
        "AP LDECUB", "DECUBITUS", "AXIAL", "OBL", "LPO", "AP LORDOTIC", "SWIMMERS", "RL", "LL", "W033_LAT",
        "TANGENTIAL", "AX", "SUP",
    ],
)  # fmt: skip
def test_other_views_are_known_by_their_words(text: str) -> None:
    with pytest.raises(OtherView):
        read_dicom(dx(ViewPosition=text))


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("PA", "PA"), ("pa", "PA"), ("PA ERECT", "PA"), ("CHEST PA", "PA"), ("CHEST_PA", "PA"),
        ("POSTEROANTERIOR", "PA"),
        ("POSTERO-ANTERIOR", "PA"), ("W033 PA GRID", "PA"), ("AP", "AP"), ("AP SUPINE", "AP"),
        ("ANTERO-POSTERIOR", "AP"), ("PORTABLE AP", "AP"),
        ("CHESTPA", "PA"), ("AP SUP", "AP"), ("BILATERAL", ""), ("FLAT", ""), ("", ""),
    ],
)  # fmt: skip
def test_frontal_views_are_known_by_their_words(text: str, view: str) -> None:
    assert read_dicom(dx(ViewPosition=text)).facts.get("view", "") == view


@pytest.mark.parametrize(("written", "years"), [("62", 62), ("062Y", 62), ("6", 6), ("018M", 1.5)])
def test_an_age_without_a_unit_is_in_years(written: str, years: float) -> None:
    facts = read_dicom(dx(PatientAge=written, PatientBirthDate=None)).facts
    assert facts["age_years"] == years


@pytest.mark.parametrize("keyword", ["StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"])
def test_any_date_of_the_picture_says_when_it_was_taken(keyword: str) -> None:
    dates: dict[str, Any] = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), "")
    assert read_dicom(dx(**{**dates, keyword: "20250131"})).offered.study_date == date(2025, 1, 31)


@pytest.mark.parametrize(
    ("spacing", "shape"), [([0.2, 0.1], (256, 128)), ([0.1, 0.15], (128, 192)), ([0.1, 0.1], (128, 128))]
)
def test_pixels_that_are_not_square_get_the_body_s_proportions(
    spacing: list[float], shape: tuple[int, int]
) -> None:
    film = read_dicom(dx(PixelSpacing=spacing))
    assert film.radiograph.pixels.shape == shape
    assert film.values is not None
    assert film.values.shape == shape
    assert film.facts["pixel_spacing_mm"] == [0.1, 0.1]


def with_chunk(picture: bytes, kind: bytes, data: bytes) -> bytes:
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return picture[:33] + chunk + picture[33:]


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        (b"zTXt", b"Comment\0\0"),
        (b"iTXt", b"Comment\0\1\0\0\0"),
        (b"iCCP", b"profile\0\0"),
        (b"tEXt", b"Comment\0"),
    ],
)
def test_a_large_text_beside_the_picture_is_stepped_over(kind: bytes, start: bytes) -> None:
    text = bytes(3_000_000) if kind == b"tEXt" else zlib.compress(bytes(80_000_000))
    film = read_radiograph(with_chunk(png(), kind, start + text))
    assert np.array_equal(film.pixels, read_radiograph(png()).pixels)


def test_broken_exif_beside_the_picture_is_stepped_over() -> None:
    entries = struct.pack("<HHLL", 0x0112, 3, 1, 6) + struct.pack("<HHLL", 0x011A, 10, 1, 38)
    exif = b"Exif\0\0II*\0" + struct.pack("<L", 8) + struct.pack("<H", 2) + entries + struct.pack("<L", 0)
    exif += struct.pack("<ll", -1, 0)
    plain = jpeg(side=200)
    content = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    upright = Image.open(io.BytesIO(plain)).transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(read_radiograph(content).pixels, np.asarray(upright.convert("L")))
