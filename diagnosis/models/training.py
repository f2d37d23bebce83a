"""What retraining needs to remember: the split ledger, near-identical films, and the runs."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from diagnosis.models.base import AppendOnly, Leased, leased_while
from diagnosis.models.patients import Film, Patient
from diagnosis.models.registry import ModelVersion
from pneumoweb.accounts.models import User


class SplitGroup(models.Model):
    """Patients who stay on one side of the split together. The share stands here, so that they cannot differ."""

    class Share(models.TextChoices):
        TRAIN = "train", "Training"
        VALIDATION = "validation", "Validation"
        HOLDOUT = "holdout", "Holdout"

    share = models.CharField(max_length=10, choices=Share)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[SplitGroup]] = AppendOnly.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(share__in=["train", "validation", "holdout"]), name="split_group_share_is_known"
            )
        ]

    def __str__(self) -> str:
        return f"group {self.pk}: {self.share}"


class SplitEntry(models.Model):
    """The split ledger: the group of a patient of the site, or of the base folder. Given once and for ever."""

    Share = SplitGroup.Share

    group = models.ForeignKey(SplitGroup, on_delete=models.PROTECT, related_name="entries")
    patient = models.OneToOneField(
        Patient, on_delete=models.PROTECT, null=True, blank=True, related_name="split_entry"
    )
    base_patient = models.CharField(
        "patient of the base folder", max_length=200, null=True, blank=True, unique=True
    )
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[SplitEntry]] = AppendOnly.as_manager()

    class Meta:
        verbose_name_plural = "split entries"
        constraints = [
            models.CheckConstraint(
                condition=Q(patient__isnull=False, base_patient__isnull=True)
                | Q(patient__isnull=True, base_patient__isnull=False),
                name="split_entry_is_of_one_patient",
            )
        ]

    def __str__(self) -> str:
        return f"{self.base_patient or self.patient_id}: {self.share}"

    @property
    def share(self) -> str:
        return self.group.share


class Fingerprint(models.Model):
    """The perceptual hash of a film (see `ml.images.perceptual_hash`); empty where its file could not be read."""

    film = models.OneToOneField(Film, on_delete=models.PROTECT, primary_key=True, related_name="fingerprint")
    value = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return f"fingerprint of film {self.film_id}"


class NearIdentical(models.Model):
    """A suspicion: a film looks like a film of another patient, of the site or of the base folder."""

    film = models.ForeignKey(Film, on_delete=models.PROTECT, related_name="+")
    other = models.ForeignKey(Film, on_delete=models.PROTECT, null=True, related_name="+")
    base_patient = models.CharField(max_length=200, blank=True)
    base_file = models.CharField(max_length=300, blank=True)
    bits = models.PositiveSmallIntegerField("bits of the fingerprints that differ")
    found_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["bits", "-pk"]
        verbose_name_plural = "near-identical films"
        constraints = [
            models.UniqueConstraint(fields=["film", "other"], name="one_suspicion_a_pair"),
            models.UniqueConstraint(
                fields=["film", "base_file"],
                condition=Q(other__isnull=True),
                name="one_suspicion_a_base_film",
            ),
            models.CheckConstraint(
                condition=Q(other__gt=F("film"), base_file="") | (Q(other__isnull=True) & ~Q(base_file="")),
                name="suspicion_is_of_two_films",
            ),
        ]

    def __str__(self) -> str:
        return f"film {self.film_id} and {self.base_file or self.other_id}: {self.bits} bits"


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    """The states by name."""

    def queued(self) -> TrainingRunQuerySet:
        return self.filter(state=TrainingRun.State.QUEUED)

    def running(self) -> TrainingRunQuerySet:
        return self.filter(state=TrainingRun.State.RUNNING)

    def unfinished(self) -> TrainingRunQuerySet:
        return self.filter(state__in=[TrainingRun.State.QUEUED, TrainingRun.State.RUNNING])


class TrainingRun(Leased):
    """One retraining: who asked for it and why, on which films, how far it is, and what came out."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Mode(models.TextChoices):
        HEAD = "head", "Classifier only"
        LAST = "last", "Last stages"
        WHOLE = "whole", "Whole network"

    mode = models.CharField(max_length=5, choices=Mode)
    architecture = models.CharField(max_length=40)
    epochs = models.PositiveSmallIntegerField()
    seed = models.PositiveIntegerField(default=1)
    initial = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="children",
        verbose_name="version that it starts from; none: from scratch",
    )  # fmt: skip
    reason = models.CharField(max_length=400)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    # Since the last epoch that was finished: a run that gets on is never given up.
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancelled_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    manifest = models.FileField(max_length=200, blank=True)
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    data = models.JSONField("films by class and share", default=dict, blank=True)
    progress = models.JSONField(default=dict, blank=True)
    log = models.JSONField("what happened, with times", default=list, blank=True)
    disagreements = models.JSONField("films whose label the candidate doubts", default=list, blank=True)
    failure = models.CharField(max_length=1000, blank=True)
    version = models.OneToOneField(ModelVersion, on_delete=models.PROTECT, null=True, related_name="run")

    objects: ClassVar[TrainingRunQuerySet] = TrainingRunQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "succeeded", "failed", "cancelled"]),
                name="training_run_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(mode__in=["head", "last", "whole"]), name="training_mode_is_known"
            ),
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="running"), name="one_training_run_at_a_time"
            ),
            leased_while("state", "running", "only_a_running_training_is_leased"),
            models.CheckConstraint(
                condition=Q(state="succeeded", version__isnull=False)
                | (~Q(state="succeeded") & Q(version__isnull=True)),
                name="a_version_comes_only_of_success",
            ),
            models.CheckConstraint(
                condition=Q(mode="whole") | Q(initial__isnull=False), name="a_part_is_trained_of_a_version"
            ),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk}"

    @property
    def is_final(self) -> bool:
        return self.state not in (self.State.QUEUED, self.State.RUNNING)

    @property
    def history(self) -> list[dict[str, float]]:
        """One row a finished epoch, as the card will have them."""
        rows: list[dict[str, float]] = self.progress.get("epochs", [])
        return rows

    @property
    def seconds(self) -> float | None:
        """Seconds from the first start to the end."""
        return (
            (self.finished_at - self.started_at).total_seconds()
            if self.finished_at and self.started_at
            else None
        )
