"""`manage.py import_model`: register a model version from a folder."""

from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from diagnosis.models import ModelVersion
from diagnosis.promotion import evaluation
from diagnosis.promotion import promote as promotion_promote
from diagnosis.registry import versions
from ml.errors import ArtifactError
from pneumoweb.storage.filesystem import StorageAway


class Command(BaseCommand):
    help = (
        "Register the model version in DIR as a candidate; with --promote, compare it with the version in production "
        "and put it into production if the site's rules are met."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, metavar="DIR", help="folder with card.json and weights")
        parser.add_argument("--promote", action="store_true", help="put it into production; needs --reason")
        parser.add_argument("--reason", default="", help="why, for the record")

    def handle(self, *, dir: Path, promote: bool, reason: str, **options: Any) -> None:
        if promote and not reason.strip():
            raise CommandError("Say with --reason why this version goes into production.")
        try:
            version = versions.import_artifact(dir, reason=reason or "Imported by import_model")
            if promote:
                version = through_the_gate(version, reason)
        except (ArtifactError, versions.PromotionRefused, StorageAway) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{version.name}\t{version.stage}\t{version.artifact_hash}")


def through_the_gate(version: ModelVersion, reason: str) -> ModelVersion:
    """Promote by the rules that hold in the browser; a site's first version has nothing to be compared with.

    Raises PromotionRefused with the rules that are not met.
    """
    if versions.production() is None:
        return versions.promote(version, by=None, reason=reason)
    if version.stage != ModelVersion.Stage.PRODUCTION:
        if promotion_promote.current_evaluation(version) is None:
            evaluation.request(version, by=None)
            while evaluation.work():
                pass
        failed = [c for c in promotion_promote.check(version) if not c.passed]
        if failed:
            told = "\n".join(f"- {c.rule}: {c.figures}" for c in failed)
            raise versions.PromotionRefused(
                f"{version} is registered as a candidate. The site's rules keep it out of production:\n{told}\n"
                "Two members of staff can promote it against them, on its page under Models."
            )
    versions.whole(version)
    return promotion_promote.put_into_production(version, None, reason)
