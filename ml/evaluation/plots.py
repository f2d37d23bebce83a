"""Pictures of figures, as PNG, readable on dark and on light pages alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

GROUND, INK, FAINT = "#14171c", "#d7dce3", "#3a414c"
# Told apart by brightness and by dashes as well as by hue (after Okabe and Ito).
COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#bbbbbb", "#ffffff")
DASHES = ("-", "--", "-.", ":")


@contextmanager
def _axes(path: Path, x: str, y: str) -> Iterator[Axes]:
    """One pair of axes on a dark ground, saved to `path` at the end."""
    figure, axes = pyplot.subplots(figsize=(6.4, 4.4), dpi=120, facecolor=GROUND)
    axes.set_facecolor(GROUND)
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.tick_params(colors=INK)
    axes.grid(color=FAINT, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    try:
        yield axes
        if axes.get_legend_handles_labels()[0]:
            axes.legend(facecolor=GROUND, edgecolor=FAINT, labelcolor=INK, fontsize=8)
        figure.tight_layout()
        figure.savefig(path, metadata={"Software": None})
    finally:
        pyplot.close(figure)


def comparison_plots(found: dict[str, Any], folder: Path) -> None:
    """`roc.png`, `calibration.png` and `accuracy-by-milliseconds.png` of a comparison."""
    rows = found["architectures"]
    with _axes(folder / "roc.png", "false alarms (1 − specificity)", "sensitivity") as axes:
        for place, row in enumerate(rows):
            label = f"{row['title']}: {row['metrics']['auc']:.3f}"
            axes.plot(*zip(*row["roc"], strict=True), label=label, **_style(place))
        axes.plot([0, 1], [0, 1], color=FAINT)
    with _axes(folder / "calibration.png", "stated probability", "share with pneumonia") as axes:
        for place, row in enumerate(rows):
            stated, observed = (
                [bin_[key] for bin_ in row["reliability"]] for key in ("mean_probability", "observed")
            )
            axes.plot(stated, observed, label=row["title"], marker=".", **_style(place))
        axes.plot([0, 1], [0, 1], color=FAINT)
    with _axes(folder / "accuracy-by-milliseconds.png", "milliseconds a film", "accuracy") as axes:
        axes.set_xscale("log")
        for place, row in enumerate(rows):
            low, high = row["metrics"]["accuracy_ci"]
            middle = row["metrics"]["accuracy"]
            spread = [[max(0.0, middle - low)], [max(0.0, high - middle)]]
            axes.errorbar(
                row["milliseconds"], middle, spread, fmt="o", color=COLOURS[place % 8], label=row["title"]
            )


def curves(history: Sequence[dict[str, float]], best_epoch: int, path: Path) -> None:
    """Loss and AUC by epoch, of training and validation; the kept epoch is marked."""
    epochs = [row["epoch"] for row in history]
    with _axes(path, "epoch", "loss (solid), AUC (dashed)") as axes:
        for place, (key, name) in enumerate((("loss", "training"), ("val_loss", "validation"))):
            axes.plot(epochs, [row[key] for row in history], label=f"{name} loss", color=COLOURS[place])
        for place, (key, name) in enumerate((("auc", "training"), ("val_auc", "validation"))):
            values = [row[key] for row in history]
            axes.plot(epochs, values, "--", label=f"{name} AUC", color=COLOURS[place])
        axes.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":")
        axes.annotate("kept", (best_epoch, 0), color=INK, fontsize=8)
        axes.set_ylim(0, max(1.05, math.ceil(max(row["val_loss"] for row in history) * 10) / 10))


def _style(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % 8], "linestyle": DASHES[place % 4], "linewidth": 1.6}
