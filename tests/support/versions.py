"""Candidates, confirmed films and evaluations for tests."""

import shutil
from pathlib import Path

from django.utils import timezone

from diagnosis.models import (
    Evaluation,
    EvaluationFilm,
    Film,
    ModelVersion,
    Patient,
    Review,
    SplitEntry,
    SplitGroup,
    StageChange,
)
from diagnosis.promotion import evaluation_metrics
from diagnosis.registry import versions
from ml.artifact import folder as artifact_folder
from pneumoweb.accounts.models import User
from tests.support.factories import AnswerFactory, FilmFactory, ModelVersionFactory, make_user


def candidate_artifact(folder: Path, name: str = "candidate-1", **changes: object) -> Path:
    """Return a whole artifact that differs from the shipped one by its card."""
    shutil.copytree(artifact_folder.SHIPPED, folder)
    card = artifact_folder.load_card(folder)
    card.name = name
    for field, value in changes.items():
        setattr(card, field, value)
    artifact_folder.seal(folder, card)
    return folder


def candidate_of(folder: Path, name: str = "candidate-1", **changes: object) -> ModelVersion:
    return versions.import_artifact(candidate_artifact(folder / name, name, **changes))


def pretend_production(name: str = "now-1") -> ModelVersion:
    """A version in production without an artifact: for rules, not for reading films."""
    version = ModelVersionFactory(name=name, stage="production")
    StageChange.objects.create(version=version, stage="production", by=None, reason="For the tests")
    return version


def confirm(film: Film, verdict: str, by: User, answered: str = "NORMAL", **answer: object) -> Review:
    """A reviewed film: what the model had `answered`, and the reviewer's verdict."""
    prediction = AnswerFactory(film=film, label=answered, **answer)
    return Review.objects.create(prediction=prediction, reviewer=by, verdict=verdict)


def held_out(film: Film, share: str = "holdout") -> Film:
    SplitEntry.objects.create(patient=film.patient, group=SplitGroup.objects.create(share=share))
    return film


def finished(candidate: ModelVersion, production: ModelVersion, **facts: int) -> Evaluation:
    """A finished evaluation on a pretended base folder.

    `patients` of each kind; of those with pneumonia the candidate misses `missed`, production `missed_before`; the
    candidate refuses `refused` films besides; `again` of `run` receipts come out the same.
    """
    evaluation = Evaluation.objects.create(
        candidate=candidate, production=production, state="succeeded", finished_at=timezone.now(),
        candidate_threshold=0.5, production_threshold=0.5,
    )  # fmt: skip
    rows = []
    for number in range(facts.get("patients", 40)):
        for label, right in (("PNEUMONIA", 0.9), ("NORMAL", 0.1)):
            mine = theirs = right
            if label == "PNEUMONIA":
                mine = 0.2 if number < facts.get("missed", 0) else right
                theirs = 0.2 if number < facts.get("missed_before", 0) else right
            rows.append(_row(evaluation, f"{label}/{number}.png", label, mine, theirs))
    for number in range(facts.get("refused", 0)):
        row = _row(evaluation, f"NORMAL/refused-{number}.png", "NORMAL", 0.1, 0.1)
        row.candidate_said, row.candidate_probability = "refused", None
        rows.append(row)
    EvaluationFilm.objects.bulk_create(rows)
    run = facts.get("run", 8)
    figures = {
        **evaluation_metrics.figures(evaluation),
        "receipts": {"run": run, "same": facts.get("again", run), "largest": 0.0},
    }
    Evaluation.objects.filter(pk=evaluation.pk).update(figures=figures)
    evaluation.refresh_from_db()
    return evaluation


def _row(evaluation: Evaluation, name: str, label: str, mine: float, theirs: float) -> EvaluationFilm:
    return EvaluationFilm(
        evaluation=evaluation, part="base", name=name, patient=f"base {name}", label=label,
        candidate_said="PNEUMONIA" if mine >= 0.5 else "NORMAL", candidate_probability=mine,
        production_said="PNEUMONIA" if theirs >= 0.5 else "NORMAL", production_probability=theirs,
    )  # fmt: skip


def film_of(patient: Patient, **fields: object) -> Film:
    film: Film = FilmFactory(study__patient=patient, **fields)
    return film


def two_staff() -> tuple[User, User]:
    return make_user("staff"), make_user("staff")
