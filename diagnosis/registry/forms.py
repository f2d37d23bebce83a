"""Form for the site's operating point."""

from django import forms


class TargetForm(forms.Form):
    """Which share of the ill films must be found."""

    target = forms.FloatField(min_value=50, max_value=100, label="Sensitivity wanted, in percent")


class OperatingForm(TargetForm):
    """A target that is put in force."""

    reason = forms.CharField(max_length=400, label="Why")
