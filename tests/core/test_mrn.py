"""Patient numbers."""

import pytest

from diagnosis.core.mrn import normalise_mrn


@pytest.mark.parametrize(
    ("text", "number"), [(" A  1 ", "A 1"), ("A\t1\n", "A 1"), ("A\u00a01", "A 1"), ("a-1", "a-1"), (" ", "")]
)
def test_white_space_of_a_number_is_normalised(text: str, number: str) -> None:
    assert normalise_mrn(text) == number
