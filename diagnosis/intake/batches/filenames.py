"""Names of files inside a batch: labels for people, never paths of ours."""

import unicodedata
from pathlib import PurePosixPath

LENGTH = 300

_SYSTEM_FILES = {"thumbs.db", ".ds_store", "desktop.ini", "dicomdir", "__macosx", "ehthumbs.db"}


def label(path: str) -> str:
    """Return a path as a harmless label: no root, no `..`, no control characters, NFC, at most 300 characters."""
    path = unicodedata.normalize("NFC", path).replace("\\", "/")
    path = "".join(c for c in path if unicodedata.category(c)[0] != "C")
    parts = [part.strip() for part in path.split("/")]
    clean = "/".join(part for part in parts if part not in ("", ".", "..")) or "unnamed"
    return clean if len(clean) <= LENGTH else "…" + clean[-(LENGTH - 1) :]


def is_left_aside(path: str) -> bool:
    """Whether the file is the computer's own (a folder's settings, a disc's index) and never a film."""
    parts = [part.casefold() for part in PurePosixPath(path.replace("\\", "/")).parts]
    return bool(parts) and (parts[-1].startswith("._") or not _SYSTEM_FILES.isdisjoint(parts))


def is_manifest(path: str) -> bool:
    """Whether the file says whose films lie beside it: `manifest.csv` at the top."""
    return label(path).casefold() == "manifest.csv"
