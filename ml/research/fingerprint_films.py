"""Write fingerprints of training films: `python -m ml.research.fingerprint_films DIR …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.data import dataset
from ml.data.training_films import FILE, keep
from ml.images.perceptual_hash import fingerprint
from ml.images.reader import read_radiograph


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with the file, 1 where a film cannot be read or the file not be written, 2 where a folder is wrong."""
    from ml.cli import FAILURES, told  # they bring Keras, which nobody needs who only asks

    parser = argparse.ArgumentParser(
        prog="python -m ml.research.fingerprint_films",
        description="Keep the fingerprints of the films that versions learned from.",
    )
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIR", help="as ml.train takes them")
    parser.add_argument("--out", type=Path, default=FILE, metavar="FILE", help="the shipped one if not given")
    options = parser.parse_args(arguments)
    sets: dict[str, list[bytes]] = {}
    try:
        for directory in options.directories:
            films = dataset.read_folder(directory)
            sets[dataset.data_hash(films)] = [fingerprint(read_radiograph(film.path)) for film in films]
        keep(sets, options.out)
    except FAILURES as error:
        return told(parser.prog, error)
    print(
        f"{options.out}: " + ", ".join(f"{len(found):,} films of {name[:12]}" for name, found in sets.items())
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
