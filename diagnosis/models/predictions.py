"""What models and reviewers say about films."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from diagnosis.models.base import Leased, leased_while
from diagnosis.models.patients import Film, Priority
from diagnosis.models.registry import ModelVersion
from diagnosis.models.reviews import Review


class PredictionQuerySet(models.QuerySet["Prediction"]):
    """The queue's states by name."""

    def queued(self) -> PredictionQuerySet:
        return self.filter(state=Prediction.State.QUEUED)

    def running(self) -> PredictionQuerySet:
        return self.filter(state=Prediction.State.RUNNING)

    def unfinished(self) -> PredictionQuerySet:
        return self.filter(state__in=[Prediction.State.QUEUED, Prediction.State.RUNNING])

    def answered(self) -> PredictionQuerySet:
        return self.filter(state=Prediction.State.SUCCEEDED)

    def judging(self) -> PredictionQuerySet:
        """Answers that may judge their version: not those on films that taught it, or may have."""
        return self.answered().filter(known=False)

    def newest_first(self) -> PredictionQuerySet:
        return self.select_related("model_version").order_by("-pk")


class Prediction(Leased):
    """What one model version says about one film, and where that stands."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Being read"
        SUCCEEDED = "succeeded", "Answered"
        REJECTED = "rejected", "Not answered"
        FAILED = "failed", "Failed"

    class Label(models.TextChoices):
        NORMAL = "NORMAL", "Normal"
        PNEUMONIA = "PNEUMONIA", "Pneumonia"

    FINAL: ClassVar[list[str]] = [State.SUCCEEDED, State.REJECTED, State.FAILED]

    film = models.ForeignKey(Film, on_delete=models.PROTECT, related_name="predictions")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="predictions")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    # The film's priority, kept here too so that the queue's order is one index.
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.ROUTINE)
    attempts = models.PositiveSmallIntegerField(default=0)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    label = models.CharField(max_length=9, choices=Label, blank=True)
    probability = models.FloatField("probability of pneumonia", null=True)
    threshold = models.FloatField(null=True)
    heatmap = models.FileField(max_length=200, blank=True)
    reasons = models.JSONField("why it was not answered", default=list, blank=True)
    warnings = models.JSONField(default=list, blank=True)
    failure = models.CharField(max_length=500, blank=True)
    receipt = models.JSONField(default=dict, blank=True)
    compute_ms = models.FloatField("time in the model, ms", null=True)
    # Told by the timestamps too, but monitoring sorts a year's films by them.
    waiting_seconds = models.FloatField("from the request to a worker, s", null=True)
    reading_seconds = models.FloatField("from the worker to the end, s", null=True)
    # Of the film as this model version took it (see ml.evaluation.reference_histograms): monitoring compares
    # them with the version's card.
    picture_mean = models.FloatField("mean grey, share of full scale", null=True)
    picture_deviation = models.FloatField("deviation of the greys, share of full scale", null=True)
    picture_sharpness = models.FloatField("mean absolute Laplacian, greys of 255", null=True)
    known = models.BooleanField("the version learned, or may have, from the film", default=False)

    objects: ClassVar[PredictionQuerySet] = PredictionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["film", "model_version"], name="one_prediction_a_film_and_model"),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "succeeded", "rejected", "failed"]),
                name="prediction_state_is_known",
            ),
            leased_while("state", "running", "only_a_running_prediction_is_leased"),
            models.CheckConstraint(
                condition=Q(
                    state="succeeded", probability__gte=0, probability__lte=1, threshold__isnull=False
                )
                & Q(label__in=["NORMAL", "PNEUMONIA"])
                | (~Q(state="succeeded") & Q(probability__isnull=True, label="")),
                name="a_score_stands_only_on_an_answer",
            ),
        ]
        indexes = [
            models.Index(
                fields=["-priority", "queued_at"], condition=Q(state="queued"), name="prediction_queue"
            ),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="prediction_leases"),
            models.Index(fields=["state", "queued_at"], name="prediction_by_state"),
        ]

    # Set on the object of one request by `diagnosis.reading.blinding`, which then also empties what must not be seen.
    concealed = False

    def __str__(self) -> str:
        return f"Prediction {self.pk} ({self.state})"

    @property
    def is_final(self) -> bool:
        return self.state in self.FINAL

    @property
    def seconds(self) -> float | None:
        """Seconds from the request to the answer."""
        return (self.finished_at - self.queued_at).total_seconds() if self.finished_at else None

    @property
    def counting_review(self) -> Review | None:
        """The last adjudication that stands, else the last review that does."""
        standing = [review for review in self.reviews.all() if not review.is_withdrawn]
        decided = (review for review in standing if review.adjudicates)
        return next(decided, next(iter(standing), None))
