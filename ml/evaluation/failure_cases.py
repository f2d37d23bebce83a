"""Known failures of a model, shown on synthetic films only: nobody's film has to be published to show them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ml.images import perturbations
from ml.images.perturbations import STRESSES
from ml.images.preprocessing import Preparation, fit
from ml.images.reader import read_radiograph
from ml.metrics import classification
from ml.serving import gate
from ml.serving.gate import GateParameters
from ml.serving.runtime import Runtime

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
PICTURE = "failures.jpg"
MOST = 4
PICTURE_SIDE = 240


def find(
    runtime: Runtime,
    parameters: GateParameters,
    preparation: Preparation,
    temperature: float,
    threshold: float,
    folder: Path,
    samples: Path = SAMPLES,
) -> dict[str, Any]:
    """The entry `failures` of a card. The surest wrong answers, one a film, are left in `folder` as one picture, in the
    order of the entry's `shown` from left to right.

    Every synthetic film is answered as it is and under every change of the stress table. A film that the gate refuses
    is a failure too: it is a frontal chest film.
    """
    with (samples / "labels.csv").open(newline="", encoding="utf-8") as handle:
        truths = {row["file"]: row["label"] for row in csv.DictReader(handle)}
    tried, wrong = 0, []
    for name, truth in sorted(truths.items()):
        film = read_radiograph(samples / name)
        changed = {stress: perturbations.stressed(film, stress) for stress in STRESSES}
        ready = np.stack([preparation(picture) for picture in changed.values()])[..., None]
        probabilities = classification.sigmoid(runtime.run(ready).logits / temperature)
        tried += len(changed)
        for (stress, picture), probability in zip(changed.items(), probabilities, strict=True):
            refused = gate.refusals(picture, parameters)
            said = "refused" if refused else "PNEUMONIA" if probability >= threshold else "NORMAL"
            if said != truth:
                wrong.append(
                    (abs(float(probability) - threshold), name, stress, truth, said, probability, picture)
                )
    shown: list[dict[str, Any]] = []
    pictures = []
    for _, name, stress, truth, said, probability, picture in sorted(wrong, key=lambda row: -row[0]):
        if len(shown) < MOST and all(row["film"] != name for row in shown):
            row = {"film": name, "change": stress, "drawn_as": truth, "said": said}
            shown.append({**row, "probability": None if said == "refused" else round(float(probability), 3)})
            pictures.append(fit(picture, PICTURE_SIDE))
    if pictures:
        strip = (np.concatenate(pictures, axis=1) * 255).round().astype(np.uint8)
        Image.fromarray(strip).save(folder / PICTURE, quality=85)
    return {"films": len(truths), "tried": tried, "wrong": len(wrong), "shown": shown}
