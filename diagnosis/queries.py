"""Querysets that pages share: a constant number of queries, however many films."""

from django.db.models import Prefetch, QuerySet

from diagnosis.models import Film, Prediction, Review, Study


def with_predictions(films: QuerySet[Film]) -> QuerySet[Film]:
    """Films with their predictions (newest first), the reviews of these, study, patient and uploader."""
    reviews = Prefetch("reviews", Review.objects.select_related("reviewer").order_by("-pk"))
    predictions = Prefetch("predictions", Prediction.objects.newest_first().prefetch_related(reviews))
    return films.select_related("study", "patient__clinic", "uploaded_by").prefetch_related(predictions)


def with_films(studies: QuerySet[Study]) -> QuerySet[Study]:
    """Studies with their films in the order of arrival, and all that a history shows of them."""
    films = Prefetch("films", with_predictions(Film.objects.order_by("pk")))
    return studies.select_related("uploaded_by").prefetch_related(films)
