"""Batches of films, and each file of one on its way to becoming a film of a patient."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from diagnosis.models.base import Leased, leased_while
from diagnosis.models.patients import Film, Patient, Study
from pneumoweb.accounts.models import Clinic, User


class Batch(Leased):
    """Many films that were sent together: a folder, a choice of files, a zip."""

    class Zip(models.TextChoices):
        NONE = "", "No zip"
        RECEIVING = "receiving", "Being sent"
        WAITING = "waiting", "Waits to be unpacked"
        UNPACKING = "unpacking", "Being unpacked"
        UNPACKED = "unpacked", "Unpacked"
        REFUSED = "refused", "Refused"

    # Names the batch before it has a number, and makes the studies' keys: one a patient, day and view.
    key = models.UUIDField(default=uuid.uuid4, unique=True)
    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="batches")
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField("last file or answer", default=timezone.now)
    name = models.CharField(max_length=120)
    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, null=True, related_name="+", verbose_name="chosen patient"
    )
    taken_on = models.DateField("date taken, where a file does not say")
    view = models.CharField(max_length=2, choices=Study.View, blank=True, default=Study.View.UNKNOWN)
    # By file: what the manifest says. It holds names, so it is erased with the rest that waits.
    manifest = models.JSONField(default=dict, blank=True)
    skipped = models.PositiveIntegerField("files of the computer's own, left aside", default=0)

    zip_state = models.CharField(max_length=10, choices=Zip, blank=True, default=Zip.NONE)
    zip_name = models.CharField(max_length=200, blank=True)
    zip_key = models.CharField(max_length=64, blank=True)
    zip_bytes = models.PositiveBigIntegerField(default=0)
    zip_received = models.PositiveBigIntegerField(default=0)
    zip_parts = models.JSONField("stored parts, in order: name and size", default=list, blank=True)
    zip_reason = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(zip_state__in=["", "receiving", "waiting", "unpacking", "unpacked", "refused"]),
                name="batch_zip_state_is_known",
            ),
            models.CheckConstraint(condition=Q(view__in=["PA", "AP", ""]), name="batch_view_is_known_code"),
            leased_while("zip_state", "unpacking", "only_a_zip_in_work_is_leased"),
            models.CheckConstraint(
                condition=Q(zip_received__lte=models.F("zip_bytes")), name="no_more_of_a_zip_than_it_has"
            ),
        ]
        indexes = [models.Index(fields=["clinic", "-created_at"], name="batch_by_clinic")]

    def __str__(self) -> str:
        return self.name


class ArrivalQuerySet(models.QuerySet["Arrival"]):
    """The states by name."""

    def expected(self) -> ArrivalQuerySet:
        return self.filter(state=Arrival.State.EXPECTED)

    def undecided(self) -> ArrivalQuerySet:
        """Files whose patient a person has to name or confirm."""
        return self.filter(state__in=Arrival.UNDECIDED)

    def refused(self) -> ArrivalQuerySet:
        return self.filter(state=Arrival.State.REFUSED)

    def with_film(self) -> ArrivalQuerySet:
        return self.filter(film__isnull=False)


class Arrival(models.Model):
    """One file of a batch. While its patient is not sure, its picture waits; nothing is analysed before."""

    class State(models.TextChoices):
        EXPECTED = "expected", "Not here yet"
        STORED = "stored", "Taken in"
        KNOWN = "known", "Was here already"
        REFUSED = "refused", "Not taken in"
        UNASSIGNED = "unassigned", "Whose film?"
        MISMATCH = "mismatch", "Differs from the patient"

    UNDECIDED: ClassVar[list[str]] = [State.UNASSIGNED, State.MISMATCH]

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="arrivals")
    key = models.CharField("hash of path, size and time of change", max_length=64)
    name = models.CharField("path inside the batch, a label only", max_length=300)
    size = models.PositiveBigIntegerField()
    # Place among the zip's members; files that are sent one by one have none.
    member = models.PositiveIntegerField(null=True)
    sha256 = models.CharField("SHA-256 of the received bytes", max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.EXPECTED)
    reason = models.CharField(max_length=500, blank=True)
    film = models.ForeignKey(Film, on_delete=models.PROTECT, null=True, related_name="arrivals")

    # Only while a person has to decide; erased with the decision.
    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, null=True, related_name="+", verbose_name="proposed patient"
    )
    offered = models.JSONField("identity offered by the file or the manifest", null=True)
    differences = models.JSONField("what speaks against the proposed patient", default=list, blank=True)
    decoded = models.JSONField("what was found on decoding, without identity", null=True)
    picture = models.FileField(max_length=200, blank=True)
    preview = models.FileField(max_length=200, blank=True)
    values = models.FileField(max_length=200, blank=True)

    objects: ClassVar[ArrivalQuerySet] = ArrivalQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "key"], name="one_arrival_a_file_of_a_batch"),
            models.CheckConstraint(
                condition=Q(state__in=["expected", "stored", "known", "refused", "unassigned", "mismatch"]),
                name="arrival_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["stored", "known"], film__isnull=False)
                | (~Q(state__in=["stored", "known"]) & Q(film__isnull=True)),
                name="an_arrival_taken_in_has_its_film",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["unassigned", "mismatch"], decoded__isnull=False)
                & ~Q(picture="")
                & ~Q(preview="")
                | (
                    ~Q(state__in=["unassigned", "mismatch"])
                    & Q(offered__isnull=True, decoded__isnull=True, patient__isnull=True)
                    & Q(picture="", preview="", values="")
                ),
                name="identity_and_picture_wait_only_for_a_decision",
            ),
            models.CheckConstraint(condition=~Q(state="refused") | ~Q(reason=""), name="a_refusal_says_why"),
        ]
        indexes = [models.Index(fields=["batch", "state"], name="arrival_by_state")]

    def __str__(self) -> str:
        return self.name
