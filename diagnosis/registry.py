"""Model versions: import, promote, and the way of an artifact to a worker's disk."""

import json
import shutil
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import transaction

from diagnosis.models import ModelVersion, StageChange
from ml import artifact
from pneumoweb.accounts.models import User


class PromotionRefused(Exception):
    """The version cannot go into production; the message says why, in words."""


def production() -> ModelVersion | None:
    """Return the version in production, if there is one."""
    return ModelVersion.objects.filter(stage=ModelVersion.Stage.PRODUCTION).first()


def import_artifact(directory: Path, by: User | None = None, reason: str = "Imported") -> ModelVersion:
    """Register an artifact as a candidate; one that is registered already is returned as it is.

    Raises ml.artifact.ArtifactError if a file of the artifact is missing or is not what the card says.
    """
    artifact.check(directory)
    digest = artifact.artifact_hash(directory)
    known = ModelVersion.objects.filter(artifact_hash=digest).first()
    if known:
        return known
    for path in sorted(p for p in directory.iterdir() if p.is_file()):
        name = _stored(digest, path.name)
        # The version is not registered, so nobody uses this file: it is left over from an import that broke off.
        if default_storage.exists(name):
            default_storage.delete(name)
        with path.open("rb") as file:
            default_storage.save(name, File(file))
    card = json.loads((directory / "card.json").read_text())
    with transaction.atomic():
        version, created = ModelVersion.objects.get_or_create(
            artifact_hash=digest, defaults={"name": card["name"], "card": card}
        )
        if created:
            StageChange.objects.create(version=version, stage=version.stage, by=by, reason=reason)
    return version


def register_shipped() -> None:
    """Register the versions that come with PneumoWeb; on a fresh site the newest goes into production.

    On a site that has a version in production a newer shipped one waits as a candidate: which model reads patients'
    films is for its staff to decide.
    """
    with transaction.atomic():
        fresh = production() is None
        for directory in (*artifact.SHIPPED_BEFORE, artifact.SHIPPED):
            version = import_artifact(directory, reason="Shipped with PneumoWeb")
            if fresh:
                promote(version, by=None, reason="The model shipped with PneumoWeb")


def promote(version: ModelVersion, by: User | None, reason: str) -> ModelVersion:
    """Put a version into production and retire the one before it, in one transaction.

    Raises PromotionRefused where no reason is given, the artifact is damaged or it is in production already.
    """
    if not reason.strip():
        raise PromotionRefused("Say why this version goes into production.")
    try:
        local_artifact(version)
    except (artifact.ArtifactError, OSError) as error:
        raise PromotionRefused(f"The artifact of {version} is not whole: {error}") from error
    stages = ModelVersion.Stage
    with transaction.atomic():
        current = ModelVersion.objects.select_for_update().filter(stage=stages.PRODUCTION).first()
        if current == version:
            raise PromotionRefused(f"{version} is in production already.")
        if current:
            ModelVersion.objects.filter(pk=current.pk).update(stage=stages.RETIRED)
            StageChange.objects.create(
                version=current, stage=stages.RETIRED, by=by, reason=f"Replaced by {version}: {reason}"[:500]
            )
        ModelVersion.objects.filter(pk=version.pk).update(stage=stages.PRODUCTION)
        StageChange.objects.create(version=version, stage=stages.PRODUCTION, by=by, reason=reason[:500])
    version.refresh_from_db()
    return version


def local_artifact(version: ModelVersion) -> Path:
    """Return a folder on this host's disk that holds the version's artifact, checked against its hashes."""
    if isinstance(default_storage, FileSystemStorage):
        directory = Path(default_storage.path(_stored(version.artifact_hash)))
    else:
        directory = settings.MODEL_CACHE_DIR / version.artifact_hash
        if not directory.is_dir():
            _fetch(version, directory)
    artifact.check(directory)
    if artifact.artifact_hash(directory) != version.artifact_hash:
        raise artifact.ArtifactError(f"The card of {version} is not the one that was registered.")
    return directory


def _fetch(version: ModelVersion, directory: Path) -> None:
    """Copy an artifact from the storage; the folder gets its name only when it is whole."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".partial-"))
    _, names = default_storage.listdir(_stored(version.artifact_hash))
    for name in names:
        stored = _stored(version.artifact_hash, name)
        with default_storage.open(stored) as source, (partial / name).open("wb") as target:
            shutil.copyfileobj(source, target)
    try:
        partial.rename(directory)
    except OSError:
        # Another process was first; its copy is checked by the caller like this one.
        shutil.rmtree(partial)


def stored_file(version: ModelVersion, name: str) -> str:
    """Return the name, in the storage, of one file of the version's artifact."""
    return _stored(version.artifact_hash, name)


def _stored(digest: str, name: str = "") -> str:
    return f"models/{digest}/{name}".rstrip("/")
