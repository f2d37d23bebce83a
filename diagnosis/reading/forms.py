"""The shape of input of worklist, review and outcome."""

from datetime import date
from typing import Any, ClassVar

from django import forms

from diagnosis.core.forms import DateInput, not_in_future
from diagnosis.models import Film, Outcome, Priority, Review
from diagnosis.reading import annotations
from pneumoweb.accounts.models import Clinic


class ReviewForm(forms.Form):
    """A reviewer's verdict on a film, with a remark and where on the film."""

    verdict = forms.ChoiceField(choices=Review.Verdict, error_messages={"required": "Choose a verdict."})
    remark = forms.CharField(
        max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 2}), label="Remark"
    )
    region = forms.JSONField(required=False, widget=forms.HiddenInput())

    def __init__(self, *args: Any, film: Film, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.film = film

    def clean_region(self) -> list[dict[str, Any]]:
        return annotations.checked(self.cleaned_data["region"] or [], self.film.width, self.film.height)


class PriorityForm(forms.Form):
    """How soon a film is to be read."""

    priority = forms.TypedChoiceField(choices=Priority, coerce=int)


class OutcomeForm(forms.ModelForm):
    """What the patient had in the end, and from where one knows."""

    class Meta:
        model = Outcome
        fields = ["diagnosis", "source", "known_on", "remark"]
        widgets = {"known_on": DateInput()}
        help_texts = {"source": "Such as discharge letter, culture, CT, follow-up film."}

    def clean_known_on(self) -> date | None:
        return not_in_future(self.cleaned_data["known_on"], "day it is known since")


class ClinicRulesForm(forms.ModelForm):
    """How a clinic reads its films."""

    class Meta:
        model = Clinic
        fields = ["blind_first", "second_share", "second_on_dispute"]
        labels = {
            "blind_first": "Verdict before the model's answer",
            "second_share": "Films with a second reader, in percent",
            "second_on_dispute": "Second reader where the first contradicts the model",
        }
        help_texts = {
            "blind_first": "Reviewers see neither answer nor heatmap of a film until their own verdict is committed. "
            "They may change it afterwards; both are kept.",
            "second_share": "Drawn at random, so that nobody can choose them. 0 for none, 100 for all. "
            "The second reader does not see the first verdict; where the two differ, a third reader decides.",
            "second_on_dispute": "Whatever the share.",
        }


class WorklistForm(forms.Form):
    """Search, filters and order of the worklist, as they stand in its address."""

    SHOW = {
        "todo": "To review", "all": "All films", "done": "Reviewed", "overdue": "Waiting too long",
        "second": "For a second reader", "differ": "For an adjudicator",
    }  # fmt: skip
    STATES = {"": "Any state", "waiting": "Waiting", "answered": "Answered", "unanswered": "Not answered"}
    ANSWERS = {"": "Any answer", "PNEUMONIA": "Pneumonia", "NORMAL": "Normal"}
    PRIORITIES: ClassVar = [("", "Any priority"), *Priority.choices]
    ASSIGNED = {"": "Anyone's", "me": "Mine", "nobody": "Nobody's"}
    SORTS = {
        "urgency": "Urgent first", "suspicion": "Most suspicious", "newest": "Newest", "oldest": "Oldest",
    }  # fmt: skip
    BLIND_SORTS = {"urgency": "Urgent first", "newest": "Newest", "oldest": "Oldest"}

    q = forms.CharField(required=False, max_length=100, label="Patient")
    show = forms.ChoiceField(required=False, choices=SHOW, label="Show")
    state = forms.ChoiceField(required=False, choices=STATES, label="State")
    answer = forms.ChoiceField(required=False, choices=ANSWERS, label="Answer")
    priority = forms.ChoiceField(required=False, choices=PRIORITIES, label="Priority")
    assigned = forms.ChoiceField(required=False, choices=ASSIGNED, label="Assigned")
    sort = forms.ChoiceField(required=False, choices=SORTS, label="Order")

    def __init__(self, *args: Any, blind: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.blind = blind
        if blind:
            # Filtering or sorting by an answer would tell it.
            del self.fields["answer"]
            self.fields["sort"].choices = list(self.BLIND_SORTS.items())  # type: ignore[attr-defined]

    def chosen(self) -> dict[str, str]:
        """Return what was asked for, with defaults for what was not, or not understood."""
        self.is_valid()
        asked: dict[str, str] = {name: self.cleaned_data.get(name) or "" for name in self.fields}
        return {**asked, "show": asked["show"] or "todo", "sort": asked["sort"] or "urgency"}
