"""A candidate beside production: what it would have said.

These answers have tables of their own: no page, list, export or count that asks for a film's predictions can meet one.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from diagnosis.models.clinical import Film
from diagnosis.models.reading import Prediction
from diagnosis.models.registry import ModelVersion
from diagnosis.models.rules import AppendOnly
from pneumoweb.accounts.models import User


class ShadowRun(models.Model):
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
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
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
