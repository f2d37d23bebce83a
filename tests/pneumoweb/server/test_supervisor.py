"""`manage.py serve`: what `make run` starts serves, heals, stops and starts again."""

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from diagnosis.management.commands.serve import allowed_hosts
from pneumoweb.server.broker import EmbeddedBroker
from pneumoweb.server.processes import command_of
from pneumoweb.server.supervisor import BOUND, CannotServe, Site, configuration, refuse_busy_port
from tests.support.processes import MANAGE, LiveSite, free_port, start_site, status_of, wait_for


def test_it_serves_heals_stops_and_starts_again(tmp_path: Path) -> None:
    data = tmp_path / "data of the site"
    site = start_site(data, free_port(), WORKERS="1")
    try:
        assert status_of(f"{site.url}healthz") == 200
        assert status_of(f"{site.url}accounts/login/") == 200
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "secret_key").stat().st_mode) == 0o600
        assert stat.S_IMODE((data / "demo_accounts.json").stat().st_mode) == 0o600
        assert all(password in site.output() for _, password in site.accounts.values())
        a_killed_worker_comes_back(site)
        a_second_site_over_the_same_folder_is_refused(site)
        everything = site.processes()
    finally:
        assert site.stop() == 0, site.output()
    assert site.output().rstrip().endswith("Stopped.")
    assert len(everything) >= 6
    assert left(everything) == {}

    key, accounts = (data / "secret_key").read_text(), site.accounts
    again = start_site(data, free_port(), WORKERS="1")
    everything = again.processes()
    try:
        assert status_of(f"{again.url}healthz") == 200
        assert ((data / "secret_key").read_text(), again.accounts) == (key, accounts)
        (supervisor,) = again.find("supervisor.supervisord")
        os.kill(supervisor, signal.SIGKILL)
        assert again.child.process.wait(30) == 1
    finally:
        again.child.end()
    wait_for(lambda: not left(everything), 40)
    assert status_of(f"{again.url}healthz") == 0


def a_killed_worker_comes_back(site: LiveSite) -> None:
    worker = site.find("celery", "--queues inference")
    for pid in worker:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not left(dict.fromkeys(worker, "celery")), 10)
    wait_for(lambda: len(set(site.find("celery", "--queues inference")) - set(worker)) >= 2, 30)


def a_second_site_over_the_same_folder_is_refused(site: LiveSite) -> None:
    variables = {**os.environ, "DATA_DIR": str(site.data), "PORT": str(free_port())}
    second = subprocess.run(
        [sys.executable, MANAGE, "serve"], env=variables, capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert "already runs with the data folder" in second.stderr


def left(processes: dict[int, str]) -> dict[int, str]:
    """Return those of the processes that still run under the same command."""
    return {
        pid: command for pid, words in processes.items() if (command := command_of(pid)) and words in command
    }


def test_a_busy_port_is_a_clear_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        variables = {**os.environ, "DATA_DIR": "relative", "PORT": str(port)}
        done = subprocess.run(
            [sys.executable, MANAGE, "serve"],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert f"PORT={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "relative" / "secret_key").is_file()


def test_a_free_port_is_not_refused(tmp_path: Path) -> None:
    refuse_busy_port(Site(tmp_path, tmp_path, port=free_port()))
    with pytest.raises(CannotServe, match="nowhere"):
        refuse_busy_port(Site(tmp_path, tmp_path, host="nowhere.invalid", port=free_port()))


def test_programs_start_after_the_broker_and_stop_before_it(tmp_path: Path) -> None:
    redis = EmbeddedBroker(tmp_path, Path("/usr/bin/redis-server"))
    assert list(Site(tmp_path, tmp_path, broker=redis).programs()) == [
        "broker",
        "worker",
        "training",
        "reconcile",
        "web",
    ]
    assert next(iter(Site(tmp_path, tmp_path, broker=EmbeddedBroker(tmp_path)).programs())) == "worker"


def test_a_percent_sign_in_a_path_reaches_the_supervisor(tmp_path: Path) -> None:
    assert f"childlogdir = {tmp_path}/100%%/logs" in configuration(Site(tmp_path, tmp_path / "100%"))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/"),
        ("0.0.0.0", "http://127.0.0.1:8000/"),
        ("::1", "http://[::1]:8000/"),
        ("::", "http://[::1]:8000/"),
        ("xray.example", "http://xray.example:8000/"),
    ],
)
def test_the_address_can_be_opened(host: str, address: str, tmp_path: Path) -> None:
    assert Site(tmp_path, tmp_path, host=host).address == address


def test_an_open_host_is_answered_under_the_machines_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLOWED_HOSTS", raising=False)
    assert socket.gethostname() in allowed_hosts("0.0.0.0")
    assert "192.0.2.7" in allowed_hosts("192.0.2.7")
    assert socket.gethostname() not in allowed_hosts("127.0.0.1")
    monkeypatch.setenv("ALLOWED_HOSTS", "xray.example")
    assert socket.gethostname() not in allowed_hosts("0.0.0.0")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has gone")
def test_a_bound_process_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-I', {str(BOUND)!r}, 'sleep', '61'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        wait_for(lambda: command_of(child) == "sleep 61", 10)
        parent.kill()
    wait_for(lambda: command_of(child) == "", 10)


def test_the_demo_can_be_left_out(tmp_path: Path) -> None:
    site = start_site(tmp_path / "data", free_port(), DEMO="0", WORKERS="1", EMBEDDED_BROKER="sqlalchemy")
    try:
        assert "Demo accounts" not in site.output()
        assert not (site.data / "demo_accounts.json").exists()
        assert status_of(f"{site.url}healthz") == 200
    finally:
        assert site.stop() == 0


DEMO_PREDICTIONS = """
    FROM diagnosis_prediction
    JOIN diagnosis_film ON diagnosis_film.id = film_id
    JOIN diagnosis_study ON diagnosis_study.id = study_id
    WHERE diagnosis_study.note LIKE 'Demo: synthetic film%'
"""


def test_the_demo_is_answered_by_the_worker(live_site: LiveSite) -> None:
    with closing(sqlite3.connect(f"file:{live_site.data}/db.sqlite3?mode=ro", uri=True)) as database:

        def values(column: str) -> set[str]:
            return {value for (value,) in database.execute(f"SELECT DISTINCT {column} {DEMO_PREDICTIONS}")}

        wait_for(lambda: not {"queued", "running"} & values("state"), 60)
        assert values("state") == {"succeeded"}
        assert values("label") == {"NORMAL", "PNEUMONIA"}
