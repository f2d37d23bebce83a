"""The card of a model version as Markdown (MODEL_CARD.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml.artifact.card import Card

_TITLES = {"auc": "AUC", "accuracy": "accuracy", "sensitivity": "sensitivity", "specificity": "specificity"}


def describe(card: Card) -> str:
    """The card in plain words, as Markdown."""
    figures, data = card.metrics, card.data
    (tn, fp), (fn, tp) = figures["confusion"]
    lines = [
        f"# {card.name}",
        "",
        f"Made on {card.created}. Architecture `{card.architecture}`, {card.parameters:,} parameters, films of "
        f"{card.input_size} x {card.input_size} pixels." + (f" {card.views}" if card.views else ""),
        "",
        "## What it is for",
        "",
        "Decision support: it gives a probability of pneumonia for one frontal chest film, and a map of where the "
        "evidence was. A clinician decides. It must not be used to rule pneumonia out, to triage without a reader, "
        "or on anything but a frontal chest film.",
        "",
        f"Population: {card.population['description']} {card.population['evidence']}",
        "",
        "## Films",
        "",
        f"{data['description']} Normal {data['films']['NORMAL']:,}, pneumonia {data['films']['PNEUMONIA']:,}, "
        f"{data['patients']:,} patients. Held back for validation, whole patients at a time: "
        f"{data['validation']['NORMAL']:,} normal, {data['validation']['PNEUMONIA']:,} pneumonia, "
        f"{data['validation']['patients']:,} patients.",
        *_initialisation_lines(card),
        *_weights_lines(card),
        *_inherited_lines(card),
        "",
        "## Figures on the validation films",
        "",
        *([data["flattered"], ""] if data.get("flattered") else []),
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        *(
            f"| {title} | {figures[name]:.3f} | {figures[name + '_ci'][0]:.3f} to {figures[name + '_ci'][1]:.3f} |"
            for name, title in _TITLES.items()
        ),
        f"| Brier score | {figures['brier']:.3f} | |",
        f"| calibration error (15 bins) | {figures['ece']:.3f} | |",
        "",
        f"Normal films: {tn} answered normal, {fp} pneumonia. Pneumonia films: {tp} answered pneumonia, {fn} normal. "
        f"{card.metrics_method}",
        "",
        *([data["folds"]["sentence"], ""] if "folds" in data else []),
        f"Threshold {card.threshold:g}. {card.threshold_method}",
        "",
        *_operating_lines(card),
        f"Calibration: {card.calibration['method']}",
        "",
        *_fold_lines(card),
        *_subgroup_lines(card),
        "## How it holds when films change",
        "",
        "Validation films, changed on purpose, at the same threshold.",
        "",
        "| change | AUC | sensitivity | specificity |",
        "|---|---|---|---|",
        *(
            f"| {row['stress']} | {row['auc']:.3f} | {row['sensitivity']:.3f} | {row['specificity']:.3f} |"
            for row in card.stress
        ),
        "",
        "## What it refuses",
        "",
        card.gate["description"],
        "",
        *(
            ["| pictures | refused | of |", "|---|---|---|"]
            + [f"| {row['pictures']} | {row['refused']} | {row['n']} |" for row in card.gate["measured"]]
        ),
        "",
        *_map_lines(card),
        *_failure_lines(card),
        "## Agreement and repetition",
        "",
        *(f"- {entry['sentence']}" for entry in card.agreement.values()),
        f"- {card.reproducibility}",
        "",
        f"Seed {card.seed}. "
        + ", ".join(f"{name} {version}" for name, version in sorted(card.versions.items()))
        + ".",
        "",
    ]
    return "\n".join(lines)


def _fold_lines(card: Card) -> list[str]:
    """Versions of earlier releases, and those of few patients, have no folds."""
    folds = card.calibration.get("folds")
    return [f"Judged on patients who did not choose: {folds['sentence']}", ""] if folds else []


def _initialisation_lines(card: Card) -> list[str]:
    start = card.initialisation
    if not start:
        return []
    return [
        "",
        f"Its first training started from {start['weights']} (licence {start['licence']}, sha256 `{start['sha256']}`).",
    ]


def _inherited_lines(card: Card) -> list[str]:
    """What `ml.artifact.lineage` keeps on record."""
    if not (found := card.data.get("inherited")):
        return []
    named = [f"`{record['hash'][:12]}`" if record["hash"] else "one that no card names" for record in found]
    return [
        "",
        f"Versions that it came from or was taught by also learned from other films, by the hash of the set: "
        f"{', '.join(named)}.",
    ]


def _weights_lines(card: Card) -> list[str]:
    if before := card.training.get("weights_of"):
        return [
            "",
            f"The weights are those of `{before}`, whose training resized films by "
            f"`{card.training['resized_by']}`. This version resizes them by `{card.preprocessing}`, and all its "
            "figures were measured so.",
        ]
    lines = []
    if found := card.training.get("variants"):
        lines += [
            "",
            f"It was trained {len(found) - 1} times from the same start, with another order of the films and other "
            "changes each time, and the weights were averaged. The curves are those of the first. What an epoch is "
            "judged by, validation films of which every second one is changed:",
            *_judged_table([(row["weights"], row) for row in found]),
        ]
    if found := card.training.get("shares"):
        kept = min(found, key=lambda row: row.get("weighed_loss", row.get("worst_loss", row["val_loss"])))
        both = "weighed_loss" in kept and "also_val_loss" in kept
        lines += [
            "",
            f"Training started from another version. The weights lie at {kept['share']:.0%} of the way from that "
            "version's to those that were learned, where the validation loss is lowest"
            + (" under the change of the stress table that is hardest for them" if "worst" in kept else "")
            + (", that on the second population counting beside it with its share:" if both else ":"),
            *_judged_table([(f"{row['share']:.0%} of the way", row) for row in found]),
        ]
        if "worst" in kept:
            lines += [
                "",
                "What they lose under that change: "
                + "; ".join(
                    f"{row['share']:.0%} of the way {row['worst_loss']:.4f} ({row['worst']})"
                    + (f", with the second population {row['weighed_loss']:.4f}" if both else "")
                    for row in found
                )
                + ".",
            ]
    return lines


def _judged_table(rows: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """What an epoch is judged by, of some weights each."""
    return [
        "",
        "| weights | loss | AUC | AUC of a second population |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row['val_loss']:.4f} | {row['val_auc']:.4f} | "
            f"{format(row['also_val_auc'], '.4f') if 'also_val_auc' in row else ''} |"
            for name, row in rows
        ),
    ]


def _subgroup_lines(card: Card) -> list[str]:
    if not card.subgroups:
        return []
    rates = ("auc", "sensitivity", "specificity")
    rows = [
        f"| {row['group']} | {row['n']} | "
        + " | ".join(
            f"{row[rate]:.3f} ({row[rate + '_ci'][0]:.3f} to {row[rate + '_ci'][1]:.3f})" for rate in rates
        )
        + f" | {row['ece']:.3f} |"
        for row in card.subgroups
    ]
    return [
        "## By kind of film",
        "",
        "Films held back, same threshold and temperature; 95 % intervals. Films that the gate refuses count here; "
        "`ml.evaluate` leaves them out.",
        "",
        "| films | n | AUC | sensitivity | specificity | calibration error |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        *([card.origin["sentence"], ""] if card.origin else []),
    ]


def _operating_lines(card: Card) -> list[str]:
    if not card.operating_points:
        return []
    return [
        *(
            f"- To find {row['sensitivity']:.0%} of the pneumonias of the {row['films']}, the threshold would have "
            f"to be {row['threshold']:.3f}; the specificity would be {row['specificity']:.3f} on the films as they are "
            f"and {row['worst_specificity']:.3f} at worst."
            for row in card.operating_points
        ),
        "",
    ]


def _map_lines(card: Card) -> list[str]:
    found = card.heatmap.get("sanity")
    if not found:
        return []
    lesions = found["lesions"].get("sentence")
    return [
        "## Where its maps point",
        "",
        found["method"],
        "",
        "| films answered pneumonia | of them with a warning | of |",
        "|---|---|---|",
        *(f"| {row['films']} | {row['warned']} | {row['n']} |" for row in found["measured"]),
        "",
        *([lesions, ""] if lesions else []),
    ]


def _failure_lines(card: Card) -> list[str]:
    found = card.failures
    if not found:
        return []
    return [
        "## Known failures",
        "",
        f"On {found['films']} synthetic films, each as it is and under every change of the stress table: "
        f"{found['wrong']} of {found['tried']} were answered otherwise than they were drawn, or refused. Films of "
        "patients are not shown.",
        "",
        *(["![Synthetic films, from left to right as listed](failures.jpg)", ""] if found["shown"] else []),
        *(
            f"- `{row['film']}`, {row['change']}: drawn as {row['drawn_as']}, {_said(row)}."
            for row in found["shown"]
        ),
        "",
    ]


def _said(row: dict[str, Any]) -> str:
    if row["said"] == "refused":
        return "refused"
    return f"answered {row['said']} with probability {row['probability']:.2f}"
