"""Films of ChestX-ray8 as a second population: `python -m ml.chestxray8 SOURCE --out DIR`.

`SOURCE` holds `images/` and a `labels.csv` of the columns `file`, `nih_label` (mined from reports; Wang et al., CVPR
2017), `rsna_label` (read by radiologists for the RSNA Pneumonia Detection Challenge 2018, empty where it was not),
`patient` and `age_years`. What a radiologist said counts before the report. `DIR` is then a data set whose hash, and
whose held-back patients with it, depend on nothing but the films and labels.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ml.dataset import DatasetError

BY_RADIOLOGISTS = {"Lung Opacity": "PNEUMONIA", "Normal": "NORMAL", "No Lung Opacity / Not Normal": ""}
"""An empty label is neither; such a film tries the gate alone."""
BY_REPORT = {"Pneumonia": "PNEUMONIA", "No Finding": "NORMAL"}
NEEDED = ("file", "nih_label", "rsna_label", "patient", "age_years")
COLUMNS = ("file", "label", "patient", "age_years")


def convert(source: Path, out: Path) -> Counter[str]:
    """Write the data set, and return how many films have which label, by who gave it.

    Raises `DatasetError` for a table or a film that is missing or not as it should be; then there is no `out`.
    """
    if out.exists():
        raise DatasetError(f"{out} is already there; choose another folder or delete it.")
    table = source / "labels.csv"
    if not table.is_file():
        raise DatasetError(f"{source} holds no labels.csv.")
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or (missing := [name for name in NEEDED if name not in rows[0]]):
        raise DatasetError(f"{table} has no {' and no '.join(missing) if rows else 'rows'}.")
    found, counts = [], Counter[str]()
    for number, row in enumerate(rows, start=2):
        by, labels = ("radiologist", BY_RADIOLOGISTS) if row["rsna_label"] else ("report", BY_REPORT)
        said = row["rsna_label"] or row["nih_label"]
        if said not in labels:
            raise DatasetError(f"{table}, line {number}: the label {said} is not known.")
        if not (source / "images" / row["file"]).is_file():
            raise DatasetError(f"{table}, line {number}: {source / 'images' / row['file']} is missing.")
        label = labels[said]
        counts[f"{by}: {label or 'neither'}"] += 1
        found.append((row["file"], {**row, "file": f"{by}/{row['file']}", "label": label}))
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, kept in found:
        target = unfinished / kept["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / "images" / name, target)
    with (unfinished / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept for _, kept in found)
    unfinished.rename(out)
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with the data set, 2 where the source is not as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.chestxray8", description="Make a second population of films of ChestX-ray8."
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="images/ and labels.csv")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    options = parser.parse_args(arguments)
    try:
        counts = convert(options.source, options.out)
    except DatasetError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"{count:5} {name}" for name, count in sorted(counts.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
