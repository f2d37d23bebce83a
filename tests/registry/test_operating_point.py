"""The threshold that a site chooses for its population."""

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.inference import requests, worker
from diagnosis.models import Film, ModelVersion, OperatingPoint, Prediction, StageChange
from diagnosis.promotion import promote
from diagnosis.registry import operating_point, versions
from pneumoweb.accounts.models import User
from tests.support.factories import FilmFactory, ModelVersionFactory, StudyFactory, make_user
from tests.support.samples import sample_films
from tests.support.versions import candidate_of, confirm, held_out, pretend_production

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff() -> User:
    return make_user("staff")


def confirmed_films(version: ModelVersion, by: User, each: int = 20, share: str = "train") -> list[Film]:
    """Films of as many patients with as without pneumonia; the model finds the first half of the ill ones."""
    shared = FilmFactory()
    films: list[Film] = []
    for number in range(each):
        for verdict in ("pneumonia", "normal"):
            # One picture for all: only the rows matter here.
            study = StudyFactory(
                patient__clinic=shared.patient.clinic, patient__created_by=shared.uploaded_by
            )
            film: Film = FilmFactory(study=study, file=shared.file.name, sha256=f"{study.pk:064d}")
            held_out(film, share)
            ill = verdict == "pneumonia"
            score = (
                (0.9 - number / 100) if ill and number < each // 2 else (0.4 if ill else 0.1 + number / 100)
            )
            confirm(
                film, verdict, by, answered="PNEUMONIA" if score >= 0.5 else "NORMAL", probability=score,
                model_version=version, heatmap="",
            )  # fmt: skip
            films.append(film)
    return films


def test_too_few_films_are_said_with_what_is_needed(staff: User) -> None:
    version = pretend_production()
    confirmed_films(version, staff, each=3)
    with pytest.raises(operating_point.NotChosen, match=r"at least 20 patients .* there are 3 and 3"):
        operating_point.choose(staff, version, 0.9, "More sensitive")


def test_the_locked_holdout_is_never_used(staff: User) -> None:
    version = pretend_production()
    confirmed_films(version, staff, each=3, share="holdout")
    found = operating_point.material(version)
    assert (found.targets, found.left_out) == ([], 6)


def test_films_that_a_version_may_have_learned_from_are_left_out(
    staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = pretend_production()
    confirmed_films(version, staff, each=2, share="train")
    confirmed_films(version, staff, each=1, share="validation")
    assert len(operating_point.material(version).targets) == 6
    monkeypatch.setattr(versions, "learned_here", lambda _: True)
    assert len(operating_point.material(version).targets) == 2


def test_films_that_taught_the_version_elsewhere_are_left_out(staff: User) -> None:
    version = pretend_production()
    films = confirmed_films(version, staff, each=2)
    Prediction.objects.filter(film=films[0]).update(known=True)
    found = operating_point.material(version)
    assert (len(found.targets), found.left_out) == (3, 1)


def test_a_target_gives_a_threshold_with_what_it_costs(staff: User) -> None:
    version = pretend_production()
    confirmed_films(version, staff)
    point = operating_point.choose(staff, version, 0.95, "Miss fewer")
    assert point.threshold == pytest.approx(0.4)
    assert point.figures["sensitivity"] == 1.0
    assert point.figures["confusion"] == [[20, 0], [0, 20]]
    assert (point.figures["patients_ill"], point.figures["patients_well"]) == (20, 20)
    assert operating_point.threshold_of(version) == point.threshold
    operating_point.choose(staff, version, None, "Too many alarms")
    assert operating_point.threshold_of(version) is None
    assert OperatingPoint.objects.count() == 2
    with pytest.raises(TypeError, match="append-only"):
        OperatingPoint.objects.all().delete()


def test_a_promotion_ends_it_and_a_roll_back_brings_it_back(
    production: ModelVersion, tmp_path: object
) -> None:
    staff = make_user("staff")
    OperatingPoint.objects.create(
        version=production, promotion=StageChange.objects.latest("pk"), threshold=0.3, target_sensitivity=0.95,
        by=staff, reason="Find more",
    )  # fmt: skip
    candidate = candidate_of(tmp_path)  # type: ignore[arg-type]
    versions.promote(candidate, staff, "Better")
    assert operating_point.threshold_of(production) is operating_point.threshold_of(candidate) is None
    with pytest.raises(operating_point.NotChosen, match="not in production any more"):
        operating_point.choose(staff, production, None, "Too late")
    promote.roll_back(staff, "Worse")
    assert operating_point.threshold_of(production) == 0.3
    restored = OperatingPoint.objects.first()
    assert restored
    assert restored.reason == "Brought back by the roll back: Find more"


def test_a_promotion_by_hand_of_an_earlier_version_brings_nothing_back(staff: User) -> None:
    first = pretend_production()
    OperatingPoint.objects.create(
        version=first, promotion=StageChange.objects.get(), threshold=0.3, by=staff, reason="x"
    )
    versions.switch(ModelVersionFactory(), staff, "Better")
    versions.switch(first, staff, "Again")
    assert operating_point.threshold_of(first) is None


def test_new_films_are_judged_by_it_and_the_receipt_says_so(production: ModelVersion, staff: User) -> None:
    one, two = (FilmFactory(data=data) for data in sample_films(2))
    before = requests.again(one, production)
    worker.work()
    before.refresh_from_db()
    assert before.threshold == production.card["threshold"]
    assert "threshold" not in before.receipt
    assert before.probability is not None
    # One that turns the same picture's answer over.
    moved = before.probability / 2 if before.label == "NORMAL" else (1 + before.probability) / 2
    OperatingPoint.objects.create(
        version=production, promotion=StageChange.objects.latest("pk"), threshold=moved, by=staff, reason="x"
    )
    Prediction.objects.filter(pk=before.pk).delete()
    after, other = requests.again(one, production), requests.again(two, production)
    worker.work()
    for prediction in (after, other):
        prediction.refresh_from_db()
        assert prediction.threshold == moved
        assert prediction.receipt["threshold"] == f"{moved!r}, the site's operating point"
    assert after.probability == before.probability
    assert after.label != before.label


def test_the_page_shows_the_cost_then_sets_it(client: Client, staff: User) -> None:
    version = pretend_production()
    client.force_login(staff)
    address, choose = reverse("operating_point"), reverse("operating_choose")
    assert "Too few confirmed films" in client.get(address).content.decode()
    confirmed_films(version, staff)
    page = client.get(address, {"target": "95"}).content.decode()
    assert "Use the threshold 0.400" in page
    assert "and say why" in client.post(choose, {"target": "95"}, follow=True).content.decode()
    page = client.post(choose, {"target": "95", "reason": "Miss fewer"}, follow=True).content.decode()
    assert "threshold of 0.400" in page
    assert "Miss fewer" in page
    page = client.post(choose, {"card": "1", "reason": "Too many alarms"}, follow=True).content.decode()
    assert "threshold of 0.500" in page
    assert operating_point.in_force(version) is None
