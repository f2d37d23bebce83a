"""How a clinic reads its films."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from diagnosis.reading.forms import ClinicRulesForm
from pneumoweb.accounts.models import Clinic
from pneumoweb.accounts.roles import UserRequest, administrator_required


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def rules(request: UserRequest, pk: int) -> HttpResponse:
    """Show and change the rules of one clinic."""
    clinic = get_object_or_404(Clinic, pk=pk)
    form = ClinicRulesForm(request.POST if request.method == "POST" else None, instance=clinic)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, f"The rules of {clinic} are saved. They act on verdicts from now on.")
        return redirect("clinic_rules", pk)
    context = {"form": form, "clinic": clinic, "clinics": Clinic.objects.all()}
    return render(
        request, "reading/review/clinic_settings.html", context, status=422 if form.is_bound else 200
    )
