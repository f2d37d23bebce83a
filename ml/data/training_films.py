"""Films that the shipped versions learned from, by their fingerprints.

They are public. A site may have them too, as its base folder or as somebody's films, and a version that learned from a
film, or was chosen by it, must not be judged by it: everything would look better than it is. What a site's own
versions learned from, its split ledger knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.artifact.folder import MODELS
from ml.images.perceptual_hash import BITS, near

FILE = MODELS / "training_films.npz"
"""For each set of films, by its hash as in cards, fingerprints (n, 32) as bytes."""


def known(prints: Sequence[bytes], card: Mapping[str, Any]) -> set[int]:
    """Which of these fingerprints are of a film, or of a near copy of one, that a version with this card learned from
    or was chosen by, itself or through the versions before it. An empty one, of an unreadable film, never is."""
    return among(prints, learned(card.get("data", {})))


def among(prints: Sequence[bytes], films: Sequence[bytes]) -> set[int]:
    """Which of these fingerprints are of one of the `films`, or of a near copy of one."""
    places = [place for place, one in enumerate(prints) if one]
    return {places[place] for place, _, _ in near([prints[place] for place in places], films)}


def learned(data: Mapping[str, Any]) -> list[bytes]:
    """Fingerprints of the films that a version learned from or was chosen by, from its card's record of its data."""
    records = [data, data.get("second") or {}, *data.get("inherited", [])]
    hashes = {record.get("hash") for record in records}
    with np.load(FILE, allow_pickle=False) as kept:
        return [one.tobytes() for name in kept.files if name in hashes for one in kept[name]]


def keep(sets: Mapping[str, Sequence[bytes]], out: Path = FILE) -> None:
    """Write the fingerprints of each set of films, by its hash, as a whole or not at all."""
    rows: dict[str, Any] = {
        name: np.frombuffer(b"".join(prints), np.uint8).reshape(len(prints), BITS // 8)
        for name, prints in sets.items()
    }
    unfinished = out.with_name(f"unfinished-{out.name}")
    np.savez_compressed(unfinished, **rows)
    unfinished.replace(out)
