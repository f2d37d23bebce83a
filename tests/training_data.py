"""Confirmed films for tests of retraining, on the sides of the split that a test wants."""

from collections.abc import Mapping

from diagnosis import review
from diagnosis.models import Film, ModelVersion, SplitEntry, SplitGroup
from pneumoweb.accounts.models import User
from tests.factories import (
    AnswerFactory,
    FilmFactory,
    ModelVersionFactory,
    PatientFactory,
    StudyFactory,
    make_user,
)
from tests.ml_films import chest, png


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
                review.record(reviewer, answer, "pneumonia" if ill else "normal")
                films.append(film)
    return films
