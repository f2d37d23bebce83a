"""The shape of input."""

from datetime import date
from typing import Any

from django import forms
from django.utils import timezone

from diagnosis.core.forms import DateInput, not_in_future
from diagnosis.core.mrn import normalise_mrn
from diagnosis.models import Patient
from pneumoweb.accounts.models import Clinic, User


class PatientForm(forms.ModelForm):
    """A patient of the user's own clinic; an administrator names the clinic."""

    class Meta:
        model = Patient
        fields = ["clinic", "mrn", "name", "birth_date", "sex"]
        widgets = {"birth_date": DateInput()}
        help_texts = {
            "mrn": "As on the hospital's card; unique in the clinic.",
            "birth_date": "The model is validated for some ages only, so an answer needs it to be sure.",
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        if user.is_superuser and not self.instance.pk:
            self.fields["clinic"].queryset = Clinic.objects.all()  # type: ignore[attr-defined]
            self.initial.setdefault("clinic", user.clinic_id)
        else:
            del self.fields["clinic"]
            if not self.instance.pk:
                self.instance.clinic = user.clinic

    def clean_mrn(self) -> str:
        return normalise_mrn(str(self.cleaned_data["mrn"]))

    def clean_name(self) -> str:
        return " ".join(str(self.cleaned_data["name"]).split())

    def clean_birth_date(self) -> date | None:
        day = not_in_future(self.cleaned_data["birth_date"], "birth date")
        if day and day.year < timezone.localdate().year - 130:
            raise forms.ValidationError("The birth date is more than 130 years ago. Check the year.")
        return day

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        clinic = data.get("clinic") if "clinic" in self.fields else self.instance.clinic
        mrn = data.get("mrn")
        if clinic and mrn:
            same = Patient.objects.filter(clinic=clinic, mrn__iexact=mrn).exclude(pk=self.instance.pk).first()
            if same:
                self.add_error(
                    "mrn", f"This number belongs to {same.name} already. Open that patient instead."
                )
        return data

    def validate_constraints(self) -> None:
        """The number's uniqueness is said above in words; the database still holds it."""
