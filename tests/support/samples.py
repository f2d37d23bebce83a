"""The synthetic films that the project ships, and as many pictures of that kind as a test asks for."""

from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

SAMPLES = Path(__file__).resolve().parents[2] / "ml" / "samples"


@cache
def sample_films(number: int) -> list[bytes]:
    """Return PNG files of synthetic films that the gate accepts, no two alike: each round takes one grey level off."""
    files = sorted(SAMPLES.glob("*.png"))
    assert files, f"no films in {SAMPLES}"
    pictures = []
    for place in range(number):
        picture = Image.open(files[place % len(files)]).convert("L").point(_less(place // len(files)))
        buffer = BytesIO()
        picture.save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    return pictures


def _less(levels: int) -> list[int]:
    return [max(0, grey - levels) for grey in range(256)]
