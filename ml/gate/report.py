"""The gate of a new version: taught or taken over, and measured on what it must refuse and what it must not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.artifact import folder
from ml.gate import fitting
from ml.gate.negatives import drawn as drawn_negatives
from ml.gate.negatives import drr, package_pictures
from ml.gate.negatives.drr import Chest
from ml.gate.negatives.package_pictures import Stranger
from ml.images.perturbations import AS_THEY_ARE, STRESSES, mildly_changed, stressed
from ml.images.preprocessing import fit, resize, standardise
from ml.images.radiograph import Radiograph
from ml.serving import gate
from ml.serving.gate import GateParameters, Likeness, load_parameters
from ml.training import recipes
from ml.training.cohorts import Prepared, SecondPopulation
from ml.training.sampler import Films, Stored

DRAWN = 200
"""Pictures of each kind that are drawn to measure the gate, and cuts of the pictures of packages: so many, or as many
as there are validation films, if that is fewer."""


def fit_limits(
    parameters: GateParameters, validation: Sequence[Radiograph], others: Sequence[Radiograph]
) -> GateParameters:
    """Limits that validation films and the films of `others` pass, each as they are and under a mild change."""
    groups = [
        [_likeness(film, parameters) for film in films]
        for source in (validation, others)
        if source
        for films in (source, mildly_changed(source))
    ]
    return fitting.with_limits(parameters, groups)


def gate_rates(
    parameters: GateParameters,
    validation: Sequence[Radiograph],
    others: Sequence[Radiograph],
    other_name: str,
    seed: int,
) -> list[dict[str, Any]]:
    """How many pictures of each kind are refused. `others` are films that neither taught nor limited the gate."""
    generator = np.random.default_rng([seed, 202])
    side = np.stack([fit(film, 128) for film in validation])
    wanted = min(DRAWN, len(validation))
    rows = [
        _rate("validation films", validation, parameters),
        _rate("validation films, mildly changed", mildly_changed(validation), parameters),
        *_turned_rates("validation films", side, parameters),
        _stress_rate("validation films, the worst change of the stress table", validation, parameters),
        *_drawn_rates(side, parameters, generator),
        *_stranger_rates("taught with", package_pictures.teaching(), parameters, generator, wanted),
        *_stranger_rates("of other packages", package_pictures.measuring(), parameters, generator, wanted),
        *_chest_rates("that taught it", package_pictures.teaching_chests(), parameters, generator, wanted),
        *_chest_rates(
            "of another package", package_pictures.measuring_chests(), parameters, generator, wanted
        ),
    ]
    if others:
        side = np.stack([fit(film, 128) for film in others])
        rows += [
            _rate(other_name, others, parameters),
            _rate(f"{other_name}, mildly changed", mildly_changed(others), parameters),
            _stress_rate(f"{other_name}, the worst change of the stress table", others, parameters),
            *_turned_rates(other_name, side, parameters),
        ]
    return rows


def _turned_rates(name: str, films: Films, parameters: GateParameters) -> list[dict[str, Any]]:
    return [
        _rate(f"{name}, {kind}", [_radiograph(fitting.turned(film, kind)) for film in films], parameters)
        for kind in gate.TURNED
    ]


def _rate(name: str, films: Sequence[Radiograph], parameters: GateParameters) -> dict[str, Any]:
    refused = sum(bool(gate.refusals(film, parameters)) for film in films)
    return {"pictures": name, "n": len(films), "refused": refused, "share": round(refused / len(films), 4)}


def _stress_rate(name: str, films: Sequence[Radiograph], parameters: GateParameters) -> dict[str, Any]:
    """The change under which most of up to 200 films are refused, by name."""
    some = films[:: max(1, len(films) // 200)]
    rows = [
        _rate(f"{name}: {stress}", [stressed(film, stress) for film in some], parameters)
        for stress in STRESSES
        if stress != AS_THEY_ARE
    ]
    return max(rows, key=lambda row: float(row["share"]))


def _drawn_rates(
    films: Films, parameters: GateParameters, generator: np.random.Generator
) -> list[dict[str, Any]]:
    return [
        _rate(
            f"drawn: {kind}",
            [
                _radiograph(drawn_negatives.draw(kind, films, generator))
                for _ in range(min(DRAWN, len(films)))
            ],
            parameters,
        )
        for kind in drawn_negatives.KINDS
    ]


def _stranger_rates(
    name: str,
    found: Sequence[Stranger],
    parameters: GateParameters,
    generator: np.random.Generator,
    wanted: int,
) -> list[dict[str, Any]]:
    """Pictures of packages, whole and cut; no row for kinds that no installed package has."""
    rows = []
    for kind in sorted({stranger.kind for stranger in found}):
        some = [stranger for stranger in found if stranger.kind == kind]
        whole = [_radiograph(fitting.square(stranger.picture)) for stranger in some]
        cuts = [_radiograph(fitting.cut(some[place % len(some)], generator)) for place in range(wanted)]
        rows += [
            _rate(f"{kind}, {name}", whole, parameters),
            _rate(f"cuts of {kind}, {name}", cuts, parameters),
        ]
    return rows


def _chest_rates(
    name: str,
    chests: Sequence[Chest],
    parameters: GateParameters,
    generator: np.random.Generator,
    wanted: int,
) -> list[dict[str, Any]]:
    """Of CTs of chests: films from the side, oblique ones and slices, which must be refused, and films from the front,
    which must not; no rows without a CT."""
    if not chests:
        return []
    pictures = {
        "chests from the side": drr.films(chests, "side", wanted, generator),
        "chests seen obliquely": drr.films(chests, "oblique", wanted, generator),
        "slices of a chest": drr.slices(chests, wanted, generator),
        "chests from the front": drr.films(chests, "front", wanted, generator),
    }
    return [
        _rate(f"{kind}, of a CT {name}", [_radiograph(film) for film in found], parameters)
        for kind, found in pictures.items()
    ]


def _radiograph(film: Films) -> Radiograph:
    return Radiograph((np.clip(film, 0, 1) * 255).round().astype(np.uint8), 8, "PNG")


def _likeness(film: Radiograph, parameters: GateParameters) -> Likeness:
    return gate.likeness(standardise(fit(film, gate.FINE_SIDE)), parameters)


TEACHING_FILMS = 2000
"""Training films that teach the gate; more teach it nothing that matters here and take their time."""


def teach(prepared: Prepared, second: SecondPopulation, seed: int) -> tuple[GateParameters, dict[str, Any]]:
    """Fit the gate with the training films and measure it; what the card says of it."""
    order = np.random.default_rng([seed, 606]).permutation(len(prepared.train))
    teaching = _for_teaching(prepared.train[np.sort(order[:TEACHING_FILMS])])
    if second.limiting:
        theirs = np.stack([fit(film, recipes.WORKING_SIDE) for film in second.pictures_of(second.limiting)])
        teaching = np.concatenate([teaching, theirs, theirs])
    pictures, chests = package_pictures.teaching(), package_pictures.teaching_chests()
    parameters = fit_limits(
        fitting.fit_gate(teaching, seed, pictures, chests),
        prepared.validation,
        second.pictures_of(second.limiting),
    )
    others = second.pictures_of(second.held_back)
    measured = gate_rates(parameters, prepared.validation, others, second.name, seed)
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
    parameters, before = load_parameters(parent / folder.GATE_FILE), folder.load_card(parent)
    measured = gate_rates(
        parameters, prepared.validation, second.pictures_of(second.held_back), second.name, seed
    )
    description = (
        f"{before.gate['description']} It was taken over from {before.name} as it is, and measured again."
    )
    return parameters, {**before.gate, "description": description, "measured": measured}


def _for_teaching(films: Stored) -> Films:
    """The training films as the gate is taught with them: (n, side, side) in 0..1, of the usual working side."""
    full = np.float32(255 if films.dtype == np.uint8 else 1)
    return np.stack([resize(film, recipes.WORKING_SIDE) / full for film in films])
