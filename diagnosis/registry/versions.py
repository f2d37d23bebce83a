"""Model versions: import, promote, and the way of an artifact to a worker's disk."""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef

from diagnosis.models import Film, ModelVersion, Prediction, SplitGroup, StageChange, TrainingRun
from ml import errors
from ml.artifact import folder
from pneumoweb.accounts.models import User
from pneumoweb.storage.filesystem import StorageAway

log = logging.getLogger(__name__)


class PromotionRefused(Exception):
    """The version cannot go into production; the message says why, in words."""


def production() -> ModelVersion | None:
    """Return the version in production, if there is one."""
    return ModelVersion.objects.filter(stage=ModelVersion.Stage.PRODUCTION).first()


def import_artifact(directory: Path, by: User | None = None, reason: str = "Imported") -> ModelVersion:
    """Register an artifact as a candidate; one that is registered already is returned as it is.

    Raises ml.errors.ArtifactError if a file of the artifact is missing or is not what the card says.
    """
    digest = store(directory)
    return register(directory, digest, by, reason)


def store(directory: Path) -> str:
    """Put an artifact's files into the storage, unless it is registered already; return its hash.

    Raises ml.errors.ArtifactError as `import_artifact` does. Nothing reads the files before `register`.
    """
    folder.check(directory)
    digest = folder.artifact_hash(directory)
    if ModelVersion.objects.filter(artifact_hash=digest).exists():
        return digest
    for path in sorted(p for p in directory.iterdir() if p.is_file()):
        name = _stored(digest, path.name)
        # The version is not registered, so nobody uses this file: it is left over from an import that broke off.
        if default_storage.exists(name):
            default_storage.delete(name)
        with path.open("rb") as file:
            default_storage.save(name, File(file))
    return digest


def register(directory: Path, digest: str, by: User | None, reason: str) -> ModelVersion:
    """Make a stored artifact a candidate; one that is registered already is returned as it is."""
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
        for directory in (*folder.SHIPPED_BEFORE, folder.SHIPPED):
            version = import_artifact(directory, reason="Shipped with PneumoWeb")
            if fresh:
                promote(version, by=None, reason="The model shipped with PneumoWeb")


def promote(version: ModelVersion, by: User | None, reason: str) -> ModelVersion:
    """Put a version into production and retire the one before it, in one transaction.

    Raises PromotionRefused where no reason is given, the artifact is damaged or it is in production already.
    """
    if not reason.strip():
        raise PromotionRefused("Say why this version goes into production.")
    whole(version)
    return switch(version, by, reason)


def switch(version: ModelVersion, by: User | None, reason: str, roll_back: bool = False) -> ModelVersion:
    """The change of stages alone, in one transaction; the caller has looked at the artifact.

    Raises PromotionRefused where the version is in production already.
    """
    stages = ModelVersion.Stage
    with transaction.atomic():
        current = ModelVersion.objects.select_for_update().filter(stage=stages.PRODUCTION).first()
        if current == version:
            raise PromotionRefused(f"{version} is in production already.")
        if current:
            ModelVersion.objects.filter(pk=current.pk).update(stage=stages.RETIRED)
            _hand_over(current, version)
            StageChange.objects.create(
                version=current, stage=stages.RETIRED, by=by, reason=f"Replaced by {version}: {reason}"[:500]
            )
        ModelVersion.objects.filter(pk=version.pk).update(stage=stages.PRODUCTION)
        StageChange.objects.create(
            version=version, stage=stages.PRODUCTION, by=by, reason=reason[:500], roll_back=roll_back
        )
    version.refresh_from_db()
    return version


def whole(version: ModelVersion) -> None:
    """Raise PromotionRefused unless every file of the artifact is there and is what was registered."""
    try:
        local_artifact(version)
    except StorageAway as error:
        raise PromotionRefused(
            f"{error} The artifact of {version} cannot be checked now; try again."
        ) from error
    except (errors.ArtifactError, OSError) as error:
        raise PromotionRefused(f"The artifact of {version} is not whole: {error}") from error


def learned_here(version: ModelVersion) -> bool:
    """Return whether the version came out of a training run of this site, and so may know its films."""
    return TrainingRun.objects.filter(version=version).exists()


def taught_here(version: ModelVersion, films: Iterable[Film]) -> set[int]:
    """Of these films (by key) those from which a training run of this site may have taught the version: they were here
    before it ended, and nothing keeps their patients from teaching."""
    ended = TrainingRun.objects.filter(version=version).values_list("finished_at", flat=True).first()
    if not ended:
        return set()
    teaching = Film.objects.filter(
        pk__in=[film.pk for film in films],
        created_at__lt=ended,
        patient__split_entry__group__share=SplitGroup.Share.TRAIN,
    )
    return set(teaching.values_list("pk", flat=True))


def _hand_over(current: ModelVersion, version: ModelVersion) -> None:
    """Let films that wait be read by the new version: above all a roll back must not let the old one go on.

    Films in a worker's hands keep their version, so that none gets half of each.
    """
    read = Prediction.objects.filter(model_version=version, film=OuterRef("film"))
    waiting = Prediction.objects.queued().filter(~Exists(read), model_version=current)
    waiting.update(model_version=version, attempts=0, failure="")


def local_artifact(version: ModelVersion) -> Path:
    """Return a folder on this host's disk that holds the version's artifact, checked against its hashes."""
    if isinstance(default_storage, FileSystemStorage):
        directory = Path(default_storage.path(_stored(version.artifact_hash)))
    else:
        directory = settings.MODEL_CACHE_DIR / version.artifact_hash
        if directory.is_dir() and not _is_whole(directory):
            shutil.rmtree(directory)
        if not directory.is_dir():
            _fetch(version, directory)
    folder.check(directory)
    if folder.artifact_hash(directory) != version.artifact_hash:
        raise errors.ArtifactError(f"The card of {version} is not the one that was registered.")
    return directory


def _is_whole(directory: Path) -> bool:
    """Return whether a cached copy is still what it was; a damaged one is fetched again."""
    try:
        folder.check(directory)
    except errors.ArtifactError as error:
        log.warning("the cached copy in %s is damaged and is fetched again: %s", directory, error)
        return False
    return True


def _fetch(version: ModelVersion, directory: Path) -> None:
    """Copy an artifact from the storage; the folder gets its name only when it is whole."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".partial-"))
    try:
        _, names = default_storage.listdir(_stored(version.artifact_hash))
        for name in names:
            stored = _stored(version.artifact_hash, name)
            with default_storage.open(stored) as source, (partial / name).open("wb") as target:
                shutil.copyfileobj(source, target)
        try:
            partial.rename(directory)
        except OSError:
            # Another process was first; its copy is checked by the caller like this one.
            if not directory.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def stored_file(version: ModelVersion, name: str) -> str:
    """Return the name, in the storage, of one file of the version's artifact."""
    return _stored(version.artifact_hash, name)


def _stored(digest: str, name: str = "") -> str:
    return f"models/{digest}/{name}".rstrip("/")
