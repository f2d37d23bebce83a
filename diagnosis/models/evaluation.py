"""Is a candidate better? What two versions said of the same holdout films."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from diagnosis.models.base import AppendOnly, Leased, leased_while
from diagnosis.models.patients import Film
from diagnosis.models.predictions import Prediction
from diagnosis.models.registry import ModelVersion
from pneumoweb.accounts.models import User


class Evaluation(Leased):
    """A candidate and the version in production, to be read on one frozen list of films."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Done"
        FAILED = "failed", "Failed"

    candidate = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="evaluations")
    production = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    queued_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    # Those in force when the list of films was frozen; null until then.
    candidate_threshold = models.FloatField(null=True)
    production_threshold = models.FloatField(null=True)
    figures = models.JSONField(default=dict, blank=True)
    failure = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "succeeded", "failed"]),
                name="evaluation_state_is_known",
            ),
            leased_while("state", "running", "only_a_running_evaluation_is_leased"),
            models.CheckConstraint(
                condition=~Q(candidate=F("production")), name="an_evaluation_compares_two_versions"
            ),
            models.UniqueConstraint(
                fields=["candidate"],
                condition=Q(state__in=["queued", "running"]),
                name="one_open_evaluation_a_candidate",
            ),
        ]

    def __str__(self) -> str:
        return f"Evaluation {self.pk} of {self.candidate}"

    @property
    def is_final(self) -> bool:
        return self.state in {self.State.SUCCEEDED, self.State.FAILED}


class EvaluationFilm(models.Model):
    """One film of an evaluation's frozen list, with what both versions said of it."""

    class Part(models.TextChoices):
        REVIEWED = "reviewed", "Reviewed films"
        BASE = "base", "Base folder"
        # Errors that reviewers corrected on films outside the holdout: listed, never in the figures.
        CORRECTED = "corrected", "Corrected before, outside the holdout"

    class Said(models.TextChoices):
        NORMAL = "NORMAL", "Normal"
        PNEUMONIA = "PNEUMONIA", "Pneumonia"
        REFUSED = "refused", "Refused"
        UNREAD = "unread", "Not readable"

    evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, related_name="films")
    part = models.CharField(max_length=10, choices=Part)
    film = models.ForeignKey(Film, on_delete=models.PROTECT, null=True, related_name="+")
    name = models.CharField("path in the base folder", max_length=300, blank=True)
    patient = models.CharField(max_length=120)
    label = models.CharField(max_length=9, choices=[("NORMAL", "Normal"), ("PNEUMONIA", "Pneumonia")])
    corrected = models.BooleanField("a reviewer had corrected an answer to it", default=False)
    candidate_said = models.CharField(max_length=9, choices=Said, blank=True)
    candidate_probability = models.FloatField(null=True)
    candidate_receipt = models.JSONField(default=dict, blank=True)
    production_said = models.CharField(max_length=9, choices=Said, blank=True)
    production_probability = models.FloatField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["evaluation", "film"], name="one_place_a_film_in_an_evaluation"),
            models.CheckConstraint(
                condition=Q(part="base", film__isnull=True) & ~Q(name="")
                | (Q(part__in=["reviewed", "corrected"], film__isnull=False)),
                name="an_evaluations_film_has_one_source",
            ),
            models.CheckConstraint(
                condition=Q(label__in=["NORMAL", "PNEUMONIA"]), name="an_evaluations_film_has_a_label"
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"Film {self.film_id}"

    @property
    def candidate_is_right(self) -> bool:
        return self.candidate_said == self.label

    @property
    def production_is_right(self) -> bool:
        return self.production_said == self.label


class ShadowRun(Leased):
    """From when to when a version reads new films unseen, one worker at a time."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="shadow_runs")
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField("why", max_length=400)
    started_at = models.DateTimeField()
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_because = models.CharField(max_length=200, blank=True)
    # Local hours between which it may read; both null: at any hour at which no film waits.
    hour_from = models.PositiveSmallIntegerField(null=True, blank=True)
    hour_to = models.PositiveSmallIntegerField(null=True, blank=True)
    trouble = models.CharField("why it does not get on", max_length=400, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(hour_from__isnull=True, hour_to__isnull=True)
                | Q(hour_from__range=(0, 23), hour_to__range=(0, 23)),
                name="shadow_hours_are_hours",
            ),
            models.UniqueConstraint(
                fields=["version"], condition=Q(ended_at__isnull=True), name="one_open_shadow_a_version"
            ),
        ]

    def __str__(self) -> str:
        return f"Shadow of {self.version}"


class ShadowAnswer(models.Model):
    """What the shadow said of a film, beside the answer that was shown. Append-only."""

    class Said(models.TextChoices):
        NORMAL = "NORMAL", "Normal"
        PNEUMONIA = "PNEUMONIA", "Pneumonia"
        REFUSED = "refused", "Refused"
        UNREAD = "unread", "Not readable"

    run = models.ForeignKey(ShadowRun, on_delete=models.PROTECT, related_name="answers")
    film = models.ForeignKey(Film, on_delete=models.PROTECT, related_name="+")
    shown = models.ForeignKey(Prediction, on_delete=models.PROTECT, related_name="+")
    said = models.CharField(max_length=9, choices=Said)
    probability = models.FloatField(null=True)
    threshold = models.FloatField(null=True)
    agrees = models.BooleanField("says what was shown")
    known = models.BooleanField("one of the two learned, or may have, from the film", default=False)
    receipt = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[ShadowAnswer]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["run", "film"], name="one_shadow_answer_a_film_and_run"),
            models.CheckConstraint(
                condition=Q(said__in=["NORMAL", "PNEUMONIA"], probability__isnull=False)
                | Q(said__in=["refused", "unread"], probability__isnull=True),
                name="a_shadow_scores_only_what_it_reads",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.said} in the shadow"
