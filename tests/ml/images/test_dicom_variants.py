"""DICOM files as clinics write them: headers with free text, missing elements and values of other forms."""

from datetime import date
from typing import Any

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless

from ml.images.dicom import read_dicom
from ml.images.errors import ImageError
from tests.support.dicoms import dx, stored, view_code

OTHER_VIEWS = [
    "LAT", "LLAT", "LT LAT", "CHESTLAT", "XTABLE LATERAL", "X-TABLE", "XTBL", "PA LLD", "LDECUB", "RLD",
    "RT DECUBITUS", "AXIAL", "OBL", "LPO", "AP LORDOTIC", "SWIMMERS", "LL ERECT", "RL", "PALAT",
]  # fmt: skip
NO_DATES: dict[str, Any] = {"StudyDate": "", "AcquisitionDate": None}


@pytest.mark.parametrize("words", OTHER_VIEWS)
def test_a_view_that_is_not_frontal_is_refused(words: str) -> None:
    with pytest.raises(ImageError) as raised:
        read_dicom(dx(ViewPosition=words))
    assert raised.value.code == "other-view"


@pytest.mark.parametrize(
    ("words", "view"),
    [
        ("POSTEROANTERIOR", "PA"), ("POSTERO-ANTERIOR", "PA"), ("CHEST PA", "PA"), ("PA_CHEST", "PA"),
        ("ANTEROPOSTERIOR", "AP"), ("Antero-posterior", "AP"), ("AP SUPINE", "AP"), ("ERECT", ""), ("PORTABLE", ""),
    ],
)  # fmt: skip
def test_a_frontal_view_is_read_from_its_words(words: str, view: str) -> None:
    assert read_dicom(dx(ViewPosition=words)).offered.view == view


def test_the_view_is_read_from_the_meaning_of_an_unknown_code() -> None:
    code = view_code("99X", "postero-anterior")
    assert read_dicom(dx(ViewPosition=None, ViewCodeSequence=code)).offered.view == "PA"


@pytest.mark.parametrize(("kind", "modality"), [("1", "CR"), ("1.1", "DX")])
def test_an_empty_modality_is_taken_from_the_sop_class(kind: str, modality: str) -> None:
    film = read_dicom(dx(Modality="", SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{kind}"))
    assert film.facts["modality"] == modality


def test_an_age_without_a_unit_is_in_years() -> None:
    film = read_dicom(dx(PatientAge="62", PatientBirthDate=""))
    assert film.facts["age_years"] == 62


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("SeriesDate", "20250131"), ("ContentDate", "20250131"), ("AcquisitionDate", "20250131"),
     ("AcquisitionDateTime", "20250131120000.000000+0100")],
)  # fmt: skip
def test_the_date_taken_is_any_date_of_the_file(keyword: str, value: str) -> None:
    assert read_dicom(dx(**{**NO_DATES, keyword: value})).offered.study_date == date(2025, 1, 31)


def test_colour_without_planar_configuration_is_by_pixel() -> None:
    grey = stored(bits=8).astype(np.uint8)
    colour = np.stack([grey] * 3, axis=-1)
    content = dx(
        pixels=colour, bits=8, photometric="RGB", modality="OT", PlanarConfiguration=None,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
    )  # fmt: skip
    assert np.array_equal(read_dicom(content).radiograph.pixels, grey)


def test_a_private_transfer_syntax_is_named() -> None:
    content = dx(syntax=JPEG2000Lossless).replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.113619.5.2\0\0\0\0")
    with pytest.raises(ImageError, match=r"1\.2\.840\.113619\.5\.2") as raised:
        read_dicom(content)
    assert raised.value.code == "transfer-syntax"


def test_decimal_commas_are_read() -> None:
    old = b"4321.5", b"2000.5", b"0.1430"
    content = dx(
        WindowCenter=old[0].decode(), WindowWidth=old[1].decode(), PixelSpacing=[old[2].decode()] * 2
    )
    for number in old:
        content = content.replace(number, number.replace(b".", b","))
    film = read_dicom(content)
    assert film.facts["pixel_spacing_mm"] == [0.143, 0.143]


def test_jpeg_2000_with_a_comment_behind_its_tiles_or_without_an_end_is_read() -> None:
    content = dx(syntax=JPEG2000Lossless)
    right = read_dicom(content).radiograph.pixels
    end = content.rindex(b"\xff\xd9")
    comment = b"\xff\x64\x00\x0c\x00\x01PADDING!"
    place = content.rindex(b"\xfe\xff\x00\xe0") + 4
    length = int.from_bytes(content[place : place + 4], "little") + len(comment)
    longer = (
        content[:place] + length.to_bytes(4, "little") + content[place + 4 : end] + comment + content[end:]
    )
    assert np.array_equal(read_dicom(longer).radiograph.pixels, right)
    assert np.array_equal(read_dicom(content[:end] + bytes(2) + content[end + 2 :]).radiograph.pixels, right)


def test_without_a_sequence_delimiter_the_film_is_read() -> None:
    content = dx(syntax=JPEG2000Lossless)
    end = content.rindex(b"\xfe\xff\xdd\xe0")
    assert np.array_equal(read_dicom(content[:end]).radiograph.pixels, read_dicom(content).radiograph.pixels)


def test_a_cut_off_compressed_film_is_said_to_be_incomplete() -> None:
    with pytest.raises(ImageError, match="incomplete: it holds"):
        read_dicom(dx(syntax=JPEG2000Lossless)[:-3000])


@pytest.mark.parametrize(
    ("elements", "shape"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (256, 128)),
        ({"PixelSpacing": [0.1, 0.2]}, (128, 256)),
        ({"PixelSpacing": None, "ImagerPixelSpacing": None, "PixelAspectRatio": [2, 1]}, (256, 128)),
        ({"PixelSpacing": [0.1, 0.1]}, (128, 128)),
    ],
)
def test_pixels_that_are_not_square_are_made_square(elements: dict[str, Any], shape: tuple[int, int]) -> None:
    film = read_dicom(dx(**elements))
    assert film.radiograph.pixels.shape == shape
    assert film.values is not None
    assert film.values.shape == shape
    if elements["PixelSpacing"]:
        assert film.facts["pixel_spacing_mm"] == [0.1, 0.1]
