"""`manage.py import_model`: register a model version from a folder."""

from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from diagnosis import registry
from ml.artifact import ArtifactError


class Command(BaseCommand):
    help = "Register the model version in DIR as a candidate; with --promote, put it into production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, metavar="DIR", help="folder with card.json and weights")
        parser.add_argument("--promote", action="store_true", help="put it into production; needs --reason")
        parser.add_argument("--reason", default="", help="why, for the record")

    def handle(self, *, dir: Path, promote: bool, reason: str, **options: Any) -> None:
        if promote and not reason.strip():
            raise CommandError("Say with --reason why this version goes into production.")
        try:
            version = registry.import_artifact(dir, reason=reason or "Imported by import_model")
            if promote:
                version = registry.promote(version, by=None, reason=reason)
        except (ArtifactError, registry.PromotionRefused) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{version.name}\t{version.stage}\t{version.artifact_hash}")
