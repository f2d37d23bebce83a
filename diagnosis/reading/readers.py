"""What each reviewer of a clinic has read, how far they agree, and how often the model changed their minds."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import combinations, groupby
from typing import NamedTuple

from django.utils import timezone

from diagnosis.core.permissions import visible_films
from diagnosis.models import Review
from diagnosis.reading.kappa import Kappa, cohen_kappa
from pneumoweb.accounts.models import User


class _Verdict(NamedTuple):
    film: int
    reviewer: int
    verdict: str
    blind: bool
    adjudicates: bool
    second_wanted: bool
    label: str


@dataclass
class Reader:
    """One reviewer's readings. Agreement is that of first verdicts, before anybody's answer could change them."""

    user: User
    films: int = 0
    adjudications: int = 0
    blind: int = 0
    changed: int = 0
    towards: int = 0
    with_others: list[tuple[str, str]] = field(default_factory=list)
    with_model: list[tuple[str, str]] = field(default_factory=list)

    @property
    def others(self) -> Kappa:
        return cohen_kappa(self.with_others)

    @property
    def model(self) -> Kappa:
        return cohen_kappa(self.with_model)

    @property
    def changed_share(self) -> float | None:
        return self.changed / self.blind if self.blind else None


def summary(user: User, days: int = 365) -> tuple[list[Reader], Kappa]:
    """Return the readers of the films the user may see, and the agreement of all pairs of independent readers."""
    verdicts = _verdicts(user, days)
    people = User.objects.in_bulk({verdict.reviewer for verdict in verdicts})
    readers = {pk: Reader(person) for pk, person in people.items()}
    pairs: list[tuple[str, str]] = []
    for _, group in groupby(verdicts, key=lambda verdict: verdict.film):
        pairs += _count(list(group), readers)
    return sorted(readers.values(), key=lambda reader: (-reader.films, reader.user.email)), cohen_kappa(pairs)


def _verdicts(user: User, days: int) -> list[_Verdict]:
    """The verdicts that stand, by film, the oldest first. Two queries at most, however many films."""
    since = timezone.now() - timedelta(days=days)
    rows = Review.objects.filter(at__gte=since, withdrawal=None)
    if not user.is_superuser:
        rows = rows.filter(prediction__film__in=visible_films(user))
    facts = rows.order_by("prediction__film", "pk").values_list(
        "prediction__film",
        "reviewer",
        "verdict",
        "blind",
        "adjudicates",
        "second_wanted",
        "prediction__label",
    )
    return [_Verdict(*row) for row in facts]


def _count(verdicts: list[_Verdict], readers: dict[int, Reader]) -> list[tuple[str, str]]:
    """Add one film's verdicts to its readers; return the pairs of independent first verdicts."""
    by_reader: dict[int, list[_Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.adjudicates:
            readers[verdict.reviewer].adjudications += 1
        else:
            by_reader[verdict.reviewer].append(verdict)
    for pk, own in by_reader.items():
        _count_own(readers[pk], own)
    if not any(verdict.second_wanted for verdict in verdicts):
        # Whoever corrects a verdict has seen it: that is no second, independent reading.
        return []
    pairs = []
    for one, other in combinations(by_reader, 2):
        pair = by_reader[one][0].verdict, by_reader[other][0].verdict
        readers[one].with_others.append(pair)
        readers[other].with_others.append(pair[::-1])
        pairs.append(pair)
    return pairs


def _count_own(reader: Reader, own: list[_Verdict]) -> None:
    first, last = own[0], own[-1]
    reader.films += 1
    label = Review.LABELS.get(first.verdict)
    if label and first.label:
        reader.with_model.append((label, first.label))
    if first.blind:
        reader.blind += 1
        reader.changed += last.verdict != first.verdict
        reader.towards += last.verdict != first.verdict and last.verdict.upper() == first.label
