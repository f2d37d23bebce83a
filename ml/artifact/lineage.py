"""Which films a version has learned from, itself or through versions that it started from or was taught by.

None of them may judge a version that learns from it in turn: everything would look better than it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ml.artifact.card import Card
from ml.errors import TrainingError

Record = dict[str, Any]
"""`hash`: of all films of a population; `held_back_hash`: of what no network learned from, or how it was split."""
NOT_ON_RECORD: Record = {"hash": None, "held_back_hash": None}
"""A second population that a card does not tell of, though its training was judged by one."""


def learned(card: Card) -> list[Record]:
    """The populations, its own first."""
    found = [{"hash": card.data["hash"], "held_back_hash": card.data["split_hash"]}]
    if card.data.get("second"):
        found.append(card.data["second"])
    elif any("also_val_loss" in row for row in card.history):
        found.append(NOT_ON_RECORD)
    return found + list(card.data.get("inherited", []))


def inherited(card: Card, before: Iterable[Card]) -> list[Record]:
    """What a new card has to say of the versions before it: their populations that are not its own, each once."""
    found: list[Record] = []
    own = learned(card)
    for one in before:
        found += [record for record in learned(one) if record not in found and record not in own]
    return found


def refuse_if_learned(before: Card, data: Record, second: Record | None) -> None:
    """Raise `TrainingError` where `before` has learned from films that would judge a training with the films of
    `data` and, where it has one, of the population `second`."""
    for record in learned(before):
        if record["hash"] is None:
            if second:
                raise TrainingError(
                    f"{before.name} has learned from a second population, itself or through a version before it, "
                    "and no card says from which films of it; so none of them can be held back from it. Start from "
                    "another version, or without a second population."
                )
        elif any(ours["hash"] == record["hash"] and ours != record for ours in (data, second) if ours):
            raise TrainingError(
                f"{before.name} has learned from films that would now be held back; take its seed, {before.seed}."
            )
