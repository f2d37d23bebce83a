"""Reviewers and the answers that they read, for the tests of reviews, regions and the queue."""

from typing import Any

from django.test import Client
from django.urls import reverse

from diagnosis.models import Prediction
from diagnosis.reading import worklist
from pneumoweb.accounts.models import User
from tests.support.factories import AnswerFactory, FilmFactory, PatientFactory, StudyFactory, make_user

BOX = {"kind": "box", "points": [[10, 20], [60.04, 90]]}
"""A region as a page sends it."""


def colleague(user: User) -> User:
    return make_user("reviewer", user.clinic)


def answer_for(user: User, **fields: Any) -> Prediction:
    patient = PatientFactory(clinic=user.clinic, created_by=user)
    answer = AnswerFactory(film=FilmFactory(study=StudyFactory(patient=patient)), **fields)
    worklist.refresh([answer.film_id])
    return answer


def clinic_reads(user: User, **rules: Any) -> None:
    assert user.clinic is not None
    for name, value in rules.items():
        setattr(user.clinic, name, value)
    user.clinic.save()


def page(client: Client, name: str, answer: Prediction) -> str:
    return client.get(reverse(name, args=[answer.film_id])).content.decode()


def fresh(answer: Prediction) -> Prediction:
    """The answer as a later request finds it."""
    return Prediction.objects.select_related("film__patient__clinic").get(pk=answer.pk)
