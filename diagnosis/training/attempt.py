"""One attempt at a training run, by the worker that holds its lease: freeze the films, train in a child, register."""

import contextlib
import csv
import errno
import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, OperationalError, close_old_connections, transaction
from django.utils import timezone

from diagnosis.core.leases import FREE, Leases
from diagnosis.datasets import base_folder, manifest
from diagnosis.datasets.manifest import Entry
from diagnosis.models import TrainingRun
from diagnosis.registry import versions
from diagnosis.training.child_process import ChildFailed, ChildStumbled, run_child
from ml.errors import ArtifactError
from ml.metrics.classification import range_of_most
from pneumoweb.storage.filesystem import StorageAway

log = logging.getLogger(__name__)

ATTEMPTS = 3
LEASES = Leases(TrainingRun, lambda: settings.TRAINING_LEASE_SECONDS)
BEAT_EVERY = 1.0
MOST_DISAGREEMENTS = 500
State = TrainingRun.State


class LeaseLost(Exception):
    """Another worker has the run now, or it was ended."""


class Cancelled(Exception):
    """Somebody asked for the end of the run."""


class Stopped(Exception):
    """The worker has to end; the run goes on later."""


class Hopeless(Exception):
    """The run cannot succeed; the message says why."""


def folder_of(run: TrainingRun) -> Path:
    """Where this host keeps what belongs to a run that has not ended."""
    root: Path = settings.TRAINING_DIR
    return root / f"run-{run.pk}"


class Attempt:
    """A run under one lease."""

    def __init__(self, run: TrainingRun, stopping: Callable[[], bool] = lambda: False) -> None:
        self.run, self.stopping = run, stopping
        self.folder = folder_of(run)
        self.out = self.folder / f"{run.architecture}-run{run.pk}"
        self.answers = self.folder / "answers.json"
        self.progress: dict[str, Any] = dict(run.progress)
        self.log: list[dict[str, str]] = list(run.log)
        self.attempts = run.attempts
        self.last_beat = 0.0
        self.lease_ends = time.monotonic() + settings.TRAINING_LEASE_SECONDS

    def go(self) -> bool:
        """Work until the run has ended or has to be given back; every outcome is written down.

        Return False where nothing can be done now because the storage is away; `reconcile` has it tried again.
        """
        try:
            if not self.out.is_dir():
                self._train()
            self._register()
        except LeaseLost:
            log.warning("%s is no longer this worker's", self.run)
        except Cancelled:
            self._end(State.CANCELLED)
        except Stopped:
            self.say("The worker was stopped; the run goes on when it is back.")
            self._give_back(self.attempts - 1)
        except (Hopeless, ChildFailed, manifest.NotEnough, base_folder.BaseUnusable, ArtifactError) as error:
            self._end(
                State.FAILED, f"{error} Nothing was registered; the version in production is as it was."
            )
        except StorageAway as error:
            log.error("%s %s rests: %s", error, self.run, error.__cause__)
            words = f"{error} The run rests, and goes on as soon as it can."
            # Said once, however often it is tried in vain.
            if self.run.log and self.run.log[-1]["words"] == words:
                self.log = list(self.run.log)
            else:
                self.say(words)
            self._give_back(self.attempts - 1)
            return False
        except (ChildStumbled, OSError, DatabaseError) as error:
            self._stumbled(error)
        return True

    def say(self, words: str) -> None:
        self.log.append({"at": timezone.now().isoformat(), "words": words})

    def beat(self, force: bool = True) -> None:
        """Renew the lease and show how far it is. Raises LeaseLost, Cancelled or Stopped."""
        if not force and time.monotonic() - self.last_beat < BEAT_EVERY:
            return
        self.last_beat = time.monotonic()
        try:
            fields = {"progress": self.progress, "log": self.log, "attempts": self.attempts}
            if not LEASES.renew(self.run, **fields):
                raise LeaseLost
            self.lease_ends = time.monotonic() + settings.TRAINING_LEASE_SECONDS
            asked = TrainingRun.objects.values_list("cancelled_by", flat=True).get(pk=self.run.pk)
        except OperationalError as error:
            # A database that is away for some seconds costs no run; the lease says for how long.
            log.warning("no sign of life could be given: %s", error)
            close_old_connections()
            if time.monotonic() > self.lease_ends:
                raise LeaseLost from error
            return
        if asked:
            raise Cancelled
        if self.stopping():
            raise Stopped

    def quick_beat(self) -> None:
        self.beat(force=False)

    # ------------------------------------------------------------ the films

    def _entries(self) -> list[Entry]:
        """The frozen films of the run: of its manifest, which is made if there is none yet."""
        if self.run.manifest:
            with self.run.manifest.open("rb") as file:
                content = file.read()
            if manifest.digest(content) != self.run.manifest_sha256:
                raise Hopeless("The stored manifest is not the one that was frozen.")
            return manifest.from_csv(content)
        self._stage("Freezing the list of films")
        entries, notes = manifest.freeze(self.quick_beat)
        content = manifest.as_csv(entries)
        name = default_storage.save(f"training/{self.run.pk}/manifest.csv", ContentFile(content))
        counts = manifest.counted(entries)
        data = {f"{share} {label}": n for (share, label), n in sorted(counts.items())}
        self.run.manifest.name, self.run.manifest_sha256 = name, manifest.digest(content)
        for note in notes:
            self.say(note)
        self.say(f"{len(entries)} films of {len({entry.patient for entry in entries})} patients are frozen.")
        LEASES.held(self.run).update(manifest=name, manifest_sha256=self.run.manifest_sha256, data=data)
        return entries

    def _lay_out(self, entries: list[Entry]) -> Path:
        """Put the films that teach and judge into a folder with a `labels.csv`, which is written last."""
        films = self.folder / "films"
        if (films / "labels.csv").is_file():
            return films
        films.mkdir(parents=True, exist_ok=True)
        self._stage("Fetching the films")
        rows = []
        for entry in entries:
            if entry.share in manifest.LEARNING:
                age = "" if entry.age_years is None else str(entry.age_years)
                known = [entry.label, entry.patient, age, entry.view, entry.share]
                rows.append([self._fetched(entry, films), *known])
                self.quick_beat()
        with (films / "labels.unfinished").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "label", "patient", "age_years", "view", "split"])
            writer.writerows(rows)
        (films / "labels.unfinished").rename(films / "labels.csv")
        return films

    def _fetched(self, entry: Entry, films: Path) -> str:
        if entry.film is None:
            return str(Path(settings.BASE_DATASET or "") / entry.file)
        name = f"{entry.film}.png"
        try:
            with default_storage.open(entry.file) as source, (films / name).open("wb") as target:
                shutil.copyfileobj(source, target)
        except FileNotFoundError as error:
            raise Hopeless(
                f"Film {entry.film} of the manifest is gone from the storage. Restore it from a backup, or start a "
                "new run, which leaves it out."
            ) from error
        return name

    # ------------------------------------------------------------ the training

    def _train(self) -> None:
        self.beat()
        entries = self._entries()
        films = self._lay_out(entries)
        about, told = self.folder / "about.json", self._about(entries)
        about.write_text(json.dumps(told))
        if (words := told.get("flattered")) and all(line["words"] != words for line in self.log):
            self.say(words)
        command = [
            str(films), "--out", str(self.out), "--architecture", self.run.architecture,
            "--epochs", str(self.run.epochs), "--seed", str(self.run.seed), "--mode", self.run.mode,
            "--about", str(about), "--answers", str(self.answers), "--lines",
        ]  # fmt: skip
        if self.run.initial:
            # Its gate holds: it was made of more films than a site's run has, and never looks at the network.
            command += ["--init", str(versions.local_artifact(self.run.initial)), "--keep-gate"]
        self._stage("Starting")
        run_child(command, self.folder / "child.log", self._heard, self.quick_beat)

    def _heard(self, message: dict[str, Any]) -> None:
        """Take over what the child says of its progress."""
        if "stage" in message:
            self._stage(message["stage"])
            return
        self.progress |= {
            key: message[key] for key in ("epoch", "step", "steps", "loss", "auc", "seconds_left")
        }
        if row := message["finished_epoch"]:
            # A training that began anew on another host says its first epochs again.
            before = [old for old in self.progress.get("epochs", []) if old["epoch"] < message["epoch"]]
            self.progress["epochs"] = [*before, {"epoch": message["epoch"], **row}]
            # Epochs that were finished before are no headway: what dies in one place again is not tried for ever.
            if message["epoch"] > self.progress.get("furthest", 0):
                self.progress["furthest"] = message["epoch"]
                self.attempts = 0
            self.last_beat = 0.0

    def _stage(self, words: str) -> None:
        self.progress["stage"] = words
        self.say(words)
        self.beat()

    def _about(self, entries: list[Entry]) -> dict[str, Any]:
        """What the card is to say of films and population."""
        beside = ", and its base folder" if any(entry.source == "base" for entry in entries) else ""
        data = (
            f"Films of this site whose label people confirmed{beside}; run {self.run.pk}, manifest sha256 "
            f"{self.run.manifest_sha256}."
        )
        if self.run.initial:
            name, parent = self.run.initial.name, self.run.initial.card["population"]
            return {
                "data": f"{data} It started from {name}, whose own films are told in its card.",
                "population": f"That of {name}: {parent['description']} Beside them, this site's patients.",
                "age_years": parent["age_years"],
                "refuse_from_years": parent["refuse_from_years"],
                "evidence": f"Of {name}, before it learned further: {parent['evidence']}",
                "flattered": manifest.known_judges(entries, self.run.initial.card),
            }
        ages = [entry.age_years for entry in entries if entry.age_years is not None]
        return {
            "data": data,
            "population": "This site's patients alone.",
            "age_years": [int(age) for age in range_of_most(ages)] if ages else None,
        }

    # ------------------------------------------------------------ the end

    def _register(self) -> None:
        """Make the finished artifact a candidate, and the run a success, in one transaction."""
        self._stage("Registering the candidate")
        doubted = self._doubted()
        digest = versions.store(self.out)
        self.beat()
        self.say("The candidate is registered.")
        with transaction.atomic():
            version = versions.register(
                self.out, digest, self.run.by, f"Run {self.run.pk}: {self.run.reason}"[:500]
            )
            ended = LEASES.held(self.run).filter(cancelled_by=None).update(
                state=State.SUCCEEDED, version=version, disagreements=doubted, **FREE, **self._ending()
            )  # fmt: skip
            if not ended:
                # Taken back in the last moment: the version goes with the transaction.
                raise Cancelled
        shutil.rmtree(self.folder, ignore_errors=True)

    def _doubted(self) -> list[dict[str, Any]]:
        """Films whose confirmed label the candidate contradicts without having learned from them, the surest first."""
        rows = json.loads(self.answers.read_text())
        found = []
        for row in rows:
            says = "PNEUMONIA" if row["probability"] >= 0.5 else "NORMAL"
            if says != row["label"]:
                path = Path(row["file"])
                ours = path.parent == self.folder / "films"
                what = {"film": int(path.stem)} if ours else {"base": f"{path.parent.name}/{path.name}"}
                found.append({**what, "label": row["label"], "probability": row["probability"]})
        found.sort(key=lambda row: -abs(row["probability"] - 0.5))
        return found[:MOST_DISAGREEMENTS]

    def _stumbled(self, error: Exception) -> None:
        """Something that may pass: try again from the last epoch, unless nothing got on for three attempts."""
        log.exception("%s stumbled", self.run)
        if isinstance(error, DatabaseError):
            close_old_connections()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            self._end(State.FAILED, "The disk of the training worker is full. Free some space and start again. "
                      "Nothing was registered.")  # fmt: skip
        elif self.attempts >= ATTEMPTS:
            self._end(
                State.FAILED, f"It stopped {self.attempts} times without finishing a further epoch; the last time: "
                f"{error} Nothing was registered."
            )  # fmt: skip
        else:
            self.say(f"It stopped ({error}) and goes on from the last finished epoch.")
            self._give_back(self.attempts)

    def _end(self, state: str, failure: str = "") -> None:
        """Write a final state, and leave nothing of the run on the disk."""
        self.say(failure or TrainingRun.State(state).label)
        if LEASES.release(self.run, state, failure=failure[:1000], **self._ending()):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _ending(self) -> dict[str, Any]:
        progress = {**self.progress, "stage": "", "seconds_left": None}
        return { "finished_at": timezone.now(), "log": self.log,
            "progress": progress,
        }  # fmt: skip

    def _give_back(self, attempts: int) -> None:
        with contextlib.suppress(
            OperationalError
        ):  # then the lease runs out, and reconcile takes the run back
            LEASES.requeue(self.run, attempts=max(0, attempts), log=self.log, progress=self.progress)
