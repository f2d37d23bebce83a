"""Confirmed films for tests of retraining, on the sides of the split that a test wants, and runs with them."""

from collections.abc import Mapping
from typing import Any

from diagnosis.models import Film, ModelVersion, SplitEntry, SplitGroup, TrainingRun
from diagnosis.reading import reviews
from diagnosis.training import runs
from pneumoweb.accounts.models import User
from tests.support.factories import (
    AnswerFactory,
    FilmFactory,
    ModelVersionFactory,
    PatientFactory,
    StudyFactory,
    make_user,
)
from tests.support.radiographs import chest, png

FILMS = {"train": (4, 4), "validation": (2, 2), "holdout": (1, 1)}
ROW = {"loss": 0.5, "auc": 0.8, "accuracy": 0.7, "val_loss": 0.4, "val_auc": 0.9, "val_accuracy": 0.8}


def confirm_films(
    wanted: Mapping[str, tuple[int, int]], version: ModelVersion | None = None, reviewer: User | None = None
) -> list[Film]:
    """Films of one patient each, confirmed: for each share so many normal ones and so many with pneumonia."""
    reviewer = reviewer or make_user("reviewer")
    version = version or ModelVersionFactory()
    films: list[Film] = []
    for share, counts in wanted.items():
        group = SplitGroup.objects.create(share=share)
        for ill, number in enumerate(counts):
            for _ in range(number):
                patient = PatientFactory(clinic=reviewer.clinic, created_by=reviewer)
                SplitEntry.objects.create(patient=patient, group=group)
                drawing = png(chest(7000 + len(films), bool(ill)))
                film = FilmFactory(data=drawing, study=StudyFactory(patient=patient))
                answer = AnswerFactory(film=film, model_version=version)
                reviews.record(reviewer, answer, "pneumonia" if ill else "normal")
                films.append(film)
    return films


def wish(**changes: Any) -> TrainingRun:
    """A run that staff asked for."""
    fields: dict[str, Any] = {
        "mode": "whole", "from_production": False, "architecture": "sequential", "epochs": 2, "seed": 1,
        "reason": "Try",
    }  # fmt: skip
    return runs.request(make_user("staff"), **(fields | changes))


def epoch(number: int) -> dict[str, Any]:
    """What a child says when an epoch has ended."""
    row = {"epoch": number, "epochs": 2, "step": 1, "steps": 1, "loss": 0.5, "auc": 0.8, "seconds_left": 3.0}
    return {**row, "finished_epoch": ROW}
