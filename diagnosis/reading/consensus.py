"""What the reviews of one film amount to: whose verdicts stand, whether they differ, and what is still to do."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from diagnosis.models import WorklistRow


class Verdict(Protocol):
    """What of a review counts here; a row of values serves as well as the object."""

    @property
    def reviewer_id(self) -> int: ...
    @property
    def verdict(self) -> str: ...
    @property
    def adjudicates(self) -> bool: ...
    @property
    def second_wanted(self) -> bool: ...
    @property
    def is_withdrawn(self) -> bool: ...


@dataclass(frozen=True)
class Readings:
    """A film's standing verdicts: the last one of each reader, and the adjudication where there is one."""

    last: dict[int, Verdict] = field(default_factory=dict)
    adjudication: Verdict | None = None
    second_wanted: bool = False

    @property
    def differ(self) -> bool:
        return self.adjudication is None and len({review.verdict for review in self.last.values()}) > 1

    @property
    def state(self) -> str:
        """What is still to do, as the worklist says it."""
        if self.adjudication:
            return WorklistRow.Reading.DONE
        if self.differ:
            return WorklistRow.Reading.DIFFER
        if self.second_wanted and len(self.last) == 1:
            return WorklistRow.Reading.SECOND
        return WorklistRow.Reading.DONE if self.last else WorklistRow.Reading.OPEN

    @property
    def deciding(self) -> Verdict | None:
        """The review that says what the film shows: the adjudication, else the newest where all readers agree."""
        if self.adjudication or self.differ:
            return self.adjudication
        return next(iter(self.last.values()), None)

    def disputed(self, label: str) -> bool:
        """Whether readers differ, or the only reader contradicts the model's `label` (upper case, "" for none)."""
        if self.adjudication or len(self.last) != 1:
            return self.differ
        verdict = next(iter(self.last.values())).verdict.upper()
        return verdict in ("NORMAL", "PNEUMONIA") and label != "" and verdict != label


def summarise(reviews: Iterable[Verdict]) -> Readings:
    """Sum up the reviews of one film, the newest first, whichever model's answers they were made on."""
    standing = [review for review in reviews if not review.is_withdrawn]
    last: dict[int, Verdict] = {}
    for review in standing:
        if not review.adjudicates:
            last.setdefault(review.reviewer_id, review)
    return Readings(
        last=last,
        adjudication=next((review for review in standing if review.adjudicates), None),
        second_wanted=any(review.second_wanted for review in standing),
    )
