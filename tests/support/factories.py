"""Rows for tests, each with only what its table asks for. Films have real pictures in the storage."""

import hashlib
import uuid
from datetime import date
from typing import Any

import factory
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from diagnosis.models import Arrival, Batch, Film, ModelVersion, Patient, Prediction, Study, TrainingRun
from pneumoweb.accounts.models import Clinic, User
from tests.support.pictures import png

PASSWORD = "a-long-enough-password-7"

CARD: dict[str, Any] = {
    "name": "test-1",
    "architecture": "sequential",
    "input_size": 62,
    "threshold": 0.5,
    "threshold_method": "Fixed by the tests.",
    "best_epoch": 1,
    "history": [{"epoch": 1, "loss": 0.4, "val_loss": 0.3, "auc": 0.9, "val_auc": 0.95, "val_accuracy": 0.9}],
    "metrics": {
        "n": 100, "auc": 0.95, "auc_ci": [0.93, 0.97], "accuracy": 0.9, "accuracy_ci": [0.85, 0.94],
        "sensitivity": 0.92, "sensitivity_ci": [0.87, 0.95], "specificity": 0.88, "specificity_ci": [0.81, 0.93],
        "brier": 0.07, "ece": 0.04, "confusion": [[44, 6], [4, 46]],
    },
    "population": {"description": "Invented.", "age_years": [1, 5], "refuse_from_years": 18, "evidence": "None."},
    "data": {
        "description": "Invented.", "films": {"NORMAL": 50, "PNEUMONIA": 50}, "patients": 80,
        "hash": "0", "split_hash": "1",
        "validation": {"NORMAL": 50, "PNEUMONIA": 50, "patients": 80},
    },
    "seed": 7,
    "reproducibility": "Not measured.",
}  # fmt: skip


class ClinicFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Clinic

    name = factory.Sequence("Clinic {}".format)


def make_user(role: str = "clinician", clinic: Clinic | None = None, **fields: Any) -> User:
    """Return a user: clinician, reviewer, staff, administrator, or "" for one without any role."""
    number = User.objects.count()
    user = User.objects.create_user(
        fields.pop("email", f"{role or 'nobody'}{number}@clinic.example"),
        PASSWORD,
        clinic=clinic or ClinicFactory(),
        is_staff=role in ("staff", "administrator"),
        is_superuser=role == "administrator",
        **fields,
    )
    if role in ("clinician", "reviewer"):
        user.groups.add(Group.objects.get(name=role))
    return user


class PatientFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Patient

    clinic = factory.SubFactory(ClinicFactory)
    mrn = factory.Sequence("MRN-{:05d}".format)
    name = factory.Sequence("Invented Patient {}".format)
    birth_date = date(2023, 5, 1)
    sex = "F"
    created_by = factory.LazyAttribute(lambda o: make_user(clinic=o.clinic))


class StudyFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Study

    patient = factory.SubFactory(PatientFactory)
    taken_on = factory.LazyFunction(timezone.localdate)
    upload_key = factory.LazyFunction(uuid.uuid4)
    uploaded_by = factory.LazyAttribute(lambda o: o.patient.created_by)


class FilmFactory(factory.django.DjangoModelFactory):
    """A film whose picture differs from that of every other film made here."""

    class Meta:
        model = Film
        exclude = ["data"]

    data = factory.Sequence(png)
    study = factory.SubFactory(StudyFactory)
    patient = factory.SelfAttribute("study.patient")
    uploaded_by = factory.SelfAttribute("study.uploaded_by")
    name = factory.Sequence("film-{}.png".format)
    sha256 = factory.LazyAttribute(lambda o: hashlib.sha256(o.data).hexdigest())
    file = factory.LazyAttribute(
        lambda o: default_storage.save(f"films/{o.patient.pk}/film.png", ContentFile(o.data))
    )
    thumbnail = factory.SelfAttribute("file")
    source_format = "PNG"
    source_bytes = factory.LazyAttribute(lambda o: len(o.data))
    width = 256
    height = 256
    bits = 8


class ModelVersionFactory(factory.django.DjangoModelFactory):
    """A version with a card but without an artifact: for pages, not for reading films."""

    class Meta:
        model = ModelVersion

    name = factory.Sequence("test-{}".format)
    artifact_hash = factory.Sequence(lambda n: hashlib.sha256(str(n).encode()).hexdigest())
    card = factory.LazyFunction(lambda: dict(CARD))


class PredictionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Prediction

    film = factory.SubFactory(FilmFactory)
    model_version = factory.SubFactory(ModelVersionFactory)


class AnswerFactory(PredictionFactory):
    """A prediction that has been answered, with a heatmap in the storage."""

    state = Prediction.State.SUCCEEDED
    label = "PNEUMONIA"
    probability = 0.87
    threshold = 0.5
    heatmap = factory.LazyFunction(
        lambda: default_storage.save("heatmaps/test.png", ContentFile(png(99, 64)))
    )
    finished_at = factory.LazyFunction(timezone.now)
    compute_ms = 4.2


class TrainingRunFactory(factory.django.DjangoModelFactory):
    """A queued run of the original network from scratch, with a manifest in the storage."""

    class Meta:
        model = TrainingRun

    mode = "whole"
    architecture = "sequential"
    epochs = 2
    reason = "For the tests"
    by = factory.LazyFunction(lambda: make_user("staff"))
    manifest = factory.LazyFunction(
        lambda: default_storage.save("training/test.csv", ContentFile(b"source,film\n"))
    )


class BatchFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Batch

    clinic = factory.SubFactory(ClinicFactory)
    by = factory.LazyAttribute(lambda o: make_user(clinic=o.clinic))
    name = factory.Sequence("Batch {}".format)
    taken_on = factory.LazyFunction(timezone.localdate)


class ArrivalFactory(factory.django.DjangoModelFactory):
    """A film that waits to be assigned."""

    class Meta:
        model = Arrival
        exclude = ["data"]

    data = factory.Sequence(png)
    batch = factory.SubFactory(BatchFactory)
    key = factory.Sequence("{:064}".format)
    name = factory.Sequence("folder/film-{}.png".format)
    size = factory.LazyAttribute(lambda o: len(o.data))
    sha256 = factory.LazyAttribute(lambda o: hashlib.sha256(o.data).hexdigest())
    state = "unassigned"
    offered = factory.LazyFunction(lambda: {"row": None, "tags": None})
    decoded = factory.LazyAttribute(
        lambda o: {
            "name": "film.png", "bytes": len(o.data), "width": 256, "height": 256, "bits": 8, "colourfulness": 0.0,
            "notes": [], "source_format": "PNG", "facts": {},
        }
    )  # fmt: skip
    picture = factory.LazyAttribute(
        lambda o: default_storage.save(f"batches/{o.batch.pk}/film.png", ContentFile(o.data))
    )
    preview = factory.LazyAttribute(
        lambda o: default_storage.save(f"batches/{o.batch.pk}/preview.jpg", ContentFile(o.data))
    )
