"""What a card says of a trained network beyond its validation figures: stress, gate, other films."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ml import drawings, gate, gatefit, metrics, projection, strangers
from ml.dataset import LabelledFilm
from ml.gate import GateParameters, Likeness
from ml.images import Preparation, Radiograph, fit, read_radiograph, standardise
from ml.projection import Chest
from ml.runtime import Runtime
from ml.strangers import Stranger
from ml.stress import AS_THEY_ARE, STRESSES, changed

Films = NDArray[np.float32]
MILD = (
    "resampled to half",
    "JPEG quality 20",
    "sharpened",
    "harder (window 15 to 85 %)",
    "grainy",
    "lettered",
)
SENSITIVITY = 0.95
"""What the card's alternative operating points reach at least."""
DRAWN = 200
"""Pictures of each kind that are drawn to measure the gate, and cuts of the pictures of packages: so many, or as many
as there are validation films, if that is fewer."""


def read(films: Iterable[LabelledFilm]) -> list[Radiograph]:
    return [read_radiograph(film.path) for film in films]


def eight_bits(film: Radiograph) -> Radiograph:
    if film.bits == 8:
        return film
    return Radiograph(
        (film.pixels >> 8).astype(np.uint8), 8, film.source_format, film.notes, film.colourfulness
    )


def stressed(film: Radiograph, stress: str) -> Radiograph:
    if stress == AS_THEY_ARE:
        return film
    film = eight_bits(film)
    return Radiograph(changed(film.pixels.astype(np.uint8), stress), 8, film.source_format)


def stress_logits(
    films: Sequence[Radiograph], runtime: Runtime, preparation: Preparation
) -> dict[str, NDArray[np.float64]]:
    """Logits (n,) of all films under every change, through the same preprocessing as a served film's."""
    found: dict[str, NDArray[np.float64]] = {}
    for stress in STRESSES:
        parts = []
        for start in range(0, len(films), 64):
            some = [preparation(stressed(film, stress)) for film in films[start : start + 64]]
            parts.append(runtime.run(np.stack(some)[..., None]).logits)
        found[stress] = np.concatenate(parts).astype(np.float64)
    return found


def stress_table(
    targets: NDArray[np.int64], logits: dict[str, NDArray[np.float64]], cut: float
) -> list[dict[str, Any]]:
    """AUC, sensitivity and specificity under each change at one fixed threshold; `cut` is it as a logit."""
    ill = targets == 1
    return [
        {
            "stress": stress,
            "auc": round(metrics.auc(targets, values), 4),
            "sensitivity": round(float((values[ill] >= cut).mean()), 4),
            "specificity": round(float((values[~ill] < cut).mean()), 4),
        }
        for stress, values in logits.items()
    ]


def operating_points(
    targets: NDArray[np.int64], logits: dict[str, NDArray[np.float64]], temperature: float
) -> list[dict[str, Any]]:
    """What threshold would reach a stated sensitivity, on the films as they are and under every change of them."""
    ill = targets == 1
    groups = {
        "validation films": {AS_THEY_ARE: logits[AS_THEY_ARE]},
        "validation films, under every change of the stress table": logits,
    }
    found = []
    for name, group in groups.items():
        cut = min(
            float(np.sort(values[ill])[int((1 - SENSITIVITY) * ill.sum())]) for values in group.values()
        )
        worst = {stress: float((values[~ill] < cut).mean()) for stress, values in group.items()}
        found.append(
            {
                "films": name,
                "sensitivity": SENSITIVITY,
                "threshold": round(float(metrics.sigmoid(cut / temperature)), 4),
                "specificity": round(worst[AS_THEY_ARE], 4),
                "worst_specificity": round(min(worst.values()), 4),
            }
        )
    return found


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
    return gatefit.with_limits(parameters, groups)


def mildly_changed(films: Sequence[Radiograph]) -> list[Radiograph]:
    """Each film under one of the mild changes, in turn."""
    return [stressed(film, MILD[place % len(MILD)]) for place, film in enumerate(films)]


def sharpness(film: Radiograph) -> float:
    """Mean absolute Laplacian at 224 pixels, in grey values of 255."""
    return float(np.abs(ndimage.laplace(fit(film, 224) * np.float32(255))).mean())


def every_second_changed(films: Sequence[Radiograph]) -> list[Radiograph]:
    """Every second film under one of the changes of the stress table, in turn; the others as they are."""
    changes = [stress for stress in STRESSES if stress != AS_THEY_ARE]
    return [
        stressed(film, changes[place // 2 % len(changes)]) if place % 2 else film
        for place, film in enumerate(films)
    ]


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
        *_stranger_rates("taught with", strangers.teaching(), parameters, generator, wanted),
        *_stranger_rates("of other packages", strangers.measuring(), parameters, generator, wanted),
        *_chest_rates("that taught it", strangers.teaching_chests(), parameters, generator, wanted),
        *_chest_rates("of another package", strangers.measuring_chests(), parameters, generator, wanted),
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
        _rate(f"{name}, {kind}", [_radiograph(gatefit.turned(film, kind)) for film in films], parameters)
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
            [_radiograph(drawings.draw(kind, films, generator)) for _ in range(min(DRAWN, len(films)))],
            parameters,
        )
        for kind in drawings.KINDS
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
        whole = [_radiograph(gatefit.square(stranger.picture)) for stranger in some]
        cuts = [_radiograph(gatefit.cut(some[place % len(some)], generator)) for place in range(wanted)]
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
        "chests from the side": projection.films(chests, "side", wanted, generator),
        "chests seen obliquely": projection.films(chests, "oblique", wanted, generator),
        "slices of a chest": projection.slices(chests, wanted, generator),
        "chests from the front": projection.films(chests, "front", wanted, generator),
    }
    return [
        _rate(f"{kind}, of a CT {name}", [_radiograph(film) for film in found], parameters)
        for kind, found in pictures.items()
    ]


def _radiograph(film: Films) -> Radiograph:
    return Radiograph((np.clip(film, 0, 1) * 255).round().astype(np.uint8), 8, "PNG")


def _likeness(film: Radiograph, parameters: GateParameters) -> Likeness:
    return gate.likeness(standardise(fit(film, gate.FINE_SIDE)), parameters)
