import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0002_roles"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ModelVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                ("artifact_hash", models.CharField(max_length=64, unique=True)),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("candidate", "Candidate"),
                            ("production", "Production"),
                            ("retired", "Retired"),
                        ],
                        default="candidate",
                        max_length=10,
                    ),
                ),
                ("card", models.JSONField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("stage", "production")),
                        fields=("stage",),
                        name="one_model_in_production",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("stage__in", ["candidate", "production", "retired"])),
                        name="model_stage_is_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Patient",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("mrn", models.CharField(max_length=64, verbose_name="patient number")),
                ("name", models.CharField(max_length=200)),
                ("birth_date", models.DateField(blank=True, null=True)),
                (
                    "sex",
                    models.CharField(
                        choices=[("F", "Female"), ("M", "Male"), ("O", "Other"), ("U", "Not known")],
                        default="U",
                        max_length=1,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "clinic",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="patients",
                        to="accounts.clinic",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["name", "mrn"],
            },
        ),
        migrations.CreateModel(
            name="Film",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.CharField(max_length=64, verbose_name="SHA-256 of the received bytes")),
                ("name", models.CharField(max_length=200, verbose_name="file name as received")),
                ("file", models.FileField(max_length=200, upload_to="")),
                ("thumbnail", models.FileField(max_length=200, upload_to="")),
                ("source_format", models.CharField(max_length=8)),
                ("source_bytes", models.PositiveBigIntegerField()),
                ("width", models.PositiveIntegerField()),
                ("height", models.PositiveIntegerField()),
                ("bits", models.PositiveSmallIntegerField(verbose_name="significant bits of the source")),
                (
                    "colourfulness",
                    models.FloatField(
                        default=0, verbose_name="mean spread of the source's colour channels, 0 to 1"
                    ),
                ),
                (
                    "notes",
                    models.JSONField(blank=True, default=list, verbose_name="what was changed on arrival"),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "uploaded_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="films",
                        to="diagnosis.patient",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="AccessLog",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("seen", "Seen"),
                            ("created", "Registered"),
                            ("changed", "Changed"),
                            ("uploaded", "Uploaded a film"),
                            ("reviewed", "Reviewed"),
                        ],
                        max_length=10,
                    ),
                ),
                ("what", models.CharField(max_length=80)),
                ("at", models.DateTimeField()),
                ("address", models.GenericIPAddressField(null=True)),
                ("previous", models.CharField(max_length=64, unique=True)),
                ("digest", models.CharField(max_length=64, unique=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="accesses",
                        to="diagnosis.patient",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="Prediction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Waiting"),
                            ("running", "Being read"),
                            ("succeeded", "Answered"),
                            ("rejected", "Not answered"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("queued_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "label",
                    models.CharField(
                        blank=True, choices=[("NORMAL", "Normal"), ("PNEUMONIA", "Pneumonia")], max_length=9
                    ),
                ),
                ("probability", models.FloatField(null=True, verbose_name="probability of pneumonia")),
                ("threshold", models.FloatField(null=True)),
                ("heatmap", models.FileField(blank=True, max_length=200, upload_to="")),
                (
                    "reasons",
                    models.JSONField(blank=True, default=list, verbose_name="why it was not answered"),
                ),
                ("warnings", models.JSONField(blank=True, default=list)),
                ("failure", models.CharField(blank=True, max_length=500)),
                ("receipt", models.JSONField(blank=True, default=dict)),
                ("compute_ms", models.FloatField(null=True, verbose_name="time in the model, ms")),
                (
                    "film",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="predictions",
                        to="diagnosis.film",
                    ),
                ),
                (
                    "model_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="predictions",
                        to="diagnosis.modelversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="Review",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("normal", "Normal"),
                            ("pneumonia", "Pneumonia"),
                            ("unreadable", "Unreadable"),
                        ],
                        max_length=10,
                    ),
                ),
                ("remark", models.CharField(blank=True, max_length=1000)),
                (
                    "blind",
                    models.BooleanField(
                        default=False, verbose_name="committed before the model's answer was shown"
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "prediction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reviews",
                        to="diagnosis.prediction",
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reviews",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="StageChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("candidate", "Candidate"),
                            ("production", "Production"),
                            ("retired", "Retired"),
                        ],
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="changes",
                        to="diagnosis.modelversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="Study",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("taken_on", models.DateField(verbose_name="date taken")),
                (
                    "view",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("PA", "PA (back to front)"),
                            ("AP", "AP (front to back)"),
                            ("", "Frontal, not recorded"),
                        ],
                        default="",
                        max_length=2,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=500)),
                ("upload_key", models.UUIDField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="studies",
                        to="diagnosis.patient",
                    ),
                ),
                (
                    "uploaded_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "studies",
                "ordering": ["-taken_on", "-pk"],
            },
        ),
        migrations.AddField(
            model_name="film",
            name="study",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="films", to="diagnosis.study"
            ),
        ),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["clinic", "name"], name="patient_by_clinic_name"),
        ),
        migrations.AddConstraint(
            model_name="patient",
            constraint=models.UniqueConstraint(
                models.F("clinic"),
                django.db.models.functions.text.Lower("mrn"),
                name="one_patient_a_number_in_a_clinic",
            ),
        ),
        migrations.AddConstraint(
            model_name="patient",
            constraint=models.CheckConstraint(
                condition=models.Q(("sex__in", ["F", "M", "O", "U"])), name="patient_sex_is_known_code"
            ),
        ),
        migrations.AddIndex(
            model_name="accesslog",
            index=models.Index(fields=["patient", "-at"], name="access_by_patient"),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(
                condition=models.Q(("state", "queued")), fields=["queued_at"], name="prediction_queue"
            ),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(
                condition=models.Q(("state", "running")), fields=["lease_until"], name="prediction_leases"
            ),
        ),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.UniqueConstraint(
                fields=("film", "model_version"), name="one_prediction_a_film_and_model"
            ),
        ),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["queued", "running", "succeeded", "rejected", "failed"])),
                name="prediction_state_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("lease_token__isnull", False), ("lease_until__isnull", False), ("state", "running")
                    ),
                    models.Q(
                        models.Q(("state", "running"), _negated=True),
                        ("lease_token__isnull", True),
                        ("lease_until__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="only_a_running_prediction_is_leased",
            ),
        ),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("probability__gte", 0),
                        ("probability__lte", 1),
                        ("state", "succeeded"),
                        ("threshold__isnull", False),
                        ("label__in", ["NORMAL", "PNEUMONIA"]),
                    ),
                    models.Q(
                        models.Q(("state", "succeeded"), _negated=True),
                        ("label", ""),
                        ("probability__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="a_score_stands_only_on_an_answer",
            ),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["normal", "pneumonia", "unreadable"])),
                name="review_verdict_is_known",
            ),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["patient", "-taken_on"], name="study_by_patient_date"),
        ),
        migrations.AddConstraint(
            model_name="study",
            constraint=models.UniqueConstraint(fields=("patient", "upload_key"), name="one_study_an_upload"),
        ),
        migrations.AddConstraint(
            model_name="study",
            constraint=models.CheckConstraint(
                condition=models.Q(("view__in", ["PA", "AP", ""])), name="study_view_is_known_code"
            ),
        ),
        migrations.AddConstraint(
            model_name="film",
            constraint=models.UniqueConstraint(
                fields=("patient", "sha256"), name="one_film_a_picture_of_a_patient"
            ),
        ),
    ]
