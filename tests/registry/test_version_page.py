"""The registry's pages for staff."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from diagnosis.models import ModelVersion
from ml.artifact.lineage import NOT_ON_RECORD
from ml.metrics.classification import INTERVALS
from pneumoweb.accounts.models import User
from tests.support.factories import ModelVersionFactory, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> User:
    user = make_user("staff")
    client.force_login(user)
    return user


def test_the_card_shows_confusion_matrix_figures_with_intervals_and_the_data_of_the_curves(
    client: Client, staff: User
) -> None:
    version = ModelVersionFactory(stage="production")
    page = client.get(reverse("model_production"), follow=True).content.decode()
    for words in (
        version.name,
        "false alarm",
        ">44<",
        ">46<",
        "95 % CI 0.930 to 0.970",
        "0.950",
        "92.0 %",
        "val_loss",
    ):
        assert words in page


def test_the_card_tells_of_films_that_versions_before_learned_from(client: Client, staff: User) -> None:
    version = ModelVersionFactory(stage="production")
    words = "Versions that it came from or was taught by also learned from 2 other sets of films."
    assert words not in client.get(reverse("model", args=[version.pk])).content.decode()
    version.card["data"]["inherited"] = [{"hash": "1", "held_back_hash": "2"}, NOT_ON_RECORD]
    version.save()
    assert words in client.get(reverse("model", args=[version.pk])).content.decode()


def test_the_card_tells_why_its_figures_look_better_than_they_are(client: Client, staff: User) -> None:
    version = ModelVersionFactory(stage="candidate")
    unseen = "of patients that the model did not learn from"
    assert unseen in client.get(reverse("model", args=[version.pk])).content.decode()
    version.card["data"]["flattered"] = "All of them were seen before."
    version.save()
    page = client.get(reverse("model", args=[version.pk])).content.decode()
    assert "validation films. All of them were seen before. Films of other hospitals are harder" in page
    assert unseen not in page


def test_the_card_tells_what_it_is_worth_on_patients_who_chose_nothing(client: Client, staff: User) -> None:
    version = ModelVersionFactory(stage="candidate")
    heading = "On patients who chose nothing"
    assert heading not in client.get(reverse("model", args=[version.pk])).content.decode()
    version.card["calibration"] = {"folds": {"sentence": "With the temperature of others."}}
    version.card["data"]["folds"] = {"sentence": "Folds of all films."}
    version.save()
    page = client.get(reverse("model", args=[version.pk])).content.decode()
    for words in (f">{heading}<", "<p>With the temperature of others.</p>", "<p>Folds of all films.</p>"):
        assert page.count(words) == 1


def test_the_card_tells_how_its_intervals_were_made(
    client: Client, production: ModelVersion, staff: User
) -> None:
    page = client.get(reverse("model", args=[production.pk])).content.decode()
    assert escape(INTERVALS) in page


def test_no_production_model_is_404(client: Client, staff: User) -> None:
    assert client.get(reverse("model_production")).status_code == 404
    assert "No model is registered" in client.get(reverse("models")).content.decode()


def test_promotion_needs_a_reason_and_a_whole_artifact(client: Client, staff: User) -> None:
    candidate = ModelVersionFactory()
    ModelVersionFactory(stage="production")
    for reason, words in (("", "Say why"), ("better", "not whole")):
        response = client.post(reverse("model_promote", args=[candidate.pk]), {"reason": reason}, follow=True)
        assert words in response.content.decode()
    candidate.refresh_from_db()
    assert candidate.stage == ModelVersion.Stage.CANDIDATE


@pytest.mark.usefixtures("production")
def test_a_promoted_version_is_said_to_be_in_production_already(client: Client, staff: User) -> None:
    current = ModelVersion.objects.get(stage="production")
    response = client.post(reverse("model_promote", args=[current.pk]), {"reason": "again"}, follow=True)
    assert "in production already" in response.content.decode()
