"""The gate of a new version: taught or taken over, and measured on what it must refuse and what it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ml import artifact, evidence, fitting, gatefit, strangers
from ml.draws import Films, Stored
from ml.gate import GateParameters, load_parameters
from ml.images import fit, resize
from ml.material import Prepared, SecondPopulation

TEACHING_FILMS = 2000
"""Training films that teach the gate; more teach it nothing that matters here and take their time."""


def teach(prepared: Prepared, second: SecondPopulation, seed: int) -> tuple[GateParameters, dict[str, Any]]:
    """Fit the gate with the training films and measure it; what the card says of it."""
    order = np.random.default_rng([seed, 606]).permutation(len(prepared.train))
    teaching = _for_teaching(prepared.train[np.sort(order[:TEACHING_FILMS])])
    if second.limiting:
        theirs = np.stack([fit(film, fitting.WORKING_SIDE) for film in second.pictures_of(second.limiting)])
        teaching = np.concatenate([teaching, theirs, theirs])
    pictures, chests = strangers.teaching(), strangers.teaching_chests()
    parameters = evidence.fit_limits(
        gatefit.fit_gate(teaching, seed, pictures, chests),
        prepared.validation,
        second.pictures_of(second.limiting),
    )
    others = second.pictures_of(second.held_back)
    measured = evidence.gate_rates(parameters, prepared.validation, others, second.name, seed)
    widened = f" and {len(second.limiting)} {second.name}" if second.limiting else ""
    scanned = ""
    if chests:
        whose = "1 patient" if len(chests) == 1 else f"{len(chests)} patients"
        scanned = (
            f", and with the CT of {whose}, as slices and as chest films from the side and oblique ones, which it "
            "refuses, and from the front, which it does not"
        )
    return parameters, {
        "description": "Pictures that are blank, coloured, very narrow or under 128 pixels, and pictures that differ "
        "from the training films in their coarse make-up: turned, upside down, inverted, from the side or oblique, or "
        f"something else. It was taught with training films{widened}, turned and changed, with drawn pictures and with "
        f"{len(pictures)} pictures that software packages carry{scanned}; its limits were set with the validation "
        f"films{' and the same' if widened else ''}{widened[4:]}. Packages that measured it did not teach it.",
        "limits": {
            "rest": round(float(parameters.rest_limit), 5),
            "distance": round(float(parameters.distance_limit), 5),
            "odds": [round(float(limit), 4) for limit in parameters.film_limits],
        },
        "measured": measured,
    }


def take_over(
    parent: Path, prepared: Prepared, second: SecondPopulation, seed: int
) -> tuple[GateParameters, dict[str, Any]]:
    """The gate of `parent`. It looks at the picture alone, never at the network, so that it holds for other weights;
    what it refuses is measured again, on the validation films of this training."""
    parameters, before = load_parameters(parent / artifact.GATE_FILE), artifact.load_card(parent)
    measured = evidence.gate_rates(
        parameters, prepared.validation, second.pictures_of(second.held_back), second.name, seed
    )
    description = (
        f"{before.gate['description']} It was taken over from {before.name} as it is, and measured again."
    )
    return parameters, {**before.gate, "description": description, "measured": measured}


def _for_teaching(films: Stored) -> Films:
    """The training films as the gate is taught with them: (n, side, side) in 0..1, of the usual working side."""
    full = np.float32(255 if films.dtype == np.uint8 else 1)
    return np.stack([resize(film, fitting.WORKING_SIDE) / full for film in films])
