"""The shape of a wish for a training run."""

from typing import Any

from django import forms

from diagnosis.models import TrainingRun
from ml.networks.names import ARCHITECTURES

MOST_EPOCHS = 200


class RunForm(forms.Form):
    """What of which network learns, for how long, and why."""

    START = [("production", "The version in production"), ("scratch", "From scratch")]

    mode = forms.ChoiceField(
        label="What learns",
        choices=TrainingRun.Mode,
        initial=TrainingRun.Mode.HEAD,
        help_text="The classifier takes a minute or two; the last stages and the whole network take a minute to many "
        "an epoch, by the number of films.",
    )
    start = forms.ChoiceField(label="Starts from", choices=START)
    architecture = forms.ChoiceField(
        label="Architecture",
        choices=[(name, name) for name in ARCHITECTURES],
        help_text="Counts from scratch only; a version in production keeps its own.",
    )
    epochs = forms.IntegerField(min_value=1, max_value=MOST_EPOCHS, initial=20)
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        initial=1,
        help_text="The same films and seed give the same candidate.",
    )
    reason = forms.CharField(max_length=400, label="Why")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        data["from_production"] = data.pop("start", None) == "production"
        return data
