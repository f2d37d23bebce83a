"""Roles and the only gates: what lies outside the clinic is 404, a right that is missing inside it is 403."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from diagnosis.models import Arrival, Batch, Film, Patient, Prediction, Review
from pneumoweb.accounts.models import Clinic, User


def visible_clinics(user: User) -> QuerySet[Clinic]:
    """Return the user's clinic; every clinic for an administrator."""
    if user.is_superuser:
        return Clinic.objects.all()
    return Clinic.objects.none() if user.clinic_id is None else Clinic.objects.filter(pk=user.clinic_id)


def visible_patients(user: User) -> QuerySet[Patient]:
    """Return the patients of the user's clinic; of every clinic for an administrator."""
    if user.is_superuser:
        return Patient.objects.all()
    if user.clinic_id is None:
        return Patient.objects.none()
    return Patient.objects.filter(clinic=user.clinic_id)


def get_patient_for(user: User, pk: int) -> Patient:
    """Return the patient or raise Http404."""
    return get_object_or_404(visible_patients(user).select_related("clinic"), pk=pk)


def visible_films(user: User) -> QuerySet[Film]:
    """Return the films of the patients the user may see."""
    if user.is_superuser:
        return Film.objects.all()
    if user.clinic_id is None:
        return Film.objects.none()
    return Film.objects.filter(patient__clinic=user.clinic_id)


def get_film_for(user: User, pk: int) -> Film:
    """Return the film with its study and patient, or raise Http404."""
    return get_object_or_404(
        visible_films(user).select_related("study", "patient__clinic", "uploaded_by"), pk=pk
    )


def get_prediction_for(user: User, pk: int) -> Prediction:
    """Return the prediction with its film and patient, or raise Http404."""
    predictions = Prediction.objects.select_related("film__patient__clinic", "film__study", "model_version")
    return get_object_or_404(predictions.filter(film__in=visible_films(user)), pk=pk)


def visible_batches(user: User) -> QuerySet[Batch]:
    """Return the batches of the user's clinic; of every clinic for an administrator."""
    if user.is_superuser:
        return Batch.objects.all()
    if user.clinic_id is None:
        return Batch.objects.none()
    return Batch.objects.filter(clinic=user.clinic_id)


def get_batch_for(user: User, pk: int) -> Batch:
    """Return the batch, or raise Http404."""
    return get_object_or_404(visible_batches(user).select_related("clinic", "patient", "by"), pk=pk)


def get_arrival_for(user: User, pk: int) -> Arrival:
    """Return the file of a batch, or raise Http404."""
    return get_object_or_404(Arrival.objects.filter(batch__in=visible_batches(user)), pk=pk)


def get_review_for(user: User, pk: int) -> Review:
    """Return the review with its film and patient, or raise Http404."""
    reviews = Review.objects.select_related("prediction__film__patient", "reviewer")
    return get_object_or_404(reviews.filter(prediction__film__in=visible_films(user)), pk=pk)
