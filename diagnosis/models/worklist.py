"""What the worklist is filtered and sorted by: one narrow row a film, derived from the other tables."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from diagnosis.models.patients import Film, Patient, Priority
from pneumoweb.accounts.models import Clinic, User


class WorklistRow(models.Model):
    """A film's place in the worklist. `diagnosis.reading.worklist.refresh` writes it; nothing is known here alone.

    The facts lie in five tables, so no index could sort them: 100,000 films would be joined and sorted for each page.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting for the model"
        ANSWERED = "answered", "Answered"
        UNANSWERED = "unanswered", "Not answered"

    class Reading(models.TextChoices):
        OPEN = "open", "Not reviewed"
        SECOND = "second", "Waits for a second reader"
        DIFFER = "differ", "Readers differ"
        DONE = "done", "Reviewed"

    film = models.OneToOneField(Film, on_delete=models.CASCADE, primary_key=True, related_name="worklist_row")
    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="+", db_index=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State)
    label = models.CharField(max_length=9, blank=True)
    priority = models.PositiveSmallIntegerField(choices=Priority)
    assigned_to = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    reading = models.CharField(max_length=6, choices=Reading)
    todo = models.BooleanField("a reading is still to come")
    disputed = models.BooleanField("a reader contradicts the model or another reader")
    requested_at = models.DateTimeField()
    suspicion = models.FloatField("0 to 1; 0.5 is the threshold, and where there is no answer")
    doubt = models.FloatField("how far the suspicion is from 0.5; 1 where there is no answer")
    urgency = models.FloatField("priority, then suspicion, in one number")
    draw = models.FloatField("place in a random order that nobody can choose")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "answered", "unanswered"]), name="worklist_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(reading__in=["open", "second", "differ", "done"]),
                name="worklist_reading_is_known",
            ),
        ]
        # The first two groups give the worklist's orders, of all films and of those that wait for a reading or do not;
        # the third finds what few films have; the fourth is the review queue's.
        indexes = [
            models.Index(fields=["clinic", "-urgency", "-film"], name="worklist_urgency"),
            models.Index(fields=["clinic", "-suspicion", "-film"], name="worklist_suspicion"),
            models.Index(fields=["clinic", "-requested_at", "-film"], name="worklist_age"),
            models.Index(fields=["clinic", "-priority", "requested_at", "film"], name="worklist_blind"),
            models.Index(fields=["clinic", "todo", "-urgency", "-film"], name="worklist_todo"),
            models.Index(fields=["clinic", "todo", "-suspicion", "-film"], name="worklist_todo_suspicion"),
            models.Index(fields=["clinic", "todo", "-requested_at", "-film"], name="worklist_todo_age"),
            models.Index(
                fields=["clinic", "todo", "-priority", "requested_at", "film"], name="worklist_todo_blind"
            ),
            models.Index(fields=["clinic", "state", "todo"], name="worklist_state"),
            models.Index(fields=["clinic", "label", "todo"], name="worklist_label"),
            models.Index(fields=["clinic", "assigned_to", "todo"], name="worklist_assigned"),
            models.Index(
                fields=["clinic", "reading", "state", "-priority", "requested_at", "film"],
                name="queue_oldest",
            ),
            models.Index(fields=["clinic", "reading", "state", "doubt", "film"], name="queue_uncertain"),
            models.Index(fields=["clinic", "reading", "state", "draw", "film"], name="queue_sample"),
            models.Index(fields=["clinic", "disputed", "requested_at", "film"], name="queue_disputed"),
        ]

    def __str__(self) -> str:
        return f"Film {self.film_id} in the worklist"
