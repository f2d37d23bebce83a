"""Fingerprints: near for copies of one picture, far for pictures of two patients."""

import io

import numpy as np
import pytest
from PIL import Image

from ml.images.perceptual_hash import NEAR, fingerprint, near
from ml.images.reader import read_radiograph
from tests.support.radiographs import jpeg
from tests.support.samples import SAMPLES

FILES = sorted(SAMPLES.glob("*.png"))


def apart(one: bytes, other: bytes) -> int:
    return int(np.bitwise_count(np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).sum())


@pytest.fixture(scope="module")
def prints() -> list[bytes]:
    return [fingerprint(read_radiograph(path)) for path in FILES]


def test_a_smaller_darker_copy_in_another_format_is_near(prints: list[bytes]) -> None:
    for path, one in zip(FILES, prints, strict=True):
        picture = Image.open(path).convert("L")
        darker = picture.resize((picture.width // 2, picture.height // 2)).point(lambda grey: grey * 0.8)
        assert apart(one, fingerprint(read_radiograph(io.BytesIO(jpeg(darker))))) <= NEAR


def test_films_of_two_patients_are_far(prints: list[bytes]) -> None:
    assert min(apart(a, b) for a in prints for b in prints if a is not b) > NEAR


def test_pairs_are_named_by_place_and_distance() -> None:
    one, other = bytes(32), bytes([255] * 32)
    almost = bytes([0b111, *bytes(31)])
    assert list(near([one], [other, almost, one])) == [(0, 1, 3), (0, 2, 0)]
    assert list(near([one], [])) == []
