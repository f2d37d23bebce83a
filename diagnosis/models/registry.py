"""Model versions and who moved them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from diagnosis.models.base import AppendOnly
from pneumoweb.accounts.models import User


class ModelVersion(models.Model):
    """A model's artifact as registered, with its stage. The database allows one in production."""

    class Stage(models.TextChoices):
        CANDIDATE = "candidate", "Candidate"
        PRODUCTION = "production", "Production"
        RETIRED = "retired", "Retired"

    name = models.CharField(max_length=80)
    artifact_hash = models.CharField(max_length=64, unique=True)
    stage = models.CharField(max_length=10, choices=Stage, default=Stage.CANDIDATE)
    card = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["stage"], condition=Q(stage="production"), name="one_model_in_production"
            ),
            models.CheckConstraint(
                condition=Q(stage__in=["candidate", "production", "retired"]), name="model_stage_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class StageChange(models.Model):
    """Who moved a model version to which stage, when and why. Append-only."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="changes")
    stage = models.CharField(max_length=10, choices=ModelVersion.Stage)
    by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=500)
    roll_back = models.BooleanField("brought back the version before", default=False)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[StageChange]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.version} to {self.stage}"
