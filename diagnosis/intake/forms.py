"""Forms for uploading films."""

import uuid
from datetime import date
from typing import Any

from django import forms

from diagnosis.core.forms import DateInput, not_in_future
from diagnosis.models import Patient, Priority, Study


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
