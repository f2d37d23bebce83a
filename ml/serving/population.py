"""Whether a model version was validated for a patient's age."""

from __future__ import annotations

from ml.artifact.card import Card


def population_findings(card: Card, age_years: float | None) -> tuple[list[str], list[str]]:
    """(refusals, warnings) for the patient's age in years, None where not known, by the card's `population`."""
    population = card.population
    limit, ages = population["refuse_from_years"], population["age_years"]
    if age_years is not None and limit is not None and age_years >= limit:
        return [f"No answer is given from {limit:g} years of age. {population['evidence']}"], []
    if ages is None:
        return [], ["The ages of the patients that the model was validated on are not known."]
    # One range of ages, or several that leave gaps.
    ranges = [ages] if isinstance(ages[0], int | float) else ages
    told = " and of ".join(f"{low:g} to {high:g}" for low, high in ranges)
    validated = f"The model was validated on patients of {told} years only"
    if age_years is None:
        return [], [f"The patient's age is not known. {validated}."]
    if not any(low <= age_years < high + 1 for low, high in ranges):
        return [], [f"{validated}; this patient is {_age(age_years)}."]
    low, high = ranges[0]
    if not low <= age_years < high + 1:
        return [], [f"At this age the model is less sure. {population['evidence']}"]
    return [], []


def _age(years: float) -> str:
    if years < 1:
        return "under 1 year old"
    return f"{int(years)} year{'' if int(years) == 1 else 's'} old"
