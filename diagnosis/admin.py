"""The Django admin shows the records; writing goes through the services, so nothing here can be changed."""

from typing import Any, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property

from diagnosis.core import audit_log
from diagnosis.models import (
    AccessLog,
    Evaluation,
    Film,
    ModelVersion,
    OperatingPoint,
    Outcome,
    Patient,
    Prediction,
    PromotionRequest,
    PromotionRules,
    Review,
    ShadowRun,
    StageChange,
    Study,
)
from diagnosis.reading import blinding
from pneumoweb.accounts.models import User
from pneumoweb.accounts.roles import UserRequest

COUNTED = 10_000
FOUND = 500


class Counted(Paginator):
    """Pages of the first records only: nobody turns 100 pages, and the database would count all records each time."""

    @cached_property
    def count(self) -> int:
        return cast(QuerySet[Model], self.object_list)[:COUNTED].count()


class Records(admin.ModelAdmin):
    """Read-only. Who opens a record of a patient here is logged as on every other page."""

    paginator = Counted
    show_full_result_count = False

    film_field = ""
    """Names the film, in the tables that hold an answer or a label."""

    def patient_of(self, record: Any) -> Patient | None:
        return None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out what would tell an administrator of a film that they may still have to read blind."""
        records = super().get_queryset(request)
        if not self.film_field:
            return records
        return records.exclude(
            **{f"{self.film_field}__in": blinding.kept_from(cast(UserRequest, request).user)}
        )

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        record = super().get_object(request, object_id, from_field)
        patient = self.patient_of(record) if record else None
        if record and patient:
            what = f"{record._meta.verbose_name} {record.pk} in the administration"
            audit_log.record(cast(UserRequest, request), AccessLog.Action.SEEN, patient, what)
        return record

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            records = response.context_data["cl"].result_list
            patients = {patient.pk for patient in map(self.patient_of, records) if patient}
            name = f"{self.opts.verbose_name_plural} in the administration"
            audit_log.record_list(cast(UserRequest, request), name, patients=patients)
        return response

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Patient)
class PatientRecords(Records):
    list_display = ["mrn", "name", "birth_date", "sex", "clinic"]
    list_filter = ["clinic"]
    search_fields = ["mrn", "name"]

    def patient_of(self, record: Patient) -> Patient:
        return record


@admin.register(Study)
class StudyRecords(Records):
    list_display = ["pk", "patient", "taken_on", "view", "uploaded_by"]
    list_select_related = ["patient", "uploaded_by"]

    def patient_of(self, record: Study) -> Patient:
        return record.patient


@admin.register(Film)
class FilmRecords(Records):
    list_display = ["pk", "patient", "name", "source_format", "width", "height", "bits", "created_at"]
    list_select_related = ["patient"]
    # The stored picture leaves only through the view that checks and logs.
    exclude = ["file", "thumbnail", "values"]

    def patient_of(self, record: Film) -> Patient:
        return record.patient


@admin.register(Prediction)
class PredictionRecords(Records):
    list_display = ["pk", "film", "model_version", "state", "label", "probability", "attempts", "finished_at"]
    list_filter = ["state", "label", "model_version"]
    list_select_related = ["film__patient", "model_version"]
    film_field = "film"
    exclude = ["heatmap"]

    def patient_of(self, record: Prediction) -> Patient:
        return record.film.patient


@admin.register(Review)
class ReviewRecords(Records):
    list_display = ["pk", "prediction", "reviewer", "verdict", "at"]
    list_select_related = ["prediction__film__patient", "reviewer"]
    film_field = "prediction__film"

    def patient_of(self, record: Review) -> Patient:
        return record.prediction.film.patient


@admin.register(Outcome)
class OutcomeRecords(Records):
    list_display = ["pk", "film", "diagnosis", "source", "by", "at"]
    list_select_related = ["film__patient", "by"]
    film_field = "film"

    def patient_of(self, record: Outcome) -> Patient:
        return record.film.patient


@admin.register(ModelVersion)
class ModelVersionRecords(Records):
    list_display = ["name", "stage", "artifact_hash", "created_at"]


@admin.register(StageChange)
class StageChangeRecords(Records):
    list_display = ["version", "stage", "by", "reason", "at"]
    list_select_related = ["version", "by"]


@admin.register(Evaluation)
class EvaluationRecords(Records):
    list_display = ["pk", "candidate", "production", "state", "by", "queued_at"]
    list_select_related = ["candidate", "production", "by"]


@admin.register(PromotionRequest)
class PromotionRequestRecords(Records):
    list_display = ["version", "state", "requested_by", "reason", "decided_by", "alone"]
    list_select_related = ["version", "requested_by", "decided_by"]


@admin.register(PromotionRules)
class PromotionRulesRecords(Records):
    list_display = ["at", "by", "sensitivity_loss", "specificity_loss", "patients_each", "reason"]
    list_select_related = ["by"]


@admin.register(OperatingPoint)
class OperatingPointRecords(Records):
    list_display = ["at", "version", "threshold", "target_sensitivity", "by", "reason"]
    list_select_related = ["version", "by"]


@admin.register(ShadowRun)
class ShadowRunRecords(Records):
    list_display = ["version", "started_at", "started_by", "ended_at", "reason"]
    list_select_related = ["version", "started_by"]


@admin.register(AccessLog)
class AccessLogRecords(Records):
    list_display = ["at", "user", "action", "patient", "what", "address"]
    list_select_related = ["user", "patient"]
    list_filter = ["action"]
    search_fields = ["user__email", "patient__mrn"]
    search_help_text = (
        "A part of a user's address or of a patient's number. Finds lists that showed the patient, too."
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AccessLog], search_term: str
    ) -> tuple[QuerySet[AccessLog], bool]:
        """Find the people first, then their rows; joined, every row of the log would be looked at."""
        if not search_term:
            return queryset, False
        users = User.objects.filter(email__icontains=search_term).values_list("pk", flat=True)[:FOUND]
        patients = Patient.objects.filter(mrn__icontains=search_term).values_list("pk", flat=True)[:FOUND]
        return queryset.filter(pk__in=audit_log.rows_of(list(users), list(patients))), False

    def patient_of(self, record: AccessLog) -> Patient | None:
        return record.patient
