"""The pages of training runs: what is missing, how far a run is, and no film of a foreign clinic."""

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.core import queue
from diagnosis.models import NearIdentical, TrainingRun
from diagnosis.training import runs
from pneumoweb.accounts.models import User
from tests.support.factories import FilmFactory, ModelVersionFactory, TrainingRunFactory, make_user
from tests.support.training_data import confirm_films

pytestmark = pytest.mark.django_db
FORM = {
    "mode": "whole", "start": "scratch", "architecture": "sequential", "epochs": "3", "seed": "1",
    "reason": "More films",
}  # fmt: skip


@pytest.fixture
def staff(client: Client) -> User:
    user = make_user("staff")
    client.force_login(user)
    return user


def test_what_is_missing_is_on_the_page_and_stops_the_form(client: Client, staff: User) -> None:
    page = client.get(reverse("training")).content.decode()
    assert "No film has a confirmed label" in page
    assert "disabled" in page
    response = client.post(reverse("training"), FORM)
    assert response.status_code == 422
    assert not TrainingRun.objects.exists()


def test_a_run_is_queued_with_its_reason_and_the_worker_woken(
    client: Client, staff: User, settings: object, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: object,
) -> None:  # fmt: skip
    settings.TRAINING_MIN_FILMS, settings.TRAINING_MIN_VALIDATION = 2, 1  # type: ignore[attr-defined]
    confirm_films({"train": (2, 2), "validation": (1, 1)})
    woken: list[bool] = []
    monkeypatch.setattr(queue, "notify_training_worker", lambda: woken.append(True))
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        response = client.post(reverse("training"), FORM)
    run = TrainingRun.objects.get()
    assert response["Location"] == reverse("training_run", args=[run.pk])
    assert (run.by, run.reason, run.epochs, run.initial) == (staff, "More films", 3, None)
    assert woken == [True]


def test_the_page_asks_again_until_the_run_has_ended(client: Client, staff: User) -> None:
    run = TrainingRunFactory()
    address = reverse("training_status", args=[run.pk])
    assert 'hx-trigger="every 2s"' in client.get(address).content.decode()
    runs.claim()
    TrainingRun.objects.update(
        progress={
            "stage": "Training", "epoch": 2, "step": 3, "steps": 9, "seconds_left": 42.0,
            "epochs": [{"epoch": 1, "loss": 0.5, "auc": 0.8, "val_loss": 0.4321, "val_auc": 0.9}],
        }
    )  # fmt: skip
    page = client.get(address).content.decode()
    for words in ("epoch 2 of 2, batch 3 of 9", "about 42 s", "0.4321", "Cancel the run"):
        assert words in page
    client.post(reverse("training_cancel", args=[run.pk]))
    page = client.get(address).content.decode()
    assert "It is being ended" in page
    TrainingRun.objects.update(state="cancelled", lease_token=None, lease_until=None)
    page = client.get(address).content.decode()
    assert "hx-trigger" not in page
    assert f"Ended by {staff}" in page


def test_doubted_labels_of_other_clinics_are_only_counted(client: Client, staff: User) -> None:
    ours = FilmFactory(study__patient__clinic=staff.clinic)
    foreign = FilmFactory()
    TrainingRunFactory(
        state="succeeded",
        version=ModelVersionFactory(),
        disagreements=[
            {"film": film.pk, "label": "NORMAL", "probability": 0.97} for film in (ours, foreign)
        ] + [{"base": "NORMAL/IM-1.png", "label": "NORMAL", "probability": 0.8}],
    )  # fmt: skip
    page = client.get(reverse("training_run", args=[TrainingRun.objects.get().pk])).content.decode()
    assert reverse("film", args=[ours.pk]) in page
    assert reverse("film", args=[foreign.pk]) not in page
    assert "NORMAL/IM-1.png" in page
    assert "1 more of other clinics" in page


def test_suspicious_pairs_of_other_clinics_are_only_counted(client: Client, staff: User) -> None:
    ours = [FilmFactory(study__patient__clinic=staff.clinic) for _ in range(2)]
    foreign = FilmFactory()
    NearIdentical.objects.create(film=ours[0], other=ours[1], bits=2)
    NearIdentical.objects.create(film=ours[0], other=foreign, bits=4)
    page = client.get(reverse("training")).content.decode()
    assert "2 of 256 bits" in page
    assert "4 of 256 bits" not in page
    assert "1 more pair with films of other clinics" in page


def test_the_list_takes_the_same_number_of_queries_however_many_runs_and_pairs(
    client: Client, staff: User, django_assert_max_num_queries: object
) -> None:
    for _ in range(6):
        pair = [FilmFactory(study__patient__clinic=staff.clinic) for _ in range(2)]
        NearIdentical.objects.create(film=pair[0], other=pair[1], bits=2)
        TrainingRunFactory(state="succeeded", version=ModelVersionFactory())
    with django_assert_max_num_queries(18):  # type: ignore[operator]
        client.get(reverse("training"))


def test_the_manifest_is_downloaded_as_it_was_frozen(client: Client, staff: User) -> None:
    run = TrainingRunFactory()
    response = client.get(reverse("training_manifest", args=[run.pk]))
    assert response.getvalue() == b"source,film\n"
    assert "attachment" in response["Content-Disposition"]
    TrainingRun.objects.update(manifest="")
    assert client.get(reverse("training_manifest", args=[run.pk])).status_code == 404
