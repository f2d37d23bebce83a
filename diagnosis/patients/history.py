"""A patient's films as histories, comparisons and exports show them."""

from diagnosis.core.permissions import visible_films
from diagnosis.core.querysets import with_predictions
from diagnosis.models import Film, Patient
from diagnosis.reading import blinding
from pneumoweb.accounts.models import User


def films_for(user: User, patient: Patient) -> list[Film]:
    """Return the patient's films in the order in which they were taken, with what the user may see of each.

    Timeline, comparison, CSV and PDF all start from here: what must be kept from a user is taken out in one place.
    """
    films = visible_films(user).filter(patient=patient)
    found = list(with_predictions(films.order_by("study__taken_on", "pk")))
    blinding.conceal(user, found)
    return found
