"""Who works here: clinics, users, roles."""

from typing import ClassVar

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower


class Role(models.TextChoices):
    """Roles that are given by a group; staff and administrator are flags of the user."""

    CLINICIAN = "clinician", "Clinician"
    REVIEWER = "reviewer", "Reviewer"


class Clinic(models.Model):
    """A patient belongs to one clinic; what belongs to another clinic does not exist for a user."""

    class StudyDates(models.TextChoices):
        KEEP = "keep", "Keep the day"
        MONTH = "month", "Keep the month only"

    name = models.CharField(max_length=120, unique=True)
    study_dates = models.CharField(
        "dates in DICOM files",
        max_length=5,
        choices=StudyDates,
        default=StudyDates.KEEP,
        help_text="What is kept of the study date that a DICOM file carries. A date that a user enters is kept.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # How films are read here. A second reading is decided with the first verdict, so a change acts from then on.
    blind_first = models.BooleanField("verdict before the model's answer", default=False)
    second_share = models.PositiveSmallIntegerField("films with a second reader, in percent", default=0)
    second_on_dispute = models.BooleanField(
        "second reader where the first contradicts the model", default=False
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(study_dates__in=["keep", "month"]), name="clinic_study_dates_is_known_code"
            ),
            models.CheckConstraint(
                condition=models.Q(second_share__lte=100), name="second_share_is_a_percentage"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Users are known by e-mail address, in lower case."""

    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractUser):
    """A person (or a service) who logs in by e-mail and belongs to one clinic."""

    username = None  # type: ignore[assignment]
    email = models.EmailField("e-mail address", unique=True)
    clinic = models.ForeignKey(
        Clinic,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="users",
        help_text="Only an administrator may be without one.",
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    class Meta:
        ordering = ["email"]
        constraints = [models.UniqueConstraint(Lower("email"), name="one_user_an_email")]

    def __str__(self) -> str:
        return self.get_full_name() or self.email
