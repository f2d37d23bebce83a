"""All tables of this release. SQLite copies a table for each constraint added to it, so they are created with the tables."""

import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0004_reading"),
    ]

    operations = [
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
                ("values", models.FileField(blank=True, max_length=200, upload_to="")),
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
                (
                    "facts",
                    models.JSONField(
                        blank=True, default=dict, verbose_name="what the source said, without identity"
                    ),
                ),
                (
                    "sop_hash",
                    models.CharField(
                        blank=True,
                        db_index=True,
                        max_length=64,
                        verbose_name="keyed hash of the DICOM instance's number",
                    ),
                ),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "Routine"), (1, "Urgent"), (2, "Stat")], default=0
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "assigned_to",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
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
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="WorkerSign",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("host", models.CharField(max_length=253, unique=True)),
                ("at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-at"],
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
                            ("exported", "Exported"),
                            ("searched", "Searched"),
                            ("listed", "Opened a list"),
                        ],
                        max_length=10,
                    ),
                ),
                ("what", models.CharField(max_length=80)),
                ("detail", models.JSONField(blank=True, default=dict)),
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
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="Fingerprint",
            fields=[
                (
                    "film",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="fingerprint",
                        serialize=False,
                        to="diagnosis.film",
                    ),
                ),
                ("value", models.BinaryField(max_length=32)),
            ],
        ),
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
            name="Evaluation",
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
                            ("running", "Running"),
                            ("succeeded", "Done"),
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
                ("finished_at", models.DateTimeField(null=True)),
                ("candidate_threshold", models.FloatField(null=True)),
                ("production_threshold", models.FloatField(null=True)),
                ("figures", models.JSONField(blank=True, default=dict)),
                ("failure", models.CharField(blank=True, max_length=500)),
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
                    "candidate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evaluations",
                        to="diagnosis.modelversion",
                    ),
                ),
                (
                    "production",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.modelversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["queued", "running", "succeeded", "failed"])),
                        name="evaluation_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lease_token__isnull", False),
                                ("lease_until__isnull", False),
                                ("state", "running"),
                            ),
                            models.Q(
                                models.Q(("state", "running"), _negated=True),
                                ("lease_token__isnull", True),
                                ("lease_until__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="only_a_running_evaluation_is_leased",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("candidate", models.F("production")), _negated=True),
                        name="an_evaluation_compares_two_versions",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=("candidate",),
                        name="one_open_evaluation_a_candidate",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="NearIdentical",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("base_patient", models.CharField(blank=True, max_length=200)),
                ("base_file", models.CharField(blank=True, max_length=300)),
                (
                    "bits",
                    models.PositiveSmallIntegerField(verbose_name="bits of the fingerprints that differ"),
                ),
                ("found_at", models.DateTimeField(auto_now_add=True)),
                (
                    "film",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="diagnosis.film"
                    ),
                ),
                (
                    "other",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.film",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "near-identical films",
                "ordering": ["bits", "-pk"],
                "constraints": [
                    models.UniqueConstraint(fields=("film", "other"), name="one_suspicion_a_pair"),
                    models.UniqueConstraint(
                        condition=models.Q(("other__isnull", True)),
                        fields=("film", "base_file"),
                        name="one_suspicion_a_base_film",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("base_file", ""), ("other__gt", models.F("film"))),
                            models.Q(("other__isnull", True), models.Q(("base_file", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="suspicion_is_of_two_films",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Outcome",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "diagnosis",
                    models.CharField(
                        choices=[
                            ("pneumonia", "Pneumonia"),
                            ("normal", "Normal"),
                            ("other", "Something else"),
                        ],
                        max_length=10,
                        verbose_name="final diagnosis",
                    ),
                ),
                ("source", models.CharField(max_length=120)),
                ("known_on", models.DateField(verbose_name="known since")),
                ("remark", models.CharField(blank=True, max_length=500)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "film",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outcomes",
                        to="diagnosis.film",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("diagnosis__in", ["pneumonia", "normal", "other"])),
                        name="outcome_diagnosis_is_known",
                    )
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
                "indexes": [
                    models.Index(fields=["clinic", "name", "mrn"], name="patient_search"),
                    models.Index(fields=["name", "mrn"], name="patient_search_everywhere"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("clinic"),
                        django.db.models.functions.text.Lower("mrn"),
                        name="one_patient_a_number_in_a_clinic",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sex__in", ["F", "M", "O", "U"])),
                        name="patient_sex_is_known_code",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Listed",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "row",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="listed",
                        to="diagnosis.accesslog",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.patient",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("patient", "row"), name="a_list_shows_a_patient_once")
                ],
            },
        ),
        migrations.AddField(
            model_name="film",
            name="patient",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="films", to="diagnosis.patient"
            ),
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.UUIDField(default=uuid.uuid4, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "touched_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="last file or answer"
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("taken_on", models.DateField(verbose_name="date taken, where a file does not say")),
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
                ("manifest", models.JSONField(blank=True, default=dict)),
                (
                    "skipped",
                    models.PositiveIntegerField(
                        default=0, verbose_name="files of the computer's own, left aside"
                    ),
                ),
                (
                    "zip_state",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "No zip"),
                            ("receiving", "Being sent"),
                            ("waiting", "Waits to be unpacked"),
                            ("unpacking", "Being unpacked"),
                            ("unpacked", "Unpacked"),
                            ("refused", "Refused"),
                        ],
                        default="",
                        max_length=10,
                    ),
                ),
                ("zip_name", models.CharField(blank=True, max_length=200)),
                ("zip_key", models.CharField(blank=True, max_length=64)),
                ("zip_bytes", models.PositiveBigIntegerField(default=0)),
                ("zip_received", models.PositiveBigIntegerField(default=0)),
                (
                    "zip_parts",
                    models.JSONField(
                        blank=True, default=list, verbose_name="stored parts, in order: name and size"
                    ),
                ),
                ("zip_reason", models.CharField(blank=True, max_length=500)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "clinic",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="batches",
                        to="accounts.clinic",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.patient",
                        verbose_name="chosen patient",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "batches",
                "ordering": ["-pk"],
                "indexes": [models.Index(fields=["clinic", "-created_at"], name="batch_by_clinic")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "zip_state__in",
                                ["", "receiving", "waiting", "unpacking", "unpacked", "refused"],
                            )
                        ),
                        name="batch_zip_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("view__in", ["PA", "AP", ""])), name="batch_view_is_known_code"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lease_token__isnull", False),
                                ("lease_until__isnull", False),
                                ("zip_state", "unpacking"),
                            ),
                            models.Q(
                                models.Q(("zip_state", "unpacking"), _negated=True),
                                ("lease_token__isnull", True),
                                ("lease_until__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="only_a_zip_in_work_is_leased",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("zip_received__lte", models.F("zip_bytes"))),
                        name="no_more_of_a_zip_than_it_has",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Arrival",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "key",
                    models.CharField(max_length=64, verbose_name="hash of path, size and time of change"),
                ),
                (
                    "name",
                    models.CharField(max_length=300, verbose_name="path inside the batch, a label only"),
                ),
                ("size", models.PositiveBigIntegerField()),
                ("member", models.PositiveIntegerField(null=True)),
                (
                    "sha256",
                    models.CharField(blank=True, max_length=64, verbose_name="SHA-256 of the received bytes"),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("expected", "Not here yet"),
                            ("stored", "Taken in"),
                            ("known", "Was here already"),
                            ("refused", "Not taken in"),
                            ("unassigned", "Whose film?"),
                            ("mismatch", "Differs from the patient"),
                        ],
                        default="expected",
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=500)),
                (
                    "offered",
                    models.JSONField(null=True, verbose_name="identity offered by the file or the manifest"),
                ),
                (
                    "differences",
                    models.JSONField(
                        blank=True, default=list, verbose_name="what speaks against the proposed patient"
                    ),
                ),
                (
                    "decoded",
                    models.JSONField(null=True, verbose_name="what was found on decoding, without identity"),
                ),
                ("picture", models.FileField(blank=True, max_length=200, upload_to="")),
                ("preview", models.FileField(blank=True, max_length=200, upload_to="")),
                ("values", models.FileField(blank=True, max_length=200, upload_to="")),
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="arrivals",
                        to="diagnosis.batch",
                    ),
                ),
                (
                    "film",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="arrivals",
                        to="diagnosis.film",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.patient",
                        verbose_name="proposed patient",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "indexes": [models.Index(fields=["batch", "state"], name="arrival_by_state")],
                "constraints": [
                    models.UniqueConstraint(fields=("batch", "key"), name="one_arrival_a_file_of_a_batch"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                ["expected", "stored", "known", "refused", "unassigned", "mismatch"],
                            )
                        ),
                        name="arrival_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("film__isnull", False), ("state__in", ["stored", "known"])),
                            models.Q(
                                models.Q(("state__in", ["stored", "known"]), _negated=True),
                                ("film__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="an_arrival_taken_in_has_its_film",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decoded__isnull", False),
                                ("state__in", ["unassigned", "mismatch"]),
                                models.Q(("picture", ""), _negated=True),
                                models.Q(("preview", ""), _negated=True),
                            ),
                            models.Q(
                                models.Q(("state__in", ["unassigned", "mismatch"]), _negated=True),
                                ("decoded__isnull", True),
                                ("offered__isnull", True),
                                ("patient__isnull", True),
                                ("picture", ""),
                                ("preview", ""),
                                ("values", ""),
                            ),
                            _connector="OR",
                        ),
                        name="identity_and_picture_wait_only_for_a_decision",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "refused"), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="a_refusal_says_why",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="accesslog",
            name="patient",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="accesses",
                to="diagnosis.patient",
            ),
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
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "Routine"), (1, "Urgent"), (2, "Stat")], default=0
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
                    "waiting_seconds",
                    models.FloatField(null=True, verbose_name="from the request to a worker, s"),
                ),
                (
                    "reading_seconds",
                    models.FloatField(null=True, verbose_name="from the worker to the end, s"),
                ),
                ("picture_mean", models.FloatField(null=True, verbose_name="mean grey, share of full scale")),
                (
                    "picture_deviation",
                    models.FloatField(null=True, verbose_name="deviation of the greys, share of full scale"),
                ),
                (
                    "picture_sharpness",
                    models.FloatField(null=True, verbose_name="mean absolute Laplacian, greys of 255"),
                ),
                (
                    "known",
                    models.BooleanField(
                        default=False, verbose_name="the version learned, or may have, from the film"
                    ),
                ),
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
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "queued")),
                        fields=["-priority", "queued_at"],
                        name="prediction_queue",
                    ),
                    models.Index(
                        condition=models.Q(("state", "running")),
                        fields=["lease_until"],
                        name="prediction_leases",
                    ),
                    models.Index(fields=["state", "queued_at"], name="prediction_by_state"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("film", "model_version"), name="one_prediction_a_film_and_model"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["queued", "running", "succeeded", "rejected", "failed"])
                        ),
                        name="prediction_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lease_token__isnull", False),
                                ("lease_until__isnull", False),
                                ("state", "running"),
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
                    models.CheckConstraint(
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
                ],
            },
        ),
        migrations.CreateModel(
            name="PromotionRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("checks", models.JSONField(default=list, verbose_name="the rules as they stood")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("requested", "Waits for a second person"),
                            ("approved", "Approved"),
                            ("refused", "Refused"),
                            ("expired", "Expired"),
                        ],
                        default="requested",
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(max_length=400)),
                ("requested_at", models.DateTimeField(auto_now_add=True)),
                ("remark", models.CharField(blank=True, max_length=400)),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "alone",
                    models.BooleanField(default=False, verbose_name="approved by the only member of staff"),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "evaluation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.evaluation",
                    ),
                ),
                (
                    "production",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.modelversion",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="promotion_requests",
                        to="diagnosis.modelversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["requested", "approved", "refused", "expired"])),
                        name="promotion_request_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_by__isnull", True), ("state__in", ["requested", "expired"])),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                                ("state__in", ["approved", "refused"]),
                            ),
                            _connector="OR",
                        ),
                        name="a_decided_request_says_by_whom",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("alone", False), ("state", "approved"), _negated=True),
                            models.Q(("decided_by", models.F("requested_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="nobody_approves_their_own_request",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="a_promotion_request_has_a_reason",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "requested")),
                        fields=("version",),
                        name="one_open_promotion_request",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PromotionRules",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "sensitivity_loss",
                    models.FloatField(
                        default=2,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="sensitivity may fall by at most (%)",
                    ),
                ),
                (
                    "specificity_loss",
                    models.FloatField(
                        default=5,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="specificity may fall by at most (%)",
                    ),
                ),
                (
                    "by_lower_limit",
                    models.BooleanField(
                        default=False,
                        verbose_name="judge by the lower 95 % limit of the difference, not by the difference itself",
                    ),
                ),
                (
                    "patients_each",
                    models.PositiveIntegerField(
                        default=20,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="patients with, and without, pneumonia that a part of the holdout needs, each",
                    ),
                ),
                (
                    "refused_more",
                    models.FloatField(
                        default=2,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="share of holdout films refused by the gate may rise by at most (%)",
                    ),
                ),
                (
                    "receipts",
                    models.PositiveSmallIntegerField(
                        default=8,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(64),
                        ],
                        verbose_name="answers that must come out the same when run again",
                    ),
                ),
                ("reason", models.CharField(max_length=400, verbose_name="why")),
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
            ],
            options={
                "verbose_name_plural": "promotion rules",
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("patients_each__gte", 1),
                            ("receipts__gte", 1),
                            ("refused_more__range", (0, 100)),
                            ("sensitivity_loss__range", (0, 100)),
                            ("specificity_loss__range", (0, 100)),
                        ),
                        name="promotion_rules_are_within_reason",
                    )
                ],
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
                            ("not_frontal", "Not a frontal chest film"),
                        ],
                        max_length=12,
                    ),
                ),
                ("remark", models.CharField(blank=True, max_length=1000)),
                ("region", models.JSONField(blank=True, default=list, verbose_name="where, on the film")),
                (
                    "blind",
                    models.BooleanField(
                        default=False, verbose_name="committed before the model's answer was shown"
                    ),
                ),
                (
                    "second_wanted",
                    models.BooleanField(
                        default=False, verbose_name="a second, independent reading was asked for"
                    ),
                ),
                (
                    "adjudicates",
                    models.BooleanField(default=False, verbose_name="decides where two readers differ"),
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
                "indexes": [models.Index(fields=["reviewer", "-at"], name="review_by_reviewer")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("verdict__in", ["normal", "pneumonia", "unreadable", "not_frontal"])
                        ),
                        name="review_verdict_is_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ReviewLoan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("until", models.DateTimeField()),
                (
                    "film",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="loan", to="diagnosis.film"
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ReviewWithdrawal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "review",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawal",
                        to="diagnosis.review",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ShadowRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reason", models.CharField(max_length=400, verbose_name="why")),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_because", models.CharField(blank=True, max_length=200)),
                ("hour_from", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("hour_to", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                (
                    "trouble",
                    models.CharField(blank=True, max_length=400, verbose_name="why it does not get on"),
                ),
                (
                    "ended_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "started_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shadow_runs",
                        to="diagnosis.modelversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("hour_from__isnull", True), ("hour_to__isnull", True)),
                            models.Q(("hour_from__range", (0, 23)), ("hour_to__range", (0, 23))),
                            _connector="OR",
                        ),
                        name="shadow_hours_are_hours",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("version",),
                        name="one_open_shadow_a_version",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ShadowAnswer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "said",
                    models.CharField(
                        choices=[
                            ("NORMAL", "Normal"),
                            ("PNEUMONIA", "Pneumonia"),
                            ("refused", "Refused"),
                            ("unread", "Not readable"),
                        ],
                        max_length=9,
                    ),
                ),
                ("probability", models.FloatField(null=True)),
                ("threshold", models.FloatField(null=True)),
                ("agrees", models.BooleanField(verbose_name="says what was shown")),
                (
                    "known",
                    models.BooleanField(
                        default=False, verbose_name="one of the two learned, or may have, from the film"
                    ),
                ),
                ("receipt", models.JSONField(blank=True, default=dict)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "film",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="diagnosis.film"
                    ),
                ),
                (
                    "shown",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.prediction",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="answers",
                        to="diagnosis.shadowrun",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.UniqueConstraint(fields=("run", "film"), name="one_shadow_answer_a_film_and_run"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("probability__isnull", False), ("said__in", ["NORMAL", "PNEUMONIA"])),
                            models.Q(("probability__isnull", True), ("said__in", ["refused", "unread"])),
                            _connector="OR",
                        ),
                        name="a_shadow_scores_only_what_it_reads",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SplitGroup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "share",
                    models.CharField(
                        choices=[("train", "Training"), ("validation", "Validation"), ("holdout", "Holdout")],
                        max_length=10,
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("share__in", ["train", "validation", "holdout"])),
                        name="split_group_share_is_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SplitEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "base_patient",
                    models.CharField(
                        blank=True,
                        max_length=200,
                        null=True,
                        unique=True,
                        verbose_name="patient of the base folder",
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "patient",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="split_entry",
                        to="diagnosis.patient",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="diagnosis.splitgroup",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "split entries",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("base_patient__isnull", True), ("patient__isnull", False)),
                            models.Q(("base_patient__isnull", False), ("patient__isnull", True)),
                            _connector="OR",
                        ),
                        name="split_entry_is_of_one_patient",
                    )
                ],
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
                (
                    "roll_back",
                    models.BooleanField(default=False, verbose_name="brought back the version before"),
                ),
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
            name="OperatingPoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("threshold", models.FloatField(null=True)),
                ("target_sensitivity", models.FloatField(null=True)),
                ("figures", models.JSONField(blank=True, default=dict, verbose_name="what it was chosen by")),
                ("reason", models.CharField(max_length=400, verbose_name="why")),
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
                        related_name="operating_points",
                        to="diagnosis.modelversion",
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="operating_points",
                        to="diagnosis.stagechange",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("threshold__isnull", True),
                            models.Q(("threshold__gt", 0), ("threshold__lt", 1)),
                            _connector="OR",
                        ),
                        name="an_operating_point_lies_between_0_and_1",
                    )
                ],
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
                "indexes": [models.Index(fields=["patient", "-taken_on"], name="study_by_patient_date")],
                "constraints": [
                    models.UniqueConstraint(fields=("patient", "upload_key"), name="one_study_an_upload"),
                    models.CheckConstraint(
                        condition=models.Q(("view__in", ["PA", "AP", ""])), name="study_view_is_known_code"
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="film",
            name="study",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="films", to="diagnosis.study"
            ),
        ),
        migrations.CreateModel(
            name="TrainingRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("head", "Classifier only"),
                            ("last", "Last stages"),
                            ("whole", "Whole network"),
                        ],
                        max_length=5,
                    ),
                ),
                ("architecture", models.CharField(max_length=40)),
                ("epochs", models.PositiveSmallIntegerField()),
                ("seed", models.PositiveIntegerField(default=1)),
                ("reason", models.CharField(max_length=400)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Waiting"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("manifest", models.FileField(blank=True, max_length=200, upload_to="")),
                ("manifest_sha256", models.CharField(blank=True, max_length=64)),
                ("data", models.JSONField(blank=True, default=dict, verbose_name="films by class and share")),
                ("progress", models.JSONField(blank=True, default=dict)),
                ("log", models.JSONField(blank=True, default=list, verbose_name="what happened, with times")),
                (
                    "disagreements",
                    models.JSONField(
                        blank=True, default=list, verbose_name="films whose label the candidate doubts"
                    ),
                ),
                ("failure", models.CharField(blank=True, max_length=1000)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "cancelled_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "initial",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="children",
                        to="diagnosis.modelversion",
                        verbose_name="version that it starts from; none: from scratch",
                    ),
                ),
                (
                    "version",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="run",
                        to="diagnosis.modelversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["queued", "running", "succeeded", "failed", "cancelled"])
                        ),
                        name="training_run_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("mode__in", ["head", "last", "whole"])),
                        name="training_mode_is_known",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")),
                        fields=("state",),
                        name="one_training_run_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lease_token__isnull", False),
                                ("lease_until__isnull", False),
                                ("state", "running"),
                            ),
                            models.Q(
                                models.Q(("state", "running"), _negated=True),
                                ("lease_token__isnull", True),
                                ("lease_until__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="only_a_running_training_is_leased",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "succeeded"), ("version__isnull", False)),
                            models.Q(
                                models.Q(("state", "succeeded"), _negated=True), ("version__isnull", True)
                            ),
                            _connector="OR",
                        ),
                        name="a_version_comes_only_of_success",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("mode", "whole"), ("initial__isnull", False), _connector="OR"),
                        name="a_part_is_trained_of_a_version",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WorklistRow",
            fields=[
                (
                    "film",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="worklist_row",
                        serialize=False,
                        to="diagnosis.film",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting for the model"),
                            ("answered", "Answered"),
                            ("unanswered", "Not answered"),
                        ],
                        max_length=10,
                    ),
                ),
                ("label", models.CharField(blank=True, max_length=9)),
                (
                    "priority",
                    models.PositiveSmallIntegerField(choices=[(0, "Routine"), (1, "Urgent"), (2, "Stat")]),
                ),
                (
                    "reading",
                    models.CharField(
                        choices=[
                            ("open", "Not reviewed"),
                            ("second", "Waits for a second reader"),
                            ("differ", "Readers differ"),
                            ("done", "Reviewed"),
                        ],
                        max_length=6,
                    ),
                ),
                ("todo", models.BooleanField(verbose_name="a reading is still to come")),
                (
                    "disputed",
                    models.BooleanField(verbose_name="a reader contradicts the model or another reader"),
                ),
                ("requested_at", models.DateTimeField()),
                (
                    "suspicion",
                    models.FloatField(
                        verbose_name="0 to 1; 0.5 is the threshold, and where there is no answer"
                    ),
                ),
                (
                    "doubt",
                    models.FloatField(
                        verbose_name="how far the suspicion is from 0.5; 1 where there is no answer"
                    ),
                ),
                ("urgency", models.FloatField(verbose_name="priority, then suspicion, in one number")),
                ("draw", models.FloatField(verbose_name="place in a random order that nobody can choose")),
                (
                    "assigned_to",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "clinic",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.clinic",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="diagnosis.patient"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["clinic", "-urgency", "-film"], name="worklist_urgency"),
                    models.Index(fields=["clinic", "-suspicion", "-film"], name="worklist_suspicion"),
                    models.Index(fields=["clinic", "-requested_at", "-film"], name="worklist_age"),
                    models.Index(
                        fields=["clinic", "-priority", "requested_at", "film"], name="worklist_blind"
                    ),
                    models.Index(fields=["clinic", "todo", "-urgency", "-film"], name="worklist_todo"),
                    models.Index(
                        fields=["clinic", "todo", "-suspicion", "-film"], name="worklist_todo_suspicion"
                    ),
                    models.Index(
                        fields=["clinic", "todo", "-requested_at", "-film"], name="worklist_todo_age"
                    ),
                    models.Index(
                        fields=["clinic", "todo", "-priority", "requested_at", "film"],
                        name="worklist_todo_blind",
                    ),
                    models.Index(fields=["clinic", "state", "todo"], name="worklist_state"),
                    models.Index(fields=["clinic", "label", "todo"], name="worklist_label"),
                    models.Index(fields=["clinic", "assigned_to", "todo"], name="worklist_assigned"),
                    models.Index(
                        fields=["clinic", "reading", "state", "-priority", "requested_at", "film"],
                        name="queue_oldest",
                    ),
                    models.Index(
                        fields=["clinic", "reading", "state", "doubt", "film"], name="queue_uncertain"
                    ),
                    models.Index(fields=["clinic", "reading", "state", "draw", "film"], name="queue_sample"),
                    models.Index(
                        fields=["clinic", "disputed", "requested_at", "film"], name="queue_disputed"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["waiting", "answered", "unanswered"])),
                        name="worklist_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reading__in", ["open", "second", "differ", "done"])),
                        name="worklist_reading_is_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="EvaluationFilm",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "part",
                    models.CharField(
                        choices=[
                            ("reviewed", "Reviewed films"),
                            ("base", "Base folder"),
                            ("corrected", "Corrected before, outside the holdout"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "name",
                    models.CharField(blank=True, max_length=300, verbose_name="path in the base folder"),
                ),
                ("patient", models.CharField(max_length=120)),
                (
                    "label",
                    models.CharField(
                        choices=[("NORMAL", "Normal"), ("PNEUMONIA", "Pneumonia")], max_length=9
                    ),
                ),
                (
                    "corrected",
                    models.BooleanField(
                        default=False, verbose_name="a reviewer had corrected an answer to it"
                    ),
                ),
                (
                    "candidate_said",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("NORMAL", "Normal"),
                            ("PNEUMONIA", "Pneumonia"),
                            ("refused", "Refused"),
                            ("unread", "Not readable"),
                        ],
                        max_length=9,
                    ),
                ),
                ("candidate_probability", models.FloatField(null=True)),
                ("candidate_receipt", models.JSONField(blank=True, default=dict)),
                (
                    "production_said",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("NORMAL", "Normal"),
                            ("PNEUMONIA", "Pneumonia"),
                            ("refused", "Refused"),
                            ("unread", "Not readable"),
                        ],
                        max_length=9,
                    ),
                ),
                ("production_probability", models.FloatField(null=True)),
                (
                    "evaluation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="films",
                        to="diagnosis.evaluation",
                    ),
                ),
                (
                    "film",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.film",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("evaluation", "film"), name="one_place_a_film_in_an_evaluation"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("film__isnull", True),
                                ("part", "base"),
                                models.Q(("name", ""), _negated=True),
                            ),
                            models.Q(("film__isnull", False), ("part__in", ["reviewed", "corrected"])),
                            _connector="OR",
                        ),
                        name="an_evaluations_film_has_one_source",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("label__in", ["NORMAL", "PNEUMONIA"])),
                        name="an_evaluations_film_has_a_label",
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="accesslog",
            index=models.Index(fields=["patient", "-at"], name="access_by_patient"),
        ),
        migrations.AddConstraint(
            model_name="accesslog",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("patient__isnull", False), ("action__in", ["searched", "listed"]), _connector="OR"
                ),
                name="only_searches_and_lists_name_no_patient",
            ),
        ),
        migrations.AddConstraint(
            model_name="film",
            constraint=models.UniqueConstraint(
                fields=("patient", "sha256"), name="one_film_a_picture_of_a_patient"
            ),
        ),
        migrations.AddConstraint(
            model_name="film",
            constraint=models.CheckConstraint(
                condition=models.Q(("priority__in", [0, 1, 2])), name="film_priority_is_known"
            ),
        ),
    ]
