"""Bytes of a film -> `Decoded`. The only way by which the web process reads a file that somebody sent."""

import threading

from ml.decoded import Decoded
from ml.images import read_radiograph, thumbnail, to_png

# A film of 50 megapixels takes some hundred megabytes while it is decoded: two at a time in one process.
_turns = threading.BoundedSemaphore(2)


def decode(content: bytes) -> Decoded:
    """Decode one PNG, JPEG or DICOM file. Raises a subclass of `ml.images.ImageError`, whose text is for the sender."""
    with _turns:
        film = read_radiograph(content)
        return Decoded(
            to_png(film), thumbnail(film), None, film.width, film.height, film.bits, film.colourfulness,
            film.notes, film.source_format,
        )  # fmt: skip
