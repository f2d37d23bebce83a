"""Who saw or changed what."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from diagnosis.models.base import AppendOnly
from diagnosis.models.patients import Patient


class AccessLog(models.Model):
    """Who saw or changed which patient's what, when, from where. Each row is chained to the one before by hash."""

    class Action(models.TextChoices):
        SEEN = "seen", "Seen"
        CREATED = "created", "Registered"
        CHANGED = "changed", "Changed"
        UPLOADED = "uploaded", "Uploaded a film"
        REVIEWED = "reviewed", "Reviewed"
        EXPORTED = "exported", "Exported"
        SEARCHED = "searched", "Searched"
        LISTED = "listed", "Opened a list"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=10, choices=Action)
    # A search is about nobody yet: what was looked for is said in `what`. A list is about many: see `detail`.
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, null=True, related_name="accesses")
    what = models.CharField(max_length=80)
    # Of a list: how it was asked for, and the keys of the patients and films that it showed.
    detail = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True)
    # Unique, so that two writers cannot both follow the same row: the chain never forks.
    previous = models.CharField(max_length=64, unique=True)
    digest = models.CharField(max_length=64, unique=True)

    objects: ClassVar[models.Manager[AccessLog]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(patient__isnull=False) | Q(action__in=["searched", "listed"]),
                name="only_searches_and_lists_name_no_patient",
            )
        ]
        indexes = [models.Index(fields=["patient", "-at"], name="access_by_patient")]

    def __str__(self) -> str:
        return f"{self.user} {self.action} {self.what}"


class Listed(models.Model):
    """A patient whom a list showed: the index to `detail` of the list's row, which is what the seal covers."""

    # The constraint's index finds the rows of a patient, which is all that is ever asked.
    row = models.ForeignKey(AccessLog, on_delete=models.PROTECT, related_name="listed", db_index=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="+", db_index=False)

    objects: ClassVar[models.Manager[Listed]] = AppendOnly.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["patient", "row"], name="a_list_shows_a_patient_once"),
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} in {self.row_id}"
