"""By which rules a version goes into production, and who asked for and who agreed to an exception."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from diagnosis.models.base import AppendOnly
from diagnosis.models.evaluation import Evaluation
from diagnosis.models.registry import ModelVersion, StageChange
from pneumoweb.accounts.models import User

PERCENT = [MinValueValidator(0), MaxValueValidator(100)]


class PromotionRules(models.Model):
    """The site's rules. Append-only: the newest row is in force, the others are the history."""

    sensitivity_loss = models.FloatField("sensitivity may fall by at most (%)", default=2, validators=PERCENT)
    specificity_loss = models.FloatField("specificity may fall by at most (%)", default=5, validators=PERCENT)
    # The lower limit asks for proof that the candidate is not worse; the figure itself only for no sign that it is.
    by_lower_limit = models.BooleanField(
        "judge by the lower 95 % limit of the difference, not by the difference itself", default=False
    )
    patients_each = models.PositiveIntegerField(
        "patients with, and without, pneumonia that a part of the holdout needs, each",
        default=20,
        validators=[MinValueValidator(1)],
    )
    refused_more = models.FloatField(
        "share of holdout films refused by the gate may rise by at most (%)", default=2, validators=PERCENT
    )
    receipts = models.PositiveSmallIntegerField(
        "answers that must come out the same when run again",
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
    )
    by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField("why", max_length=400)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[PromotionRules]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "promotion rules"
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    sensitivity_loss__range=(0, 100),
                    specificity_loss__range=(0, 100),
                    refused_more__range=(0, 100),
                    patients_each__gte=1,
                    receipts__gte=1,
                ),
                name="promotion_rules_are_within_reason",
            )
        ]

    def __str__(self) -> str:
        return f"Rules {self.pk}"

    @classmethod
    def in_force(cls) -> PromotionRules:
        """Return the newest rules; those of a site that never set any are PneumoWeb's own."""
        return cls.objects.first() or cls(reason="PneumoWeb's own, until the site sets its rules")


class PromotionRequest(models.Model):
    """A promotion that a rule forbids: it needs a second member of staff, or a lone administrator's reason."""

    class State(models.TextChoices):
        REQUESTED = "requested", "Waits for a second person"
        APPROVED = "approved", "Approved"
        REFUSED = "refused", "Refused"
        EXPIRED = "expired", "Expired"

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotion_requests")
    production = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    evaluation = models.ForeignKey(Evaluation, on_delete=models.PROTECT, null=True, related_name="+")
    checks = models.JSONField("the rules as they stood", default=list)
    state = models.CharField(max_length=10, choices=State, default=State.REQUESTED)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=400)
    requested_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    remark = models.CharField(max_length=400, blank=True)
    decided_at = models.DateTimeField(null=True)
    # The only member of staff that a site has is an administrator: who else could agree?
    alone = models.BooleanField("approved by the only member of staff", default=False)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["requested", "approved", "refused", "expired"]),
                name="promotion_request_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["requested", "expired"], decided_by__isnull=True)
                | Q(state__in=["approved", "refused"], decided_by__isnull=False, decided_at__isnull=False),
                name="a_decided_request_says_by_whom",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved", alone=False) | ~Q(decided_by=F("requested_by")),
                name="nobody_approves_their_own_request",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="a_promotion_request_has_a_reason"),
            models.UniqueConstraint(
                fields=["version"], condition=Q(state="requested"), name="one_open_promotion_request"
            ),
        ]

    def __str__(self) -> str:
        return f"Request {self.pk} for {self.version}"


class OperatingPoint(models.Model):
    """The threshold that a site chose for one version. Append-only: the newest of the last promotion is in force."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="operating_points")
    # The promotion it was chosen under: the next one, of whatever version, ends it.
    promotion = models.ForeignKey(StageChange, on_delete=models.PROTECT, related_name="operating_points")
    # Null: back to the threshold of the version's card.
    threshold = models.FloatField(null=True)
    target_sensitivity = models.FloatField(null=True)
    figures = models.JSONField("what it was chosen by", default=dict, blank=True)
    by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField("why", max_length=400)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[OperatingPoint]] = AppendOnly.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold__isnull=True) | Q(threshold__gt=0, threshold__lt=1),
                name="an_operating_point_lies_between_0_and_1",
            )
        ]

    def __str__(self) -> str:
        return f"Operating point {self.pk}"
