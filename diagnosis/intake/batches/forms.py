"""The shape of a batch's input."""

import json
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import date_format

from diagnosis.core.forms import DateInput, not_in_future
from diagnosis.core.mrn import normalise_mrn
from diagnosis.intake.batches import manifest as batches_manifest
from diagnosis.intake.batches import matching
from diagnosis.intake.batches.upload import Announced
from diagnosis.models import Patient, Study
from pneumoweb.accounts.models import User


class BatchForm(forms.Form):
    """What holds for a whole batch. The manifest is judged here, before anything is taken in."""

    name = forms.CharField(max_length=120, required=False, help_text="To find the batch again.")
    number = forms.CharField(
        label="Patient number",
        max_length=64,
        required=False,
        help_text="Only if all films are of one patient. Else a manifest or the tags of DICOM files decide.",
        widget=forms.TextInput(attrs={"list": "patients", "autocomplete": "off"}),
    )
    taken_on = forms.DateField(
        label="Date taken", widget=DateInput(), help_text="For films that do not say it themselves."
    )
    view = forms.ChoiceField(label="View", choices=Study.View, required=False)
    manifest = forms.FileField(
        label="Manifest",
        required=False,
        help_text="A CSV with the columns file, patient number, name, birth date, sex, study date, view. "
        "A manifest.csv at the top of the folder or zip is found by itself.",
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"taken_on": timezone.localdate()})
        super().__init__(*args, **kwargs)
        self.user = user
        self.patient: Patient | None = None
        self.rows: batches_manifest.Rows = {}

    def clean_number(self) -> str:
        number = str(self.cleaned_data["number"]).strip()
        if number:
            self.patient = _patient(self.user, number)
        return number

    def clean_taken_on(self) -> Any:
        return not_in_future(self.cleaned_data["taken_on"], "date taken")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self.clinic = self.patient.clinic if self.patient else self.user.clinic
        if self.clinic is None:
            raise forms.ValidationError(
                "You belong to no clinic, so the batch needs the number of its patient."
            )
        day = data.get("taken_on")
        if self.patient and self.patient.birth_date and day and day < self.patient.birth_date:
            self.add_error("taken_on", "The films would be older than the patient. Check the date.")
        if data.get("manifest"):
            try:
                self.rows = batches_manifest.read(
                    data["manifest"].read(batches_manifest.MAX_BYTES + 1), self.clinic
                )
            except batches_manifest.BadManifest as error:
                self.add_error("manifest", error.faults)
        data["name"] = data.get("name") or f"Batch of {date_format(timezone.localtime(), 'j M Y, H:i')}"
        return data


@dataclass(frozen=True)
class Listing:
    """What a browser is about to send: films one by one, or one zip, or both."""

    films: list[Announced]
    zip: Announced | None = None


def read_listing(text: str) -> Listing:
    """Return what the page's script lists. Raises ValidationError where that is no listing."""
    try:
        facts = json.loads(text)
        films = [_announced(row) for row in facts["films"]]
        packed = _announced(facts["zip"]) if facts.get("zip") else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise forms.ValidationError("The list of files could not be read. Load the page again.") from error
    return Listing(films, packed)


def patient_by_number(clinic: int, number: str) -> Patient | None:
    """Return the patient of this number in the batch's clinic."""
    return Patient.objects.filter(clinic=clinic, mrn__iexact=normalise_mrn(number)).first()


def _announced(row: dict[str, Any]) -> Announced:
    size = int(row["size"])
    if size < 0:
        raise ValueError("a file has no negative size")
    return Announced(str(row["path"]), size, str(row["modified"]))


def _patient(user: User, number: str) -> Patient:
    if user.is_superuser:
        found = list(Patient.objects.filter(mrn__iexact=number)[:2])
        if len(found) > 1:
            raise forms.ValidationError("Several clinics have this number. Log in as a member of the clinic.")
        patient = found[0] if found else None
    else:
        patient = matching.find(user.clinic, number) if user.clinic else None
    if patient is None:
        raise forms.ValidationError("No patient of your clinic has this number. Register the patient first.")
    return patient
