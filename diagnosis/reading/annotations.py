"""Regions that a reviewer draws: boxes and outlines in pixels of the film, the origin at its top left."""

from collections.abc import Iterable
from string import ascii_uppercase
from typing import Any

from django.core.exceptions import ValidationError

from diagnosis.models import Review
from pneumoweb.accounts.models import User

KINDS = {"box": (2, 2), "outline": (3, 500)}
MOST = 20


def checked(drawn: Any, width: int, height: int) -> list[dict[str, Any]]:
    """Return the regions with rounded numbers and nothing else in them. Raises ValidationError, which says why not.

    A region is `{"kind": "box", "points": [[left, top], [right, bottom]]}` or
    `{"kind": "outline", "points": [[x, y], …]}`.
    """
    if not isinstance(drawn, list) or len(drawn) > MOST:
        raise ValidationError(f"Draw at most {MOST} regions on a film.")
    return [_region(one, width, height) for one in drawn]


def of_others(reviews: Iterable[Review], reader: User) -> list[dict[str, Any]]:
    """Return what the other readers drew, each with a letter of their own, in the order in which they read.

    Of each the last review that stands; none where nobody drew anything. `reviews` are those that the reader may see.
    """
    last = {
        review.reviewer_id: review
        for review in sorted(reviews, key=lambda review: review.pk)
        if not review.is_withdrawn and review.reviewer_id != reader.pk
    }
    if not any(review.region for review in last.values()):
        return []
    return [
        {
            "letter": letter,
            "name": str(review.reviewer),
            "verdict": review.get_verdict_display(),
            "regions": review.region,
        }
        for letter, review in zip(ascii_uppercase, last.values(), strict=False)
    ]


def _region(one: Any, width: int, height: int) -> dict[str, Any]:
    kind = one.get("kind") if isinstance(one, dict) else None
    points = one.get("points") if isinstance(one, dict) else None
    if kind not in KINDS or not isinstance(points, list):
        raise ValidationError("A region is neither a box nor an outline. Draw it again.")
    least, most = KINDS[kind]
    if not least <= len(points) <= most:
        raise ValidationError(f"The {kind} has {len(points)} points. Draw it again.")
    inside = [_point(point, width, height) for point in points]
    if kind == "box" and not (inside[0][0] < inside[1][0] and inside[0][1] < inside[1][1]):
        raise ValidationError("A box is empty. Draw it from its top left to its bottom right.")
    return {"kind": kind, "points": inside}


def _point(point: Any, width: int, height: int) -> list[float]:
    if not (isinstance(point, list) and len(point) == 2 and all(_is_number(value) for value in point)):
        raise ValidationError("A region has a point that is none. Draw it again.")
    x, y = (round(float(value), 1) for value in point)
    if not (0 <= x <= width and 0 <= y <= height):
        raise ValidationError("A region reaches beyond the film. Draw it inside.")
    return [x, y]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
