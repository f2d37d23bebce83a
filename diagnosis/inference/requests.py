"""Request predictions for films, again or for the first time."""

from django.db import transaction
from django.db.models import QuerySet

from diagnosis.core import queue
from diagnosis.models import Film, ModelVersion, Patient, Prediction
from diagnosis.reading import worklist


def again(film: Film, version: ModelVersion) -> Prediction:
    """Queue a film for a model version that has not read it yet; an answer that stands stays."""
    with transaction.atomic():
        prediction, created = Prediction.objects.get_or_create(
            film=film, model_version=version, defaults={"priority": film.priority}
        )
        if created:
            worklist.refresh([film.pk])
            transaction.on_commit(queue.notify_worker)
    return prediction


def unread_films(patient: Patient, version: ModelVersion) -> QuerySet[Film]:
    """Return the patient's films that a model version has not been asked about."""
    return patient.films.exclude(predictions__model_version=version)
