"""DICOM files are read or refused in words; what is kept of their header and what is only offered."""

import struct
import sys
from datetime import date
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ml.images.dicom import DicomFilm, read_dicom
from ml.images.errors import ImageError
from ml.images.reader import read_radiograph
from tests.support.dicoms import (
    REFUSED,
    SHIPPED,
    as_cr,
    dx,
    nested,
    stored,
    values_of,
    view_code,
    with_private,
)

# Rows of the colour bars in pydicom's files, and their greys by ITU-R 601.
BARS = {5: 76, 15: 166, 25: 150, 35: 203, 45: 29, 55: 142, 65: 0, 75: 64, 85: 192, 95: 255}


@pytest.mark.parametrize(("content", "code", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_refused_in_a_sentence(content: bytes, code: str, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_radiograph(content)
    assert words in str(caught.value)
    assert caught.value.code == code
    assert str(caught.value).endswith((".", "instead."))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_lossless_compression_changes_no_pixel(syntax: Any) -> None:
    film = read_dicom(dx(syntax=syntax))
    assert film.values is not None
    assert np.array_equal(film.values, stored())
    assert film.facts["transfer_syntax"] == syntax.name


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian], ids=lambda uid: uid.name
)
def test_every_way_of_writing_elements_is_read(syntax: Any) -> None:
    dataset = dcmread(BytesIO(dx()))
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=True, force_encoding=True)
    film = read_dicom(buffer.getvalue())
    assert film.values is not None
    assert np.array_equal(film.values, stored())


SAME = [
    "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
]  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_pydicoms_own_film_is_the_same_however_it_is_compressed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml.images.radiograph.MIN_SIDE", 64)
    content, dataset = as_cr(name)
    film = read_dicom(content)
    reference = dcmread(SHIPPED / "MR_small.dcm").pixel_array
    assert film.values is not None
    assert np.array_equal(film.values.astype(int) + int(film.facts["values"]["offset"]), reference)
    assert np.array_equal(dataset.pixel_array, reference)


COLOURED = [
    "SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_jls_lossy_sample.dcm",
]  # fmt: skip


@pytest.mark.parametrize("name", COLOURED)
def test_colour_becomes_the_right_grey_and_is_remembered(name: str) -> None:
    film = read_radiograph(SHIPPED / name)
    greys = {row: int(film.pixels[row, 50]) for row in BARS}
    assert greys == pytest.approx(BARS, abs=3)
    assert film.colourfulness == pytest.approx(0.449, abs=0.01)
    assert "colour picture converted to grey" in film.notes


def test_planar_colour_is_read_like_pixels_side_by_side() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 100, 3), dtype=np.uint8)
    plain = dx(pixels=pixels, bits=8, photometric="RGB")
    planar = dx(
        pixels=pixels, bits=8, photometric="RGB", PlanarConfiguration=1,
        PixelData=np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes(),
    )  # fmt: skip
    assert plain != planar
    assert np.array_equal(read_radiograph(plain).pixels, read_radiograph(planar).pixels)


def test_a_file_without_preamble_is_read() -> None:
    whole = values_of(dx())
    for start in (132, dx().index(b"\x08\x00\x05\x00CS")):
        assert np.array_equal(values_of(dx()[start:]), whole)


def test_a_huge_private_element_is_stepped_over() -> None:
    element = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, 20_000_000) + bytes(20_000_000)
    film = read_dicom(with_private(dx(), element))
    assert film.values is not None
    assert np.array_equal(film.values, stored())
    assert read_dicom(with_private(dx(), nested(20))).facts == film.facts


def test_the_facts_are_kept_and_the_identity_is_offered() -> None:
    film = read_dicom(
        dx(
            PatientName="Nobody^Anna Maria^^Dr",
            PatientID="  A  17 ",
            ImagerPixelSpacing=[0.15, 0.2],
            StudyDate="20261103",
        )
    )
    assert film.facts == {
        "modality": "DX",
        "view": "PA",
        "pixel_spacing_mm": [0.15, 0.14971],
        "pixel_spacing_from": "Imager Pixel Spacing",
        "bits_stored": 12,
        "photometric": "MONOCHROME2",
        "transfer_syntax": "Explicit VR Little Endian",
        "age_years": 5.6,
        "sex": "F",
        "device": {"manufacturer": "Agfa", "model": "Synthetic 1"},
        "body_part": "CHEST",
        "window": {"center": 2047.5, "width": 4095.0, "function": "LINEAR_EXACT", "source": "range"},
        "values": {"offset": 0.0, "slope": 1.0, "bits": 12},
        "pixels_sha256": film.facts["pixels_sha256"],
    }
    offered = film.offered
    assert (offered.mrn, offered.name, offered.sex) == ("A 17", "Dr Anna Maria Nobody", "F")
    assert (offered.birth_date, offered.study_date) == (date(2021, 3, 15), date(2026, 11, 3))


@pytest.mark.parametrize(
    ("elements", "fact", "value"),
    [
        ({"PatientBirthDate": None, "PatientAge": "018M"}, "age_years", 1.5),
        ({"PatientBirthDate": "19000101"}, "age_years", 90.0),
        ({"PatientBirthDate": "20261301", "PatientAge": "old"}, "age_years", None),
        ({"Manufacturer": "Dr Anna Nobody"}, "device", None),
        ({"ManufacturerModelName": "Ward 7, Nobody"}, "device", {"manufacturer": "Agfa", "model": ""}),
        ({"BodyPartExamined": "NOBODY^ANNA"}, "body_part", None),
        ({"ViewPosition": None, "ViewCodeSequence": view_code("399348003", "antero-posterior")}, "view", "AP"),
        ({"ViewPosition": "", "ViewCodeSequence": view_code("1", "frontal")}, "view", None),
        ({"ViewPosition": None, "PatientOrientation": ["L", "F"]}, "view", None),
        ({"ViewPosition": None, "PatientOrientation": ["RF", "FL"]}, "view", None),
        ({"ViewPosition": None, "PatientOrientation": ["LE", "CD"]}, "view", None),
        ({"ViewPosition": "AP", "PatientOrientation": ["A", "F"]}, "view", "AP"),
        ({"PixelSpacing": [0.1, 0.1]}, "pixel_spacing_from", "Pixel Spacing"),
        ({"ImagerPixelSpacing": [0, 0]}, "pixel_spacing_mm", None),
    ],
)  # fmt: skip
def test_facts_are_whitelisted(elements: dict[str, Any], fact: str, value: Any) -> None:
    assert read_dicom(dx(**elements)).facts.get(fact) == value


@pytest.mark.parametrize(
    ("written", "spoken"),
    [("Müller^Jörg", "Jörg Müller"), ("=山田^太郎=やまだ^たろう", "山田太郎"), ("^^", ""), ("ONE", "ONE")],
)
def test_names_are_offered_as_they_are_spoken(written: str, spoken: str) -> None:
    assert read_dicom(dx(PatientName=written)).offered.name == spoken


def test_what_is_odd_is_noted() -> None:
    film = read_dicom(dx(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", BodyPartExamined="KNEE"))
    assert any("secondary capture" in note for note in film.radiograph.notes)
    assert any("knee" in note for note in film.radiograph.notes)


def test_damaged_files_never_raise_anything_else(capfd: pytest.CaptureFixture[str]) -> None:
    good = dx(pixels=stored(size=96), RescaleSlope=1, RescaleIntercept=0, WindowCenter=2048, WindowWidth=4096)
    header = good.index(b"\xe0\x7f\x10\x00")
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        torn = bytearray(good)
        for place in generator.integers(132, header + 12, 3):
            torn[place] = generator.integers(256)
        try:
            assert isinstance(read_dicom(bytes(torn)), DicomFilm)
        except ImageError:
            refused += 1
    assert refused > 20
    assert capfd.readouterr().err == ""


def test_pydicom_is_only_imported_for_dicom() -> None:
    import subprocess

    script = "import sys, ml.images.radiograph, ml.predict; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
