"""One site on several hosts: what they share comes from settings alone, and nothing stays on one of them."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connection

from diagnosis.management.commands.serve import one_host_at_a_time
from ml.artifact import folder
from tests.support.processes import MANAGE, Broker, begin_site, free_port, start_site, status_of, wait_for
from tests.support.s3_service import Service


def test_one_host_serves_and_another_reads(bucket: Service, broker: Broker, tmp_path: Path) -> None:
    """Both hosts are on this machine, with data folders of their own; the database is the one file that they share."""
    database = tmp_path / "shared.sqlite3"
    shared: dict[str, Any] = {
        "DATABASE_URL": f"sqlite:///{database}",
        "BROKER_URL": broker.broker.url,
        "SECRET_KEY": "shared-by-the-hosts-of-one-test-and-by-nobody-else",
        "WORKERS": "1",
        **bucket.environment,
    }
    reading = begin_site(tmp_path / "reading", free_port(), PROGRAMS="worker,training", **shared)
    serving = None
    try:
        reading.child.says("Waiting for the database")
        serving = start_site(tmp_path / "serving", free_port(), PROGRAMS="web,reconcile", **shared)
        reading.child.says("This host runs worker and training of the site.")
        assert status_of(f"{serving.url}healthz") == 200
        assert serving.find("celery") == []
        assert reading.find("gunicorn") == reading.find("reconcile") == []

        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as rows:

            def states() -> set[str]:
                return {state for (state,) in rows.execute("SELECT DISTINCT state FROM diagnosis_prediction")}

            wait_for(lambda: states() and not {"queued", "running"} & states(), 90)
            assert "failed" not in states()
            files = [
                name for names in rows.execute("SELECT file, thumbnail FROM diagnosis_film") for name in names
            ]
            files += [
                n for (n,) in rows.execute("SELECT heatmap FROM diagnosis_prediction WHERE heatmap <> ''")
            ]
        assert len(files) > 20
        assert all(default_storage.exists(name) for name in files)
        assert not (serving.data / "files").exists()
        assert not (reading.data / "files").exists()
        # The version travelled through the bucket and was checked here.
        (cached,) = (reading.data / "model-cache").iterdir()
        assert cached.name == folder.artifact_hash(folder.SHIPPED)
    finally:
        stopped = [site.stop() for site in (serving, reading) if site]
    assert stopped == [0, 0]


@pytest.mark.django_db(transaction=True)
def test_hosts_that_start_at_once_prepare_one_after_the_other() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite belongs to one host")
    order: list[str] = []

    def second() -> None:
        with one_host_at_a_time():
            order.append("second")
        connection.close()

    other = threading.Thread(target=second)
    with one_host_at_a_time():
        other.start()
        time.sleep(1)
        order.append("first")
    other.join(20)
    assert order == ["first", "second"]


def test_a_part_of_a_site_that_shares_nothing_is_refused(tmp_path: Path) -> None:
    mine = ("DATABASE_URL", "BROKER_URL", "STORAGE_S3_BUCKET", "SECRET_KEY", "SECRET_KEY_FILE")
    variables = {name: value for name, value in os.environ.items() if name not in mine}
    done = subprocess.run(
        [sys.executable, MANAGE, "serve"],
        env={**variables, "DATA_DIR": str(tmp_path / "data"), "PROGRAMS": "worker", "BROKER_URL": "redis://127.0.0.1:1/0"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "share what is in DATABASE_URL, STORAGE_S3_BUCKET, SECRET_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_there_is_not_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, MANAGE, "serve"],
        env={**os.environ, "DATA_DIR": str(tmp_path / "data"), "PROGRAMS": "web,mail"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "PROGRAMS must be some of worker, training, reconcile, web" in done.stderr


def test_a_bucket_that_is_away_at_the_start_is_said(bucket: Service, tmp_path: Path) -> None:
    bucket.stop()
    data = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, MANAGE, "serve"],
        env={**os.environ, **bucket.environment, "DATA_DIR": str(data), "PORT": str(free_port())},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "The storage of films does not answer. Check the settings STORAGE_S3_" in done.stderr
    assert "Traceback" not in done.stderr
