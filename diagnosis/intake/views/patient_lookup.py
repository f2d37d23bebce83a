"""Whose film is this? A patient found or registered by what a DICOM file says."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from diagnosis.core import audit_log
from diagnosis.core.permissions import visible_patients
from diagnosis.intake import decoder_pool, films, identity
from diagnosis.intake.forms import DicomForm
from diagnosis.models import AccessLog
from diagnosis.patients.forms import PatientForm
from ml.images.person_name import spoken_name
from pneumoweb.accounts.roles import UserRequest, clinician_required


@require_http_methods(["GET", "HEAD", "POST"])
@clinician_required
def patient_from_dicom(request: UserRequest) -> HttpResponse:
    """Read a DICOM file's identity; show the patient that it fits, or a form to register one. The file is not kept."""
    if not request.user.is_superuser and request.user.clinic is None:
        return render(request, "patients/no_clinic.html", status=403)
    form = DicomForm(request.POST or None, request.FILES or None)
    if request.method != "POST":
        decoder_pool.warm_up()
        return render(request, "intake/patient_from_dicom.html", {"form": form})
    offered = None
    if form.is_valid():
        try:
            offered = films.decode_upload(form.cleaned_data["film"]).decoded.offered
        except films.Refused as error:
            form.add_error("film", str(error))
        else:
            if offered is None:
                form.add_error("film", "This is no DICOM file, so it does not say whose film it is.")
    if offered is None:
        return render(request, "intake/patient_from_dicom.html", {"form": form}, status=422)
    found = identity.find(visible_patients(request.user).select_related("clinic"), offered)
    for patient in found:
        audit_log.record(request, AccessLog.Action.SEEN, patient, "patient, found by a DICOM file")
    initial = {name: getattr(offered, name) for name in ("mrn", "name", "birth_date", "sex")}
    register_form = PatientForm(initial=initial, user=request.user)
    spellings = [spoken_name(group) for group in offered.name_groups.split("=")]
    others = [spelling for spelling in spellings if spelling not in ("", offered.name)]
    if others:
        register_form.fields["name"].help_text = f"Also in the file: {', '.join(others)}"
    context = {
        "found": [(patient, identity.differences(offered, patient)) for patient in found],
        "register_form": register_form,
    }
    return render(request, "intake/patient_from_dicom.html", context)
