"""What `ml.research.folds` found: as Markdown, and as the sentence of a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ml.errors import TrainingError
from ml.evaluation import cross_fitting
from ml.metrics import classification

RESULT = "folds.json"
RATES = ("auc", "accuracy", "sensitivity", "specificity")


def describe(found: dict[str, Any]) -> str:
    """The tables as Markdown."""
    together, crossed, protocol = found["together"], found["crossfit"], found["protocol"]
    second = together.get("second", [])
    worst = {
        rate: min(together["stress"], key=lambda row: float(row[rate]))
        for rate in ("sensitivity", "specificity")
    }
    lines = [
        "# A training judged on all films",
        "",
        protocol["sentence"],
        "",
        "| fold | films | epoch | AUC | accuracy | sensitivity | specificity | worst sensitivity, changed | worst "
        f"specificity, changed |{' AUC of the second population |' if second else ''}",
        "|---|---|---|---|---|---|---|---|---|" + ("---|" if second else ""),
        *(_line(row) for row in found["folds"]),
        f"| all | {together['n']} | | "
        + " | ".join(f"**{together[rate]:.3f}** {_interval(together, rate)}" for rate in RATES)
        + " | "
        + " | ".join(f"{row[rate]:.3f} ({row['stress']})" for rate, row in worst.items())
        + (f" | **{second[0]['auc']:.3f}** {_interval(second[0], 'auc')} |" if second else " |"),
        "",
        f"In brackets: {classification.INTERVALS_IN_SHORT} In the last row the networks' scales are mixed.",
        "",
        together["origin"]["sentence"],
        "",
    ]
    if second:
        lines += [
            "| second population | films | AUC | sensitivity | specificity |",
            "|---|---|---|---|---|",
            *(
                f"| {row['group']} | {row['n']} | "
                + " | ".join(
                    f"{row[rate]:.3f} {_interval(row, rate)}"
                    for rate in ("auc", "sensitivity", "specificity")
                )
                + " |"
                for row in second
            ),
            "",
        ]
    return "\n".join([*lines, cross_fitting.in_words(crossed, protocol["second_name"]), ""])


def for_card(folder: Path, data_hash: str) -> dict[str, Any]:
    """The card's `data["folds"]`. Raises `TrainingError` where the folder holds none of the films of `data_hash`."""
    try:
        found = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        protocol, together, rows = found["protocol"], found["together"], found["folds"]
        if protocol["data_hash"] != data_hash:
            raise TrainingError(f"{folder} holds folds of other films than the model was trained with.")
        sentence = (
            f"Folds of all films, {protocol['folds']} of them, each read by a network that had learned from the others "
            f"({protocol['architecture']}, {protocol['epochs']} epochs): "
            + ", ".join(
                f"{title} {together[rate]:.3f} {_interval(together, rate)}, from fold to fold {_range(rows, rate)}"
                for rate, title in (
                    ("auc", "AUC"),
                    ("sensitivity", "sensitivity"),
                    ("specificity", "specificity"),
                )
            )
            + "."
        )
        if second := together.get("second"):
            whole, *groups = second
            sentence += (
                f" On {whole['n']:,} {protocol['second_name']}, in folds as well, AUC {whole['auc']:.3f} "
                f"{_interval(whole, 'auc')}, from fold to fold {_range(rows, 'second_auc')}"
            )
            for row in groups:
                name = row["group"].removeprefix(f"{whole['group']}: ")
                sentence += f"; {name}, {row['n']:,} of them, {row['auc']:.3f} {_interval(row, 'auc')}"
            sentence += "."
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder} holds no result of ml.research.folds: {error!r}.") from error
    return {"sentence": sentence}


def _range(rows: list[dict[str, Any]], rate: str) -> str:
    return f"{min(row[rate] for row in rows):.3f} to {max(row[rate] for row in rows):.3f}"


def _interval(figures: dict[str, Any], rate: str) -> str:
    low, high = figures[f"{rate}_ci"]
    return f"({low:.3f} to {high:.3f})"


def _line(row: dict[str, Any]) -> str:
    rates = " | ".join(f"{row[rate]:.3f}" for rate in RATES)
    worst = " | ".join(
        f"{row[name][0]:.3f} ({row[name][1]})" for name in ("worst_sensitivity", "worst_specificity")
    )
    second = f" {row['second_auc']:.3f} |" if "second_auc" in row else ""
    return f"| {row['fold']} | {row['films']} | {row['epoch']} | {rates} | {worst} |{second}"
