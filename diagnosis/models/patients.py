"""Patients, their studies and films."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from pneumoweb.accounts.models import Clinic, User

if TYPE_CHECKING:
    from diagnosis.models.predictions import Prediction


class Priority(models.IntegerChoices):
    """How soon a film must be read. The worker and the worklist take the highest first."""

    ROUTINE = 0, "Routine"
    URGENT = 1, "Urgent"
    STAT = 2, "Stat"


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
        # All that a search looks at, so that it need not open the patients' own rows; the second for administrators.
        indexes = [
            models.Index(fields=["clinic", "name", "mrn"], name="patient_search"),
            models.Index(fields=["name", "mrn"], name="patient_search_everywhere"),
        ]

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
    """One radiograph, stored as a lossless greyscale PNG without metadata.

    `facts` is what a DICOM file said of the picture, without identity (`ml.images.dicom`); `values` are its
    modality values
    as a 16-bit PNG, of which `facts["values"]` says how they are counted. Both are empty for PNG and JPEG.
    """

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="films")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="films")
    sha256 = models.CharField("SHA-256 of the received bytes", max_length=64)
    name = models.CharField("file name as received", max_length=200)
    file = models.FileField(max_length=200)
    thumbnail = models.FileField(max_length=200)
    values = models.FileField(max_length=200, blank=True)
    source_format = models.CharField(max_length=8)
    source_bytes = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bits = models.PositiveSmallIntegerField("significant bits of the source")
    # Colour is gone from the stored picture, but the gate must still know of it: photographs have colour.
    colourfulness = models.FloatField("mean spread of the source's colour channels, 0 to 1", default=0)
    notes = models.JSONField("what was changed on arrival", default=list, blank=True)
    facts = models.JSONField("what the source said, without identity", default=dict, blank=True)
    # Keyed, so that the number itself, by which a hospital finds the patient, cannot be had from it.
    sop_hash = models.CharField(
        "keyed hash of the DICOM instance's number", max_length=64, blank=True, db_index=True
    )
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.ROUTINE)
    assigned_to = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    uploaded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["patient", "sha256"], name="one_film_a_picture_of_a_patient"),
            models.CheckConstraint(condition=Q(priority__in=[0, 1, 2]), name="film_priority_is_known"),
        ]

    def __str__(self) -> str:
        return f"Film {self.pk}"

    @property
    def latest_prediction(self) -> Prediction | None:
        """The newest prediction; prefetched by `Prediction.objects.newest_first` on lists."""
        return next(iter(self.predictions.all()), None)
