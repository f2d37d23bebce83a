"""The tables. Rules that must always hold are constraints of the database, not habits of the code."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone

from pneumoweb.accounts.models import Clinic, User


class AppendOnly(models.QuerySet[Any]):
    """Rows that are written once: what was said stays said."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{self.model.__name__} is append-only: add a new row instead.")

    def delete(self) -> NoReturn:
        raise TypeError(f"{self.model.__name__} is append-only: rows are never deleted.")


class Patient(models.Model):
    """A patient of one clinic."""

    class Sex(models.TextChoices):
        FEMALE = "F", "Female"
        MALE = "M", "Male"
        OTHER = "O", "Other"
        UNKNOWN = "U", "Not known"

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="patients")
    mrn = models.CharField("patient number", max_length=64)
    name = models.CharField(max_length=200)
    birth_date = models.DateField(null=True, blank=True)
    sex = models.CharField(max_length=1, choices=Sex, default=Sex.UNKNOWN)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["name", "mrn"]
        constraints = [
            models.UniqueConstraint(F("clinic"), Lower("mrn"), name="one_patient_a_number_in_a_clinic"),
            models.CheckConstraint(
                condition=Q(sex__in=["F", "M", "O", "U"]), name="patient_sex_is_known_code"
            ),
        ]
        indexes = [models.Index(fields=["clinic", "name"], name="patient_by_clinic_name")]

    def __str__(self) -> str:
        return f"{self.name} ({self.mrn})"

    def age_on(self, day: date) -> float | None:
        """Return the age in years on `day`, None where the birth date is not known."""
        return (day - self.birth_date).days / 365.25 if self.birth_date else None


class Study(models.Model):
    """One visit's films of a patient. It comes into being with its first accepted film."""

    class View(models.TextChoices):
        PA = "PA", "PA (back to front)"
        AP = "AP", "AP (front to back)"
        UNKNOWN = "", "Frontal, not recorded"

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="studies")
    taken_on = models.DateField("date taken")
    view = models.CharField(max_length=2, choices=View, blank=True, default=View.UNKNOWN)
    note = models.CharField(max_length=500, blank=True)
    # Chosen by the browser for one upload, so that films sent one by one gather in one study.
    upload_key = models.UUIDField()
    uploaded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "studies"
        ordering = ["-taken_on", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["patient", "upload_key"], name="one_study_an_upload"),
            models.CheckConstraint(condition=Q(view__in=["PA", "AP", ""]), name="study_view_is_known_code"),
        ]
        indexes = [models.Index(fields=["patient", "-taken_on"], name="study_by_patient_date")]

    def __str__(self) -> str:
        return f"Study of {self.taken_on:%d %b %Y}"


class Film(models.Model):
    """One radiograph, stored as a lossless greyscale PNG without metadata."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="films")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="films")
    sha256 = models.CharField("SHA-256 of the received bytes", max_length=64)
    name = models.CharField("file name as received", max_length=200)
    file = models.FileField(max_length=200)
    thumbnail = models.FileField(max_length=200)
    source_format = models.CharField(max_length=8)
    source_bytes = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bits = models.PositiveSmallIntegerField("significant bits of the source")
    # Colour is gone from the stored picture, but the gate must still know of it: photographs have colour.
    colourfulness = models.FloatField("mean spread of the source's colour channels, 0 to 1", default=0)
    notes = models.JSONField("what was changed on arrival", default=list, blank=True)
    uploaded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["patient", "sha256"], name="one_film_a_picture_of_a_patient")
        ]

    def __str__(self) -> str:
        return f"Film {self.pk}"

    @property
    def latest_prediction(self) -> Prediction | None:
        """The newest prediction; prefetched by `Prediction.objects.newest_first` on lists."""
        return next(iter(self.predictions.all()), None)


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
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[StageChange]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.version} to {self.stage}"


class PredictionQuerySet(models.QuerySet["Prediction"]):
    """The queue's states by name."""

    def queued(self) -> PredictionQuerySet:
        return self.filter(state=Prediction.State.QUEUED)

    def running(self) -> PredictionQuerySet:
        return self.filter(state=Prediction.State.RUNNING)

    def expired(self) -> PredictionQuerySet:
        """Running rows whose worker has not finished within its lease."""
        return self.running().filter(lease_until__lt=timezone.now())

    def answered(self) -> PredictionQuerySet:
        return self.filter(state=Prediction.State.SUCCEEDED)

    def newest_first(self) -> PredictionQuerySet:
        return self.select_related("model_version").order_by("-pk")


class Prediction(models.Model):
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
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
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

    objects: ClassVar[PredictionQuerySet] = PredictionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["film", "model_version"], name="one_prediction_a_film_and_model"),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "succeeded", "rejected", "failed"]),
                name="prediction_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(state="running", lease_token__isnull=False, lease_until__isnull=False)
                | (~Q(state="running") & Q(lease_token__isnull=True, lease_until__isnull=True)),
                name="only_a_running_prediction_is_leased",
            ),
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
            models.Index(fields=["queued_at"], condition=Q(state="queued"), name="prediction_queue"),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="prediction_leases"),
        ]

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
        """The last review, which is the one that counts."""
        return next(iter(self.reviews.all()), None)


class Review(models.Model):
    """A reviewer's verdict on a prediction. Append-only: the last one counts."""

    class Verdict(models.TextChoices):
        NORMAL = "normal", "Normal"
        PNEUMONIA = "pneumonia", "Pneumonia"
        UNREADABLE = "unreadable", "Unreadable"

    prediction = models.ForeignKey(Prediction, on_delete=models.PROTECT, related_name="reviews")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=10, choices=Verdict)
    remark = models.CharField(max_length=1000, blank=True)
    blind = models.BooleanField("committed before the model's answer was shown", default=False)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Review]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict__in=["normal", "pneumonia", "unreadable"]), name="review_verdict_is_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.reviewer}"

    @property
    def agrees(self) -> bool | None:
        """Whether the verdict is the model's answer; None where either has no label."""
        if self.verdict == self.Verdict.UNREADABLE or not self.prediction.label:
            return None
        return self.verdict.upper() == self.prediction.label


class AccessLog(models.Model):
    """Who saw or changed which patient's what, when, from where. Each row is chained to the one before by hash."""

    class Action(models.TextChoices):
        SEEN = "seen", "Seen"
        CREATED = "created", "Registered"
        CHANGED = "changed", "Changed"
        UPLOADED = "uploaded", "Uploaded a film"
        REVIEWED = "reviewed", "Reviewed"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=10, choices=Action)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="accesses")
    what = models.CharField(max_length=80)
    at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True)
    # Unique, so that two writers cannot both follow the same row: the chain never forks.
    previous = models.CharField(max_length=64, unique=True)
    digest = models.CharField(max_length=64, unique=True)

    objects: ClassVar[models.Manager[AccessLog]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["patient", "-at"], name="access_by_patient")]

    def __str__(self) -> str:
        return f"{self.user} {self.action} {self.what}"
