"""Why a file is not read; each error's message says what to do."""

from __future__ import annotations


class ImageError(ValueError):
    """A file that cannot be read as a film; `str()` says why and what to do, `code` is a stable short name."""

    code = "unreadable"


class EmptyFile(ImageError):
    code = "empty"


class UnsupportedFormat(ImageError):
    code = "unsupported"


class DamagedFile(ImageError):
    code = "damaged"


class TooManyPixels(ImageError):
    code = "too-large"


class TooSmall(ImageError):
    code = "too-small"


class AnimatedFile(ImageError):
    code = "animated"
