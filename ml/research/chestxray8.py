"""Films of ChestX-ray8 as a second population: `python -m ml.research.chestxray8 SOURCE --out DIR`.

`SOURCE` holds `images/` and a `labels.csv` of the columns `file`, `nih_label` (mined from reports; Wang et al., CVPR
2017), `rsna_label` (read by radiologists for the RSNA Pneumonia Detection Challenge 2018, empty where it was not),
`patient`, `age_years` and `view` (AP or PA). What a radiologist said counts before the report. A report counts where
radiologists mostly agreed with such reports, of the same finding and view: where a report said pneumonia of a film that
was taken standing, they mostly saw none. What it said is then doubtful (see `ml.data.dataset`). `DIR` is a
data set whose
hash, and whose held-back patients with it, depend on nothing but the films and what was said of them.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ml.data.dataset import VIEWS
from ml.errors import DatasetError

BY_RADIOLOGISTS = {"Lung Opacity": "PNEUMONIA", "Normal": "NORMAL", "No Lung Opacity / Not Normal": ""}
"""An empty label is neither; such a film tries the gate alone."""
BY_REPORT = {"Pneumonia": "PNEUMONIA", "No Finding": "NORMAL"}
NEEDED = ("file", "nih_label", "rsna_label", "patient", "age_years", "view")
COLUMNS = ("file", "label", "doubtful", "patient", "age_years", "view")
AGREEMENT = 2 / 3
"""Reports of a finding and view count from this share of films on which a radiologist's label says the same."""


def convert(source: Path, out: Path, *, every_report: bool = False) -> Counter[str]:
    """Write the data set, and return how many films have which label, by who gave it. With `every_report`, none is
    doubtful.

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
    for number, row in enumerate(rows, start=2):
        for name, labels in (("rsna_label", {"": "", **BY_RADIOLOGISTS}), ("nih_label", BY_REPORT)):
            if row[name] not in labels:
                raise DatasetError(f"{table}, line {number}: the label {row[name]} is not known.")
        if not (source / "images" / row["file"]).is_file():
            raise DatasetError(f"{table}, line {number}: {source / 'images' / row['file']} is missing.")
    believed = {kind for kind, (same, n) in agreement(rows).items() if same >= AGREEMENT * n}
    found, counts = [], Counter[str]()
    for row in rows:
        name, doubtful = row["file"], ""
        if row["rsna_label"]:
            by, label = "radiologist", BY_RADIOLOGISTS[row["rsna_label"]]
            counts[f"{by}: {label or 'neither'}"] += 1
        else:
            by, label = "report", BY_REPORT[row["nih_label"]]
            kind = (row["nih_label"], row["view"])
            if kind not in believed and not every_report:
                label, doubtful = "", label
            counts[f"{by}: {label or f'{doubtful}, doubtful'}"] += 1
        view = row["view"] if row["view"] in VIEWS else ""
        row |= {"file": f"{by}/{row['file']}", "label": label, "doubtful": doubtful, "view": view}
        found.append((name, row))
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


def agreement(rows: Iterable[dict[str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
    """By the report's finding and the view: on how many films report and radiologist said the same, and of how many
    that a radiologist called pneumonia or normal. Films that a radiologist called neither speak against no report."""
    same, both = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows:
        kind = (row["nih_label"], row["view"])
        if label := BY_RADIOLOGISTS.get(row["rsna_label"]):
            both[kind] += 1
            same[kind] += label == BY_REPORT[row["nih_label"]]
    return {kind: (same[kind], n) for kind, n in both.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with the data set, 2 where the source is not as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.research.chestxray8",
        description="Make a second population of films of ChestX-ray8.",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="images/ and labels.csv")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--every-report",
        action="store_true",
        help="believe every report, as was done for lite0-6 to lite0-10",
    )
    options = parser.parse_args(arguments)
    try:
        counts = convert(options.source, options.out, every_report=options.every_report)
    except DatasetError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"{count:5} {name}" for name, count in sorted(counts.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
