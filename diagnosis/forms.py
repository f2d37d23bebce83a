"""The shape of input."""

import uuid
from datetime import date
from typing import Any

from django import forms
from django.utils import timezone

from diagnosis.models import Patient, Priority, Study
from pneumoweb.accounts.models import Clinic, User


class DateInput(forms.DateInput):
    """The browser's own date picker."""

    input_type = "date"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%Y-%m-%d", **kwargs)


def not_in_future(day: date | None, what: str) -> date | None:
    """Return the day; raise ValidationError if it lies ahead."""
    if day and day > timezone.localdate():
        raise forms.ValidationError(f"The {what} lies in the future. Enter a day up to today.")
    return day


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
        return " ".join(str(self.cleaned_data["mrn"]).split())

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


class UploadForm(forms.Form):
    """What belongs to all films of one upload; the files themselves are judged one by one."""

    taken_on = forms.DateField(
        label="Date taken",
        widget=DateInput(),
        required=False,
        help_text="Left empty: the date in the DICOM file, or today if there is none.",
    )
    view = forms.ChoiceField(
        label="View",
        choices=Study.View,
        required=False,
        help_text="Not recorded: as a DICOM file says.",
    )
    priority = forms.ChoiceField(label="Priority", choices=Priority, required=False, initial=Priority.ROUTINE)
    note = forms.CharField(label="Note", max_length=500, required=False)
    upload_key = forms.UUIDField(widget=forms.HiddenInput())
    # The page's own control is in its template: the answer belongs to single films, seldom to all of them.
    answered = forms.BooleanField(required=False)

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"upload_key": uuid.uuid4()})
        super().__init__(*args, **kwargs)
        self.patient = patient

    def clean_taken_on(self) -> date | None:
        day: date | None = self.cleaned_data["taken_on"]
        not_in_future(day, "date taken")
        if day and self.patient.birth_date and day < self.patient.birth_date:
            raise forms.ValidationError("The film would be older than the patient. Check the date.")
        return day

    def clean_priority(self) -> int:
        return int(self.cleaned_data["priority"] or Priority.ROUTINE)


class DicomForm(forms.Form):
    """One DICOM file, to learn whose film it is."""

    film = forms.FileField(
        label="DICOM file",
        help_text="A chest film as DICOM (CR, DX or secondary capture).",
        error_messages={"required": "No file was sent. Choose a DICOM file.", "empty": "The file is empty."},
    )


class PromoteForm(forms.Form):
    """Why a model version goes into production."""

    reason = forms.CharField(max_length=400, label="Why")
