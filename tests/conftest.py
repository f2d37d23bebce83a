"""Fixtures of all tests: private files, one embedded broker, and the real processes of the site."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.test import Client

from diagnosis.inference import worker
from diagnosis.models import ModelVersion
from diagnosis.registry import versions
from diagnosis.training import attempt
from ml.artifact import folder as artifact_folder
from ml.data import training_films
from ml.images.perceptual_hash import fingerprint
from ml.images.reader import read_radiograph
from pneumoweb.accounts.models import User
from pneumoweb.server.broker import EmbeddedBroker, embedded
from tests.support import s3_service
from tests.support.factories import make_user
from tests.support.processes import ROOT, Broker, Child, LiveSite, environment, free_port, start_site
from tests.support.radiographs import SAMPLES, data_set
from tests.support.training_data import epoch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of one file in one process, and browser tests together in the order written: they share a site."""
    browser = [item for item in items if "e2e" in item.path.parts]
    others = [item for item in items if "e2e" not in item.path.parts]
    for item in others:
        item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))
    for item in browser:
        item.add_marker(pytest.mark.xdist_group("browser"))
    browser.sort(key=lambda item: (str(item.path), item.location[1] or 0))
    items[:] = [*browser, *others]


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the whole test run; the processes that tests start share it."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    data_folder: Path, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """SQLite's test database is a file, so that several processes can open it."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(data_folder / "test.sqlite3")


@pytest.fixture(scope="session")
def embedded_broker(data_folder: Path) -> EmbeddedBroker:
    return embedded(data_folder / "broker", os.environ.get("EMBEDDED_BROKER", "auto"))


@pytest.fixture(scope="session", autouse=True)
def celery_talks_to_the_test_broker(embedded_broker: EmbeddedBroker) -> None:
    """No test reaches the broker of a site that runs on this machine. It is down unless a test starts it."""
    current_app.conf.broker_url = embedded_broker.url


@pytest.fixture(autouse=True)
def private_files(settings: Any, data_folder: Path) -> Path:
    """Let every test store files in the run's data folder, and hash passwords fast."""
    files = data_folder / "files"
    storages = {**settings.STORAGES}
    storages["default"] = {**storages["default"], "OPTIONS": {"location": str(files)}}
    settings.STORAGES = storages
    settings.DATA_DIR = data_folder
    settings.STATIC_ROOT = data_folder / "static"
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return files


@pytest.fixture
def empty_files(private_files: Path) -> Path:
    """A storage without films and heatmaps, for tests that count files."""
    for folder in ("films", "heatmaps"):
        shutil.rmtree(private_files / folder, ignore_errors=True)
    return private_files


@pytest.fixture(scope="session")
def object_storage() -> Iterator[s3_service.Service]:
    """An S3-compatible service that runs as long as the tests do."""
    service = s3_service.Service()
    service.start()
    service.make_bucket()
    yield service
    service.stop()


@pytest.fixture
def bucket(
    private_files: Path, object_storage: s3_service.Service, settings: Any, tmp_path: Path
) -> Iterator[s3_service.Service]:
    """Let the site keep its files in a bucket; a test may stop the service."""
    options = {
        "bucket_name": s3_service.NAME, "endpoint_url": object_storage.address, "region_name": s3_service.REGION,
        "access_key": s3_service.ACCESS_KEY, "secret_key": s3_service.SECRET_KEY, "file_overwrite": False,
    }  # fmt: skip
    bucket = {"BACKEND": "pneumoweb.storage.s3.Bucket", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "default": bucket}
    settings.MODEL_CACHE_DIR = tmp_path / "model-cache"
    object_storage.start()
    yield object_storage
    object_storage.start()


@pytest.fixture
def production(request: pytest.FixtureRequest) -> ModelVersion:
    """The shipped model in production."""
    if not {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue("db")
    version = versions.import_artifact(artifact_folder.SHIPPED)
    return versions.promote(version, by=None, reason="For the tests")


@pytest.fixture
def taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the shipped version had learned from the sample films."""
    prints = [fingerprint(read_radiograph(path)) for path in sorted(SAMPLES.glob("*.png"))]
    monkeypatch.setattr(training_films, "FILE", tmp_path / "known.npz")
    training_films.keep(
        {artifact_folder.load_card(artifact_folder.SHIPPED).data["hash"]: prints}, training_films.FILE
    )
    worker.unload()
    yield
    worker.unload()


@pytest.fixture
def reviewer(client: Client) -> User:
    """A reviewer, who is logged in."""
    user = make_user("reviewer")
    client.force_login(user)
    return user


@pytest.fixture
def broker(embedded_broker: EmbeddedBroker) -> Iterator[Broker]:
    """The embedded broker, empty and running; a test may stop and start it."""
    running = Broker(embedded_broker)
    running.start()
    running.flush()
    yield running
    running.stop()


@pytest.fixture
def start(data_folder: Path) -> Iterator[Callable[..., Child]]:
    """Start real processes of the site over the test's database and files; all end with the test."""
    children: list[Child] = []

    def begin(*command: str, **variables: str) -> Child:
        child = Child(
            command, environment(data_folder, **variables), data_folder / f"child-{len(children)}.log"
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        child.end()


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """A whole site as `make run` starts it, with its own data folder, demo patients and accounts.

    `live_site.url` ends with a slash; `live_site.accounts["clinician"]` is (e-mail address, password).
    """
    site = start_site(tmp_path_factory.mktemp("site"), free_port())
    yield site
    status = site.stop()
    assert status == 0, site.output()


def browser_program() -> str | None:
    """Return the machine's own Chromium, None where Playwright's is to be used."""
    # The first has no windows to draw, and takes a fifth less of the processor for the same pages.
    names = (
        "chromium-headless-shell",
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    )
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Let pytest-playwright use the machine's Chromium; root needs it without its sandbox, as in CI."""
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    program = browser_program()
    return {
        **browser_type_launch_args,
        "args": arguments,
        **({"executable_path": program} if program else {}),
    }


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn films of twelve patients of each class, to train with."""
    return data_set(tmp_path_factory.mktemp("data") / "films", 12)


@pytest.fixture(scope="session")
def other_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn films of eight other patients of each class."""
    return data_set(tmp_path_factory.mktemp("data") / "others", 8)


@pytest.fixture(scope="session")
def drawn(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that learned from `films` for one epoch. Tests change copies of it alone."""
    from ml.train import train  # most tests need no TensorFlow

    out = tmp_path_factory.mktemp("versions") / "drawn"
    train(films, out, epochs=1, seed=5)
    return out


@pytest.fixture(scope="session")
def drawn_of_both(films: Path, other_films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that learned from `films` and `other_films`. Tests change copies of it alone."""
    from ml.train import train
    from ml.training.cohorts import Second

    out = tmp_path_factory.mktemp("versions") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ml.training.sampler.BATCH", 8)
        train(films, out, epochs=1, seed=5, also=Second(other_films))
    return out


@pytest.fixture
def training_of_few(settings: Any, tmp_path: Path) -> None:
    """Runs of training with a handful of films, in a folder of the test's own."""
    settings.TRAINING_DIR = tmp_path / "training"
    settings.TRAINING_MIN_FILMS, settings.TRAINING_MIN_VALIDATION = 3, 2


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A child that trains nothing: it says two epochs and leaves the shipped version as the artifact."""
    commands: list[list[str]] = []

    def run(command: list[str], log: Path, heard: Callable[[Any], None], beat: Callable[[], None]) -> None:
        commands.append(command)
        heard({"stage": "Training"})
        for number in (1, 2):
            heard(epoch(number))
            beat()
        answers = [
            {
                "file": f"{command[0]}/{path.name}",
                "label": "NORMAL",
                "probability": 0.9 if place == 0 else 0.1,
            }
            for place, path in enumerate(sorted(Path(command[0]).glob("*.png")))
        ]
        Path(command[command.index("--answers") + 1]).write_text(json.dumps(answers))
        shutil.copytree(artifact_folder.SHIPPED, command[command.index("--out") + 1])

    monkeypatch.setattr(attempt, "run_child", run)
    return commands
