"""Regions that reviewers draw: kept in the film's pixels, refused where they are none, shown to an adjudicator."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.models import Review
from diagnosis.reading import reviews
from pneumoweb.accounts.models import User
from tests.support.reviews import BOX, answer_for, clinic_reads, colleague, fresh, page

pytestmark = pytest.mark.django_db


def test_a_region_is_kept_in_pixels_of_the_film(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    outline = {"kind": "outline", "points": [[0, 0], [256, 0], [128, 256]], "extra": "dropped"}
    client.post(
        reverse("review", args=[answer.pk]), {"verdict": "pneumonia", "region": json.dumps([BOX, outline])}
    )
    assert Review.objects.get().region == [
        {"kind": "box", "points": [[10.0, 20.0], [60.0, 90.0]]},
        {"kind": "outline", "points": [[0.0, 0.0], [256.0, 0.0], [128.0, 256.0]]},
    ]


@pytest.mark.parametrize(
    "region",
    [
        "no json",
        '{"kind": "box"}',
        "[1]",
        '[{"kind": "star", "points": [[1, 1], [2, 2]]}]',
        '[{"kind": "box", "points": [[1, 1]]}]',
        '[{"kind": "box", "points": [[9, 9], [1, 1]]}]',
        '[{"kind": "box", "points": [[1, 1], [2, 257]]}]',
        '[{"kind": "box", "points": [[1, 1], [true, 2]]}]',
        '[{"kind": "box", "points": [[1, 1], [NaN, 2]]}]',
        json.dumps([BOX] * 21),
        json.dumps([{"kind": "outline", "points": [[1, 1]] * 501}]),
    ],
)
def test_a_region_that_is_none_keeps_nothing(client: Client, reviewer: User, region: str) -> None:
    answer = answer_for(reviewer)
    response = client.post(
        reverse("review", args=[answer.pk]), {"verdict": "pneumonia", "region": region}, follow=True
    )
    assert "Nothing was kept" in response.content.decode()
    assert not Review.objects.exists()


def test_what_was_drawn_and_written_is_there_again_after_undo(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    given = reviews.record(reviewer, answer, "normal", "left base", [BOX])
    reviews.withdraw(reviewer, given)
    shown = page(client, "review_film", answer)
    assert "left base</textarea>" in shown
    assert json.loads(unescape(re.findall(r'name="region" value="([^"]*)"', shown)[0])) == [BOX]


def test_an_adjudicator_sees_both_readers_regions_and_whose_they_are(client: Client, reviewer: User) -> None:
    clinic_reads(reviewer, second_share=100)
    answer = answer_for(reviewer)
    second, third = colleague(reviewer), colleague(reviewer)
    other_box = {"kind": "box", "points": [[1, 2], [3, 4]]}
    taken_back = reviews.record(reviewer, answer, "pneumonia", region=[other_box])
    reviews.withdraw(reviewer, taken_back)
    reviews.record(reviewer, fresh(answer), "pneumonia", region=[BOX])
    client.force_login(second)
    assert drawn_by_others(page(client, "review_film", answer)) == []
    reviews.record(second, fresh(answer), "normal")
    client.force_login(third)
    shown = page(client, "review_film", answer)
    assert drawn_by_others(shown) == [
        {"letter": "A", "name": str(reviewer), "verdict": "Pneumonia", "regions": [BOX]},
        {"letter": "B", "name": str(second), "verdict": "Normal", "regions": []},
    ]
    assert 'points="10,20 60.04,20 60.04,90 10,90"' in shown


def drawn_by_others(shown: str) -> Any:
    return json.loads(re.findall(r'<script id="readers" type="application/json">(.*?)</script>', shown)[0])
