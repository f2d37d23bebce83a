"""Hyperparameters of each architecture's training."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ml.images.preprocessing import AREA_MEANS, COPY_SIDE, SMOOTHED
from ml.networks import efficientnet_lite

LEARNING_RATE = 1e-3

WEIGHT_DECAY = 1e-4


WORKING_SIDE = 128
"""Films are changed at this size and then averaged down: large enough for blur and lettering to be real ones."""


@dataclass(frozen=True)
class Recipe:
    """How an architecture is trained. `warm_up` is the share of all steps in which the learning rate rises.

    `working_side` is the size at which films are changed; `bytes` keeps them in memory as bytes. `judge_changed`
    changes every second validation film on purpose before it judges an epoch. `averaging` is the share of itself that
    the running average of the weights keeps at each step; where it is set, the average is judged and kept. `mixing` is
    the share of films that are blended with another of their batch, their labels alike (Zhang et al., "mixup",
    ICLR 2018). `exchange` gives films the sharpness of others (`augment.exchange`). `balance` is how often, at most, a
    film is drawn whose making points to the other class, for one whose making gives its class away
    (`ml.training.confounders`); 1
    draws all alike. `preprocessing` is the rule by which films are brought to the network's size.
    """

    working_side: int = WORKING_SIDE
    learning_rate: float = LEARNING_RATE
    weight_decay: float = WEIGHT_DECAY
    warm_up: float = 0.0
    bytes: bool = False
    judge_changed: bool = False
    half_precision: bool = False
    averaging: float = 0.0
    mixing: float = 0.0
    exchange: bool = False
    balance: float = 1.0
    preprocessing: str = AREA_MEANS


LITE = Recipe(
    COPY_SIDE,
    5e-4,
    0.05,
    0.1,
    bytes=True,
    judge_changed=True,
    half_precision=True,
    averaging=0.995,
    mixing=0.4,
    exchange=True,
    balance=8.0,
    preprocessing=SMOOTHED,
)

RECIPES = {"sequential": Recipe(), efficientnet_lite.NAME: LITE}

EARLIER_SIDE = 192
"""At this size films were changed for lite0 where area means prepared them; nothing was exchanged or balanced then."""


def recipe_of(architecture: str, preprocessing: str | None = None) -> Recipe:
    """How the architecture is trained, with another rule of resizing than its own where one is named."""
    usual = RECIPES[architecture]
    if preprocessing is None or preprocessing == usual.preprocessing:
        return usual
    side = EARLIER_SIDE if usual.preprocessing == SMOOTHED else COPY_SIDE
    exchange = usual.exchange and preprocessing == SMOOTHED
    balance = usual.balance if preprocessing == SMOOTHED else 1.0
    return replace(usual, preprocessing=preprocessing, working_side=side, exchange=exchange, balance=balance)
