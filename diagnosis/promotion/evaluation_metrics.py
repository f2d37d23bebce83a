"""The figures of an evaluation, from what both versions said of each film."""

from collections.abc import Sequence
from typing import Any

from diagnosis.models import Evaluation, EvaluationFilm
from ml.metrics import classification, paired

Part = EvaluationFilm.Part
Said = EvaluationFilm.Said
ANSWERS = {Said.NORMAL.value, Said.PNEUMONIA.value}


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return each part's figures (reviewed, base), how many films were `known` and left out, and how corrected errors
    fare, ready to be stored as JSON."""
    rows = list(evaluation.films.defer("candidate_receipt"))
    parts = {
        part.value: part_figures(evaluation, [row for row in rows if row.part == part])
        for part in (Part.REVIEWED, Part.BASE)
    }
    again = [row for row in rows if row.corrected]
    return {
        "parts": parts,
        "known": evaluation.figures.get("known", {}),
        "corrected": {
            "films": len(again),
            "outside": sum(row.part == Part.CORRECTED for row in again),
            "candidate_right": sum(row.candidate_is_right for row in again),
            "production_right": sum(row.production_is_right for row in again),
        },
    }


def part_figures(evaluation: Evaluation, rows: Sequence[EvaluationFilm]) -> dict[str, Any]:
    """Figures of one part. Without both classes among the films that both answered, only the counts are there."""
    readable = [row for row in rows if row.candidate_said != Said.UNREAD]
    both = [row for row in readable if row.candidate_said in ANSWERS and row.production_said in ANSWERS]
    counts = {
        "films": len(rows),
        "unread": len(rows) - len(readable),
        "readable": len(readable),
        "candidate_refused": sum(row.candidate_said == Said.REFUSED for row in readable),
        "production_refused": sum(row.production_said == Said.REFUSED for row in readable),
        "answered_by_both": len(both),
        "patients_ill": len({row.patient for row in both if row.label == Said.PNEUMONIA}),
        "patients_well": len({row.patient for row in both if row.label == Said.NORMAL}),
        "differ": sum(row.candidate_said != row.production_said for row in readable),
    }
    if not counts["patients_ill"] or not counts["patients_well"]:
        return counts
    return {**counts, **_compared(evaluation, both)}


def _compared(evaluation: Evaluation, rows: Sequence[EvaluationFilm]) -> dict[str, Any]:
    targets = [int(row.label == Said.PNEUMONIA) for row in rows]
    patients = [row.patient for row in rows]
    mine = [row.candidate_probability or 0.0 for row in rows]
    theirs = [row.production_probability or 0.0 for row in rows]
    thresholds = (evaluation.candidate_threshold or 0.0, evaluation.production_threshold or 0.0)
    test = paired.mcnemar([row.candidate_is_right for row in rows], [row.production_is_right for row in rows])
    apart = paired.differences(targets, mine, theirs, thresholds, patients)
    return {
        "candidate": _alone(targets, mine, thresholds[0], patients),
        "production": _alone(targets, theirs, thresholds[1], patients),
        "difference": {name: difference.as_dict() for name, difference in apart.items()},
        "mcnemar": test.as_dict(),
    }


def _alone(
    targets: Sequence[int], probabilities: Sequence[float], threshold: float, patients: Sequence[str]
) -> dict[str, Any]:
    """One version's figures and curves."""
    return {
        **classification.measure(targets, probabilities, threshold, patients).as_dict(),
        "threshold": threshold,
        "roc": classification.roc(targets, probabilities),
        "reliability": classification.reliability(targets, probabilities),
    }
