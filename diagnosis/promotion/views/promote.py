"""The gate of promotion: rules and figures, a second person, the way back."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diagnosis.models import ModelVersion, PromotionRequest, PromotionRules
from diagnosis.promotion import promote as promotion_promote
from diagnosis.promotion.forms import DecisionForm, PromoteForm, RollBackForm, RulesForm
from diagnosis.registry import versions
from diagnosis.registry.versions import PromotionRefused
from pneumoweb.accounts.roles import UserRequest, staff_required


@require_safe
@staff_required
def gate(request: UserRequest, pk: int) -> HttpResponse:
    """The rules that a version meets and does not meet, with the figures; and who asked for an exception."""
    version = get_object_or_404(ModelVersion, pk=pk)
    checks = promotion_promote.check(version)
    asked = version.promotion_requests.select_related("requested_by", "decided_by", "production")
    context = {
        "version": version,
        "checks": checks,
        "failed": sum(not c.passed for c in checks),
        "rules": PromotionRules.in_force(),
        "evaluation": promotion_promote.current_evaluation(version),
        "open_evaluation": version.evaluations.filter(state__in=["queued", "running"]).first(),
        "production": versions.production(),
        "requests": asked,
        "open": next((r for r in asked if r.state == PromotionRequest.State.REQUESTED), None),
        "alone": promotion_promote.may_act_alone(request.user),
        "form": PromoteForm(),
        "decision": DecisionForm(),
    }
    return render(request, "promotion/promote.html", context)


@require_POST
@staff_required
def promote(request: UserRequest, pk: int) -> HttpResponse:
    """Put a version into production if the rules are met; else ask for a second person."""
    version = get_object_or_404(ModelVersion, pk=pk)
    form = PromoteForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    try:
        done = promotion_promote.promote(version, request.user, reason)
    except PromotionRefused as error:
        messages.error(request, str(error))
        return redirect("model_gate", pk)
    if isinstance(done, PromotionRequest):
        messages.warning(
            request,
            f"Not every rule is met, so {version} waits for a second person. Nothing has changed yet.",
        )
        return redirect("model_gate", pk)
    messages.success(request, f"{version} is in production. New films are read by it from now on.")
    return redirect("model", pk)


@require_POST
@staff_required
def decide(request: UserRequest, pk: int) -> HttpResponse:
    """Approve or decline what another member of staff asked for."""
    asked = get_object_or_404(PromotionRequest.objects.select_related("version", "production"), pk=pk)
    form = DecisionForm(request.POST)
    remark = form.cleaned_data["remark"] if form.is_valid() else ""
    try:
        if request.POST.get("decision") == "approve":
            promotion_promote.approve(asked, request.user, remark)
            messages.success(
                request, f"{asked.version} is in production. New films are read by it from now on."
            )
            return redirect("model", asked.version_id)
        promotion_promote.refuse(asked, request.user, remark)
        messages.success(request, "Declined. Nothing has changed in production.")
    except PromotionRefused as error:
        messages.error(request, str(error))
    return redirect("model_gate", asked.version_id)


@require_POST
@staff_required
def roll_back(request: UserRequest) -> HttpResponse:
    """Bring back the version before, at once."""
    form = RollBackForm(request.POST)
    try:
        restored = promotion_promote.roll_back(
            request.user, form.cleaned_data["reason"] if form.is_valid() else ""
        )
    except PromotionRefused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{restored} is in production again. Films that waited are read by it too.")
    return redirect("models")


@require_http_methods(["GET", "HEAD", "POST"])
@staff_required
def rules(request: UserRequest) -> HttpResponse:
    """The site's rules and their history."""
    current = PromotionRules.in_force()
    form = RulesForm(request.POST if request.method == "POST" else None, initial=RulesForm.values(current))
    if request.method == "POST" and form.is_valid():
        promotion_promote.set_rules(request.user, **form.cleaned_data)
        messages.success(request, "The rules are in force. The ones before are kept below.")
        return redirect("promotion_rules")
    context = {"form": form, "current": current, "history": PromotionRules.objects.select_related("by")}
    return render(request, "promotion/rules.html", context, status=422 if form.is_bound else 200)
