"""How the exported network runs: with as many threads as it may have, and the same digits with any number."""

import os

import numpy as np
import pytest

from ml.artifact.folder import LITERT_FILE, SHIPPED, load_card
from ml.serving.runtime import LiteRT, thread_count


@pytest.mark.parametrize(
    ("said", "threads"),
    [("1", 1), ("3", 3), ("4,2", 4), ("", None), ("0", None), ("many", None), (None, None)],
)
def test_threads_go_by_the_environment_else_by_the_machine(
    said: str | None, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert thread_count() == (threads or os.cpu_count())


def test_any_number_of_threads_gives_the_same_digits() -> None:
    side = load_card(SHIPPED).input_size
    films = np.random.default_rng(4).standard_normal((9, side, side, 1)).astype(np.float32)
    one, three = (LiteRT(SHIPPED / LITERT_FILE, threads).run(films) for threads in (1, 3))
    for name in ("logits", "maps", "embeddings"):
        assert (getattr(one, name) == getattr(three, name)).all(), name
