"""Querysets that pages share: a constant number of queries, however many films."""

from django.db.models import Count, IntegerField, OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Coalesce

from diagnosis.models import Film, Patient, Prediction, Review, Study


def with_predictions(films: QuerySet[Film]) -> QuerySet[Film]:
    """Films with their predictions (newest first), the reviews of these, study, patient and uploader."""
    reviews = Prefetch("reviews", Review.objects.select_related("reviewer", "withdrawal").order_by("-pk"))
    # A model's card is as long as a book; decoding one a film would take longer than all the rest.
    newest = Prediction.objects.newest_first().defer("model_version__card")
    predictions = Prefetch("predictions", newest.prefetch_related(reviews))
    return films.select_related("study", "patient__clinic", "uploaded_by", "assigned_to").prefetch_related(
        predictions
    )


def with_films(studies: QuerySet[Study]) -> QuerySet[Study]:
    """Studies with their films in the order of arrival, and all that a history shows of them."""
    films = Prefetch("films", with_predictions(Film.objects.order_by("pk")))
    return studies.select_related("uploaded_by").prefetch_related(films)


def with_study_facts(patients: QuerySet[Patient]) -> QuerySet[Patient]:
    """Patients with `studies_count` and `last_study`, which are looked up for the rows of one page alone.

    A join would group all studies of the clinic first and cut out the page afterwards.
    """
    studies = Study.objects.filter(patient=OuterRef("pk")).order_by()
    count = studies.values("patient").annotate(n=Count("pk")).values("n")
    return patients.annotate(
        studies_count=Coalesce(Subquery(count, output_field=IntegerField()), 0),
        last_study=Subquery(studies.order_by("-taken_on").values("taken_on")[:1]),
    )
