"""A film is in one reviewer's hands at a time, and comes back by itself if it is left."""

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from diagnosis.models import ReviewLoan
from pneumoweb.accounts.models import User


def lend(reviewer: User, film: int) -> bool:
    """Give the film (key) to the reviewer, who hands back any other; False where somebody else has it.

    One conditional UPDATE, or one INSERT that the database lets only one of several make.
    """
    now = timezone.now()
    until = now + timedelta(minutes=settings.REVIEW_LOAN_MINUTES)
    free = ReviewLoan.objects.filter(film=film).filter(Q(reviewer=reviewer) | Q(until__lte=now))
    if not free.update(reviewer=reviewer, until=until):
        try:
            with transaction.atomic():
                ReviewLoan.objects.create(film_id=film, reviewer=reviewer, until=until)
        except IntegrityError:
            return False
    ReviewLoan.objects.filter(reviewer=reviewer).exclude(film=film).delete()
    return True


def give_back(reviewer: User) -> None:
    """Free whatever the reviewer has."""
    ReviewLoan.objects.filter(reviewer=reviewer).delete()


def holder(film: int) -> ReviewLoan | None:
    """Return the loan that is running, with its reviewer."""
    running = ReviewLoan.objects.filter(film=film, until__gt=timezone.now())
    return running.select_related("reviewer").first()


def free_for(reviewer: User) -> Q:
    """Rows of the worklist that nobody else has in hand."""
    taken = ReviewLoan.objects.filter(film=OuterRef("film"), until__gt=timezone.now())
    return ~Q(Exists(taken.exclude(reviewer=reviewer)))
