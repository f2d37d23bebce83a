"""Reading: every kind of file gets the right picture, or a sentence that says what to do."""

import contextlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ml.images import errors, preprocessing
from ml.images.preprocessing import fit, standardise
from ml.images.radiograph import Radiograph, thumbnail, to_png
from ml.images.reader import read_radiograph
from tests.support.radiographs import chest, film, grey, jpeg, png


def refusal(content: bytes) -> errors.ImageError:
    with pytest.raises(errors.ImageError) as caught:
        read_radiograph(content)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return caught.value


def huge_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a few bytes: decoding it would take its whole size in memory."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_grey_png_keeps_every_pixel() -> None:
    pixels = grey()
    read = read_radiograph(png(pixels))
    assert (read.bits, read.source_format, read.notes, read.colourfulness) == (8, "PNG", (), 0.0)
    np.testing.assert_array_equal(read.pixels, pixels)


def test_path_bytes_and_open_file_give_the_same(tmp_path: Path) -> None:
    content = png(grey())
    path = tmp_path / "a film without a suffix"
    path.write_bytes(content)
    with path.open("rb") as handle:
        from_file = read_radiograph(handle)
    np.testing.assert_array_equal(from_file.pixels, read_radiograph(path).pixels)
    np.testing.assert_array_equal(from_file.pixels, read_radiograph(content).pixels)


def test_jpeg_is_known_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(jpeg(Image.fromarray(grey())))
    assert read_radiograph(path).source_format == "JPEG"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "empty", "empty"),
        (b"Patient: see attached film\n" * 20, "unsupported", "a text file"),
        (b"GIF89a" + bytes(40), "unsupported", "a GIF"),
        (
            b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
            "unsupported",
            "an SVG drawing",
        ),
        (b"%PDF-1.7\n%\xe2\xe3", "unsupported", "a PDF document"),
        (bytes(128) + b"DICM" + bytes(60), "wrong-modality", "not a chest film"),
        (b"BM" + bytes(60), "unsupported", "a BMP picture"),
        (b"PK\x03\x04" + bytes(60), "unsupported", "a ZIP archive"),
        (bytes(range(256)), "unsupported", "a file of another kind"),
        (b"\x89PNG\r\n\x1a\n", "damaged", "damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(80), "damaged", "damaged"),
    ],
)
def test_what_is_no_film_is_named(content: bytes, code: str, words: str) -> None:
    error = refusal(content)
    assert error.code == code
    assert words in str(error)


def test_a_real_gif_is_refused_even_as_png() -> None:
    buffer = io.BytesIO()
    Image.fromarray(grey()).save(buffer, format="GIF")
    assert "GIF" in str(refusal(buffer.getvalue()))


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (95, 400), (400, 95)])
def test_too_small(size: tuple[int, int]) -> None:
    assert refusal(png(grey(*size))).code == "too-small"


@pytest.mark.parametrize("size", [(0, 0), (0, 300), (300, 0)])
def test_no_pixels_at_all(size: tuple[int, int]) -> None:
    assert refusal(huge_png(*size)).code == "too-small"


def test_the_smallest_film_is_read() -> None:
    assert read_radiograph(png(grey(96, 96))).pixels.shape == (96, 96)


@pytest.mark.parametrize("size", [(12_000, 12_000), (8_000, 6_251), (60_000, 60_000)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    assert refusal(huge_png(*size)).code == "too-large"


def test_a_jpeg_bomb_is_refused_too() -> None:
    small = jpeg(Image.fromarray(grey()))
    start = small.index(b"\xff\xc0")
    bomb = small[: start + 5] + struct.pack(">HH", 12_000, 12_000) + small[start + 9 :]
    assert refusal(bomb).code == "too-large"


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_truncated_files_are_damaged(share: float) -> None:
    for content in (jpeg(Image.fromarray(grey(600, 500))), png(grey(600, 500))):
        assert refusal(content[: int(len(content) * share)]).code == "damaged"


def test_a_changed_byte_in_a_png_is_damaged() -> None:
    content = bytearray(png(grey()))
    content[len(content) // 2] ^= 0xFF
    assert refusal(bytes(content)).code == "damaged"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_broken_content_never_raises_anything_else(data: st.DataObject) -> None:
    content = bytearray(
        data.draw(st.sampled_from([png(grey(100, 120)), jpeg(Image.fromarray(grey(100, 120)))]))
    )
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(errors.ImageError):
        assert read_radiograph(bytes(content)).pixels.size > 0


def test_an_animated_png_is_refused() -> None:
    frames = [Image.fromarray(grey(seed=seed)) for seed in (1, 2)]
    assert refusal(png(frames[0], save_all=True, append_images=frames[1:])).code == "animated"


@pytest.mark.parametrize(
    ("top", "bits"), [(600, 10), (1023, 10), (4000, 12), (16383, 14), (30000, 16), (65535, 16)]
)
def test_sixteen_bits_are_scaled_and_can_be_had_back(top: int, bits: int) -> None:
    values = (grey().astype(np.uint32) * top // 255).astype(np.uint16)
    read = read_radiograph(png(values))
    assert read.bits == bits
    assert read.pixels.dtype == np.uint16
    full = 2**bits - 1
    assert int(read.pixels.max()) == round(top * 65535 / full)
    np.testing.assert_array_equal((read.pixels.astype(np.int64) * full + 32767) // 65535, values)
    assert any("scaled" in note for note in read.notes) == (bits < 16)


def test_a_sixteen_bit_film_and_its_eight_bit_copy_are_the_same_film() -> None:
    eight = grey()
    twelve = read_radiograph(png(eight.astype(np.uint16) * 16))
    deep = read_radiograph(png(eight.astype(np.uint16) * 257))
    expected = standardise(fit(film(eight), 62))
    np.testing.assert_allclose(standardise(fit(twelve, 62)), expected, atol=1e-4)
    np.testing.assert_allclose(standardise(fit(deep, 62)), expected, atol=1e-4)


def test_sixteen_bit_file_with_eight_bit_values() -> None:
    read = read_radiograph(png(grey().astype(np.uint16)))
    assert read.bits == 8
    np.testing.assert_array_equal(read.pixels, grey())


def test_a_stored_film_reads_back_as_it_was() -> None:
    for values in (grey(), (grey().astype(np.uint16) * 16)):
        first = read_radiograph(png(values))
        again = read_radiograph(to_png(first))
        np.testing.assert_array_equal(again.pixels, first.pixels)
        assert again.notes == ()


def test_the_stored_film_has_no_metadata() -> None:
    from PIL.PngImagePlugin import PngInfo

    secret = PngInfo()
    secret.add_text("PatientName", "Doe^Jane")
    stored = to_png(read_radiograph(png(Image.fromarray(grey()), pnginfo=secret)))
    assert b"Doe" not in stored
    assert b"tEXt" not in stored


def test_transparency_becomes_black() -> None:
    colour = np.dstack([grey()] * 3 + [np.full((240, 200), 255, np.uint8)])
    colour[:50, :, 3] = 0
    read = read_radiograph(png(Image.fromarray(colour, "RGBA")))
    assert (read.pixels[:50] == 0).all()
    np.testing.assert_array_equal(read.pixels[50:], grey()[50:])
    assert read.notes == ("transparent areas painted black",)


def test_grey_with_alpha_and_opaque_alpha() -> None:
    alpha = np.full((240, 200), 255, np.uint8)
    whole = read_radiograph(png(Image.merge("LA", [Image.fromarray(grey()), Image.fromarray(alpha)])))
    np.testing.assert_array_equal(whole.pixels, grey())
    assert whole.notes == ()
    alpha[:, :30] = 0
    part = read_radiograph(png(Image.merge("LA", [Image.fromarray(grey()), Image.fromarray(alpha)])))
    assert (part.pixels[:, :30] == 0).all()


def test_sixteen_bit_transparency_becomes_black() -> None:
    values = grey().astype(np.uint16) * 257
    values[:20] = 40_000
    read = read_radiograph(png(Image.fromarray(values), transparency=40_000))
    assert (read.pixels[:20] == 0).all()


def test_palette_cmyk_and_one_bit() -> None:
    palette = read_radiograph(png(Image.fromarray(grey()).convert("P")))
    np.testing.assert_array_equal(palette.pixels, grey())
    cmyk = read_radiograph(jpeg(Image.fromarray(grey()).convert("RGB").convert("CMYK")))
    assert np.abs(cmyk.pixels.astype(int) - grey()).mean() < 3
    one = read_radiograph(png(Image.fromarray(grey() > 127)))
    np.testing.assert_array_equal(one.pixels, (grey() > 127) * 255)


def test_colour_is_told_and_measured() -> None:
    plain = read_radiograph(png(Image.fromarray(np.dstack([grey()] * 3))))
    assert (plain.colourfulness, plain.notes) == (0.0, ())
    bright = read_radiograph(png(Image.fromarray(np.dstack([grey(), 255 - grey(), grey(seed=9)]))))
    assert bright.colourfulness > 0.2
    assert bright.notes == ("colour picture converted to grey",)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.fromarray(grey())
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    tagged = upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = read_radiograph(jpeg(tagged, exif=exif))
    assert read.pixels.shape == (240, 200)
    assert np.abs(read.pixels.astype(int) - grey()).mean() < 2
    assert read.notes == ("rotated by its EXIF orientation",)


def test_fit_averages_areas_so_that_size_hardly_matters() -> None:
    small = chest(3, True, 224)
    large = np.asarray(Image.fromarray(small).resize((2100, 1700), Image.Resampling.BICUBIC))
    difference = standardise(fit(film(large), 62)) - standardise(fit(film(small), 62))
    assert np.abs(difference).mean() < 0.03
    assert fit(film(large), 62).shape == (62, 62)


def test_a_full_size_film_and_its_copy_are_prepared_nearly_alike() -> None:
    large = np.asarray(Image.fromarray(chest(3, True, 224)).resize((2100, 1700), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(1).normal(0, 12, large.shape)
    large = (large + grain).clip(0, 255).astype(np.uint8)
    copy = np.asarray(Image.fromarray(large).resize((224, 224), Image.Resampling.BILINEAR))

    def apart(rule: str) -> float:
        preparation = preprocessing.Preparation(160, rule)
        return float(np.abs(preparation(film(large)) - preparation(film(copy))).mean())

    assert apart(preprocessing.SMOOTHED) < 0.5 * apart(preprocessing.AREA_MEANS)


@pytest.mark.parametrize("size", [(224, 224), (2000, 1600), (130, 900), (128, 128)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_the_smooth_rule_takes_every_size_and_depth(size: tuple[int, int], depth: type) -> None:
    ramp: Any = np.linspace(0, np.iinfo(depth).max, size[1]).astype(depth)
    found = preprocessing.Preparation(160, preprocessing.SMOOTHED).fit(film(np.tile(ramp, (size[0], 1))))
    assert found.shape == (160, 160)
    np.testing.assert_allclose(
        found[3:-3, 3:-3], np.tile((np.arange(160) + 0.5) / 160, (160, 1))[3:-3, 3:-3], atol=0.01
    )


@pytest.mark.parametrize("size", [(224, 224), (1001, 763), (62, 62), (100, 640)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_the_fast_means_are_those_of_the_box_filter(size: tuple[int, int], depth: type) -> None:
    top = np.iinfo(depth).max
    pixels: Any = np.random.default_rng(2).integers(0, top, size, dtype=depth)
    slow = preprocessing.resize(pixels.astype(np.float32), 62)
    assert float(np.abs(preprocessing.resize(pixels, 62) - slow).max()) <= 1e-5 * top


def test_fit_is_between_zero_and_one_for_both_depths() -> None:
    for pixels in (np.full((100, 100), 255, np.uint8), np.full((100, 100), 65535, np.uint16)):
        np.testing.assert_allclose(fit(film(pixels), 20), 1.0, atol=1e-6)


def test_standardise_does_not_know_exposure() -> None:
    values = fit(film(grey()), 40)
    np.testing.assert_allclose(standardise(0.3 * values + 0.2), standardise(values), atol=1e-4)
    assert not standardise(np.full((5, 5), 0.4, np.float32)).any()


def test_thumbnail_keeps_the_aspect() -> None:
    small = Image.open(io.BytesIO(thumbnail(film(grey(900, 600)), 300)))
    assert small.size == (200, 300)
    deep = Image.open(io.BytesIO(thumbnail(film(grey(900, 600).astype(np.uint16) * 257), 300)))
    assert np.abs(np.asarray(deep, int) - np.asarray(small, int)).mean() < 2


def test_a_thumbnail_is_never_larger_than_the_film() -> None:
    assert Image.open(io.BytesIO(thumbnail(film(grey(120, 100)), 320))).size == (100, 120)


def test_reading_needs_no_deep_learning_library() -> None:
    code = (
        "import sys, ml.images.radiograph, ml.artifact.folder; "
        "found = {'tensorflow', 'keras', 'sklearn', 'django', 'scipy'} & set(sys.modules); "
        "sys.exit(', '.join(found) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_radiograph_knows_its_size() -> None:
    read = Radiograph(grey(), 8, "PNG")
    assert (read.height, read.width) == (240, 200)
