"""The shape of input about promotion, shadow and operating point."""

from typing import Any

from django import forms

from diagnosis.models import PromotionRules


class PromoteForm(forms.Form):
    """Why a model version goes into production."""

    reason = forms.CharField(max_length=400, label="Why")


class RulesForm(forms.ModelForm):
    """New rules; each set is a row of its own."""

    class Meta:
        model = PromotionRules
        fields = [
            "sensitivity_loss", "specificity_loss", "by_lower_limit", "patients_each", "refused_more", "receipts",
            "reason",
        ]  # fmt: skip
        labels = {
            "sensitivity_loss": "Sensitivity may fall by at most, in points",
            "specificity_loss": "Specificity may fall by at most, in points",
            "by_lower_limit": "Judge by the lower 95 % limit",
            "patients_each": "Holdout patients with, and without, pneumonia",
            "refused_more": "Films refused by the gate may rise by at most, in points",
            "receipts": "Answers to run again",
            "reason": "Why",
        }
        help_texts = {
            "by_lower_limit": "Stricter: the lower limit of the paired interval must stay within the rule, not "
            "only the difference that was found. Small holdouts then hardly ever pass.",
            "patients_each": "A part of the holdout (reviewed films, base folder) with fewer is shown, but "
            "decides nothing.",
        }
        widgets = {"reason": forms.TextInput(), "by_lower_limit": forms.CheckboxInput()}

    @staticmethod
    def values(rules: PromotionRules) -> dict[str, Any]:
        """Return the rules in force as the form's first values; the reason is asked anew."""
        return {name: getattr(rules, name) for name in RulesForm.Meta.fields if name != "reason"}


class DecisionForm(forms.Form):
    """Why a second person agrees, or does not."""

    remark = forms.CharField(max_length=400, label="Your reason")


class RollBackForm(forms.Form):
    """Why one goes back."""

    reason = forms.CharField(max_length=350, label="Why")


class ShadowForm(forms.Form):
    """Why a version reads in the shadow, and between which hours."""

    reason = forms.CharField(max_length=400, label="Why")
    hour_from = forms.IntegerField(min_value=0, max_value=23, required=False, label="From hour")
    hour_to = forms.IntegerField(min_value=0, max_value=23, required=False, label="To hour")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if (data.get("hour_from") is None) != (data.get("hour_to") is None):
            raise forms.ValidationError("Give both hours, or neither.")
        return data

    @property
    def hours(self) -> tuple[int, int] | None:
        first, last = self.cleaned_data.get("hour_from"), self.cleaned_data.get("hour_to")
        return None if first is None or last is None else (first, last)
