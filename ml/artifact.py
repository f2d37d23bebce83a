"""A model version on disk: a folder of weights, gate and `card.json`, which holds the hash of every other file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parent / "models"
SHIPPED = MODELS / "lite0-16"
SHIPPED_BEFORE: tuple[Path, ...] = (MODELS / "sequential-2",)
"""Versions that PneumoWeb shipped before `SHIPPED`, oldest first; one can go back to them."""
CARD = "card.json"
KERAS_FILE = "model.keras"
LITERT_FILE = "model.tflite"
GATE_FILE = "gate.npz"
MODEL_CARD = "MODEL_CARD.md"
OPTIONAL = {
    "initialisation", "subgroups", "origin", "operating_points", "failures", "reference", "views", "files",
}  # fmt: skip
"""What the card of an older version may lack."""
_TITLES = {"auc": "AUC", "accuracy": "accuracy", "sensitivity": "sensitivity", "specificity": "specificity"}


class ArtifactError(ValueError):
    """A model folder that is incomplete, changed or unreadable; `str()` names the file."""


@dataclass
class Card:
    """What a model version is, how it was made, and how good it was found to be. All figures were measured."""

    name: str
    architecture: str
    created: str
    input_size: int
    preprocessing: str
    labels: list[str]
    threshold: float
    threshold_method: str
    calibration: dict[str, Any]
    heatmap: dict[str, Any]
    gate: dict[str, Any]
    population: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Any]
    metrics_method: str
    history: list[dict[str, Any]]
    best_epoch: int
    roc: list[list[float]]
    reliability: list[dict[str, float]]
    stress: list[dict[str, Any]]
    agreement: dict[str, Any]
    runtime: str
    seed: int
    parameters: int
    training: dict[str, Any]
    versions: dict[str, str]
    reproducibility: str
    initialisation: dict[str, str] = field(default_factory=dict)
    subgroups: list[dict[str, Any]] = field(default_factory=list)
    origin: dict[str, Any] = field(default_factory=dict)
    operating_points: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, Any] = field(default_factory=dict)
    reference: dict[str, Any] = field(default_factory=dict)
    views: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def load_card(directory: Path) -> Card:
    """Read `card.json`. Raises `ArtifactError` where it is missing or is no card of this version."""
    path = directory / CARD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{directory} is no model folder: it has no {CARD}.") from error
    except ValueError as error:
        raise ArtifactError(f"{path} is not readable JSON.") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} is no model card.")
    known = {item.name for item in fields(Card)}
    missing, unknown = known - content.keys() - OPTIONAL, content.keys() - known
    if missing or unknown:
        raise ArtifactError(f"{path} is no card of this version: {', '.join(sorted(missing | unknown))}.")
    return Card(**content)


def check(directory: Path) -> Card:
    """The card, after the sha256 of every file was compared. Raises `ArtifactError` for a file that differs."""
    card = load_card(directory)
    for name in (KERAS_FILE, GATE_FILE):
        if name not in card.files:
            raise ArtifactError(f"{directory / CARD} gives no hash for {name}.")
    for name, expected in card.files.items():
        path = directory / name
        if Path(name).name != name:
            raise ArtifactError(f"{directory / CARD} names a file outside its folder: {name}.")
        if not path.is_file():
            raise ArtifactError(f"{path} is missing.")
        if sha256(path) != expected:
            raise ArtifactError(f"{path} was changed since the model was made: its hash is not the card's.")
    return card


def artifact_hash(directory: Path) -> str:
    """sha256 of `card.json`, which holds the hashes of the other files and so stands for the whole version."""
    path = directory / CARD
    if not path.is_file():
        raise ArtifactError(f"{directory} is no model folder: it has no {CARD}.")
    return sha256(path)


def seal(directory: Path, card: Card) -> None:
    """Write the model card and `card.json` with the hashes of all files. Call it last, in a folder not yet in use."""
    (directory / MODEL_CARD).write_text(describe(card), encoding="utf-8")
    card.files = {path.name: sha256(path) for path in sorted(directory.iterdir()) if path.name != CARD}
    text = json.dumps(card.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    (directory / CARD).write_text(text + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
    """What `ml.lineage` keeps on record."""
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
    if teachers := card.training.get("teachers"):
        names = " and ".join(f"`{teacher['name']}`" for teacher in teachers)
        lines += [
            "",
            f"For the label of a film, as it was changed and blended with others, it was given what {names} "
            f"{'say together' if len(teachers) > 1 else 'says'}.",
        ]
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
