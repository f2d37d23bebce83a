"""What retraining needs to remember."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from diagnosis.models.clinical import Patient
from diagnosis.models.rules import AppendOnly


class SplitEntry(models.Model):
    """The split ledger: the share of the data that a patient belongs to, given once and for ever. Append-only."""

    class Share(models.TextChoices):
        TRAIN = "train", "Training"
        VALIDATION = "validation", "Validation"
        HOLDOUT = "holdout", "Holdout"

    patient = models.OneToOneField(Patient, on_delete=models.PROTECT, related_name="split_entry")
    share = models.CharField(max_length=10, choices=Share)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[SplitEntry]] = AppendOnly.as_manager()

    class Meta:
        verbose_name_plural = "split entries"
        constraints = [
            models.CheckConstraint(
                condition=Q(share__in=["train", "validation", "holdout"]), name="split_share_is_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.patient_id}: {self.share}"
