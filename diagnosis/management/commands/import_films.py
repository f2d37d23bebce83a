"""`manage.py import_films`: a folder of films, any number of them; it may be killed and started again."""

import re
import sys
import uuid
from argparse import ArgumentTypeError
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.management import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from diagnosis.intake import films as intake_films
from diagnosis.intake.batches import manifest, matching, queries, upload
from diagnosis.intake.batches.filenames import is_left_aside, is_manifest, label
from diagnosis.intake.batches.filing import Sender
from diagnosis.intake.batches.upload import Announced
from diagnosis.models import Arrival, Batch, Patient, Study
from pneumoweb.accounts.models import Clinic, Role, User
from pneumoweb.accounts.roles import roles_of

# Makes a folder's batch from where it lies, so that a second run goes on with the first one's.
FOLDERS = uuid.UUID("0f2c9a55-8f0e-4bb6-8f7b-8a8a4b7f3e21")


class Command(BaseCommand):
    help = (
        "Take in all films below DIR as one batch of a clinic. Whose films they are is said by a manifest "
        "(--manifest, or manifest.csv in DIR), by their names (--patient-pattern), by one patient number, or by the "
        "tags of DICOM files; what stays unclear waits on the batch's page. Start it again after it was stopped: it "
        "goes on with what is missing. "
        "Exit status 0: all films are taken in; 1: some were refused or wait to be assigned; 2: nothing was begun."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, metavar="DIR", help="folder with films, also in folders below")
        parser.add_argument("--clinic", required=True, help="name of the clinic")
        parser.add_argument(
            "--as",
            dest="email",
            help="e-mail address of the user; the clinic's first clinician without it",
        )
        parser.add_argument("--manifest", type=Path, metavar="CSV", help="whose film each file is")
        parser.add_argument("--patient-number", metavar="N", help="all films are of this registered patient")
        parser.add_argument(
            "--patient-pattern",
            type=_pattern,
            metavar="REGEX",
            help="finds the patient number in a file's path below DIR: its first group, or all of it; "
            r"for person7_bacteria_2.jpeg '(person\d+)_'. Patients not known yet are registered under their number",
        )
        parser.add_argument(
            "--taken-on", type=_day, metavar="2026-11-22", help="where a file does not say; today without it"
        )
        parser.add_argument(
            "--view",
            choices=[view for view in Study.View.values if view],
            default="",
            help="where a file does not say",
        )

    def handle(self, **options: Any) -> None:
        folder: Path = options["dir"]
        if not folder.is_dir():
            raise CommandError(f"There is no folder {folder}.", returncode=2)
        paths = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        films = {
            name: path for name, path in paths.items() if not is_left_aside(name) and not is_manifest(name)
        }
        if not films:
            raise CommandError(f"There are no files in {folder}.", returncode=2)
        batch, user = _batch(folder, films, options)
        try:
            self._take_in(batch, films, Sender(user))
        except intake_films.Refused as error:
            raise CommandError(str(error), returncode=2) from error
        except KeyboardInterrupt:
            self.stderr.write("Stopped. What is taken in stays; start it again to go on with the rest.")
            sys.exit(130)
        self._summary(batch)

    def _take_in(self, batch: Batch, films: Mapping[str, Path], sender: Sender) -> None:
        listed = [_announced(name, path) for name, path in films.items()]
        states = upload.announce(batch, listed)
        wanted = [
            (row["key"], films[file.path])
            for file, row in zip(listed, states, strict=True)
            if row["state"] == "wanted"
        ]
        here = len(films) - len(wanted)
        if here:
            self.stderr.write(f"{here} of {len(films)} files are here already.")
        for key, path in tqdm(wanted, total=len(films), initial=here, unit="film"):
            arrival = Arrival.objects.select_related("batch__clinic", "batch__patient").get(
                batch=batch, key=key
            )
            with path.open("rb") as file:
                upload.receive(arrival, File(file, name=path.name), sender)

    def _summary(self, batch: Batch) -> None:
        for arrival in batch.arrivals.refused().order_by("name"):
            self.stderr.write(f"{arrival.name}: {arrival.reason}")
        found = queries.progress(batch)
        self.stdout.write(
            f"{found.total} files: {found.stored} taken in, {found.known} were here already, "
            f"{found.refused} not taken in, {found.undecided} wait to be assigned (batch {batch.pk}, “{batch.name}”)."
        )
        if found.refused or found.undecided or found.expected:
            sys.exit(1)


def _batch(folder: Path, films: Mapping[str, Path], options: Mapping[str, Any]) -> tuple[Batch, User]:
    """Return the folder's batch, made now or by an earlier run, with what this run says of it."""
    clinic = Clinic.objects.filter(name=options["clinic"]).first()
    if clinic is None:
        names = ", ".join(Clinic.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(
            f"There is no clinic “{options['clinic']}”. The clinics are: {names}.", returncode=2
        )
    user = _user(clinic, options["email"])
    said = {
        "patient": _patient(clinic, options["patient_number"]),
        "taken_on": options["taken_on"] or timezone.localdate(),
        "view": options["view"],
        "manifest": _rows(clinic, folder, films, options),
    }
    key = uuid.uuid5(FOLDERS, f"{clinic.pk}\0{folder.resolve()}")
    first = {"clinic": clinic, "by": user, "name": label(folder.resolve().name)[:120], **said}
    batch, _ = Batch.objects.update_or_create(key=key, defaults=said, create_defaults=first)
    return batch, user


def _rows(
    clinic: Clinic, folder: Path, films: Mapping[str, Path], options: Mapping[str, Any]
) -> manifest.Rows:
    """Return what names and manifest say; where both speak of a file, the manifest counts."""
    rows: manifest.Rows = {}
    pattern: re.Pattern[str] | None = options["patient_pattern"]
    if pattern:
        found = {name: pattern.search(Path(name).as_posix()) for name in films}
        rows = manifest.from_numbers({n: (m[1] if pattern.groups else m[0]) for n, m in found.items() if m})
    file: Path = options["manifest"] or folder / "manifest.csv"
    if options["manifest"] or file.is_file():
        try:
            rows |= manifest.read(file.read_bytes(), clinic)
        except (manifest.BadManifest, OSError) as error:
            raise CommandError(f"{file} is not taken: {error}", returncode=2) from error
    return rows


def _user(clinic: Clinic, email: str | None) -> User:
    people = User.objects.filter(is_active=True)
    if email:
        user = people.filter(email__iexact=email).first()
    else:
        user = people.filter(clinic=clinic, groups__name=Role.CLINICIAN).order_by("pk").first()
    if user is None:
        raise CommandError(
            f"There is no active user {email or f'who is a clinician of {clinic}'}.", returncode=2
        )
    if "clinician" not in roles_of(user) or (user.clinic_id != clinic.pk and not user.is_superuser):
        raise CommandError(f"{user} may not take in films for {clinic}.", returncode=2)
    return user


def _patient(clinic: Clinic, number: str | None) -> Patient | None:
    if not number:
        return None
    patient = matching.find(clinic, number)
    if patient is None:
        raise CommandError(
            f"{clinic} has no patient of the number {number}. Register the patient first.", returncode=2
        )
    return patient


def _announced(name: str, path: Path) -> Announced:
    facts = path.stat()
    return Announced(name, facts.st_size, str(facts.st_mtime_ns))


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day as 2026-11-22") from error
