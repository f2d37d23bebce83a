"""Reviews of predictions, their locks and withdrawals, and final diagnoses."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from diagnosis.models.base import AppendOnly
from diagnosis.models.patients import Film
from pneumoweb.accounts.models import User


class Review(models.Model):
    """A reviewer's verdict on a prediction. Append-only: a reviewer's last one that is not withdrawn counts."""

    class Verdict(models.TextChoices):
        NORMAL = "normal", "Normal"
        PNEUMONIA = "pneumonia", "Pneumonia"
        UNREADABLE = "unreadable", "Unreadable"
        NOT_FRONTAL = "not_frontal", "Not a frontal chest film"

    LABELS: ClassVar[dict[str, str]] = {Verdict.NORMAL: "NORMAL", Verdict.PNEUMONIA: "PNEUMONIA"}

    prediction = models.ForeignKey("diagnosis.Prediction", on_delete=models.PROTECT, related_name="reviews")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=12, choices=Verdict)
    remark = models.CharField(max_length=1000, blank=True)
    # Boxes and outlines in pixels of the film; `diagnosis.reading.annotations` says their shape.
    region = models.JSONField("where, on the film", default=list, blank=True)
    blind = models.BooleanField("committed before the model's answer was shown", default=False)
    second_wanted = models.BooleanField("a second, independent reading was asked for", default=False)
    adjudicates = models.BooleanField("decides where two readers differ", default=False)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Review]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict__in=["normal", "pneumonia", "unreadable", "not_frontal"]),
                name="review_verdict_is_known",
            ),
        ]
        indexes = [models.Index(fields=["reviewer", "-at"], name="review_by_reviewer")]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.reviewer}"

    @property
    def agrees(self) -> bool | None:
        """Whether the verdict is the model's answer; None where either has no label."""
        label = self.LABELS.get(self.verdict)
        if label is None or not self.prediction.label:
            return None
        return label == self.prediction.label

    @property
    def is_withdrawn(self) -> bool:
        return hasattr(self, "withdrawal")


class ReviewWithdrawal(models.Model):
    """A verdict taken back within its minute. The review itself stays; it only no longer counts."""

    review = models.OneToOneField(Review, on_delete=models.PROTECT, related_name="withdrawal")
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[ReviewWithdrawal]] = AppendOnly.as_manager()

    def __str__(self) -> str:
        return f"Review {self.review_id} withdrawn"


class ReviewLoan(models.Model):
    """A film in one reviewer's hands. It is free again once `until` has passed."""

    film = models.OneToOneField(Film, on_delete=models.CASCADE, related_name="loan")
    reviewer = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"Film {self.film_id} lent to {self.reviewer}"


class Outcome(models.Model):
    """What the patient had in the end. Append-only: the last entry of a film counts."""

    class Diagnosis(models.TextChoices):
        PNEUMONIA = "pneumonia", "Pneumonia"
        NORMAL = "normal", "Normal"
        OTHER = "other", "Something else"

    LABELS: ClassVar[dict[str, str]] = {Diagnosis.NORMAL: "NORMAL", Diagnosis.PNEUMONIA: "PNEUMONIA"}

    film = models.ForeignKey(Film, on_delete=models.PROTECT, related_name="outcomes")
    diagnosis = models.CharField("final diagnosis", max_length=10, choices=Diagnosis)
    source = models.CharField(max_length=120)
    known_on = models.DateField("known since")
    remark = models.CharField(max_length=500, blank=True)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Outcome]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(diagnosis__in=["pneumonia", "normal", "other"]),
                name="outcome_diagnosis_is_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.diagnosis} (film {self.film_id})"
