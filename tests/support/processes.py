"""The site's real processes, started and ended by tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import redis
from django.db import connection

from pneumoweb.server.broker import EmbeddedBroker
from pneumoweb.server.processes import command_of

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
MANAGE = str(ROOT / "manage.py")
WORKER = (
    sys.executable, "-m", "celery", "--app", "pneumoweb", "worker", "--queues", "inference", "--pool", "prefork",
    "--concurrency", "1", "--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat",
)  # fmt: skip
RECONCILE = (sys.executable, MANAGE, "reconcile", "--every", "0.5")


def wait_for(what: Callable[[], T], seconds: float = 30.0, every: float = 0.1) -> T:
    """Call `what` until it returns something true, and return that; fail after `seconds`."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        found = what()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"still not so after {seconds} seconds: {what.__doc__ or what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a process that shares the test's database, files and broker."""
    return {
        **os.environ,
        "DATA_DIR": str(data),
        "DATABASE_URL": database_url(),
        "SECRET_KEY": "only-for-the-processes-of-one-test-run",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **variables,
    }


def database_url() -> str:
    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    person = quote(facts["USER"]) + (f":{quote(facts['PASSWORD'])}" if facts["PASSWORD"] else "")
    return f"postgres://{person}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"


class Child:
    """A process in a group of its own, with its output in a file."""

    def __init__(self, command: Sequence[str], variables: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, words: str, seconds: float = 60.0) -> None:
        """Wait until the output holds `words`."""
        stop = time.monotonic() + seconds
        while words not in self.output():
            if time.monotonic() > stop or self.process.poll() is not None:
                raise AssertionError(f"never said {words!r}:\n{self.output()}")
            time.sleep(0.1)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Broker:
    """The embedded broker as a process; where it is a file, starting and stopping it does nothing."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker = broker
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.broker.socket))

    def start(self) -> None:
        self.broker.prepare()
        command = self.broker.command()
        if command:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            wait_for(self.answers, 10)

    def answers(self) -> bool:
        """The broker answers."""
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def flush(self) -> None:
        if self.process:
            self.client.flushall()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


@dataclass
class LiveSite:
    """A running `manage.py serve`."""

    child: Child
    url: str
    data: Path

    @property
    def accounts(self) -> dict[str, tuple[str, str]]:
        """E-mail address and password of each demo account, by the part before the @."""
        passwords: dict[str, str] = json.loads((self.data / "demo_accounts.json").read_text())
        return {email.split("@")[0]: (email, password) for email, password in passwords.items()}

    def output(self) -> str:
        return self.child.output()

    def processes(self) -> dict[int, str]:
        """Return the command line of each process below the site, by its number."""
        return {pid: command_of(pid) for pid in descendants(self.child.process.pid)}

    def find(self, *words: str) -> list[int]:
        return [pid for pid, command in self.processes().items() if all(word in command for word in words)]

    def stop(self, seconds: float = 60.0) -> int:
        """Ask it to stop, and return its exit status."""
        if self.child.process.poll() is None:
            self.child.process.send_signal(signal.SIGTERM)
        return self.child.process.wait(seconds)


def descendants(pid: int) -> list[int]:
    """Return the numbers of all processes below `pid` (Linux)."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "pid (name) state parent …", and a name may hold spaces and brackets.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def start_site(data: Path, port: int, seconds: float = 120.0, **variables: str) -> LiveSite:
    """Start the whole site as `make run` does and wait until it says that it serves."""
    site = begin_site(data, port, **variables)
    try:
        site.child.says("Press Ctrl-C to stop.", seconds)
    except AssertionError:
        site.child.end()
        raise
    return site


def begin_site(data: Path, port: int, **variables: str) -> LiveSite:
    """Start the site, or one host's part of it, and wait for nothing."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")}
    child = Child(
        (sys.executable, MANAGE, "serve"),
        {**kept, "DATA_DIR": str(data), "PORT": str(port), "HOST": "127.0.0.1", **variables},
        data.with_name(f"{data.name}-{port}.log"),
    )
    return LiveSite(child, f"http://127.0.0.1:{port}/", data)


def status_of(url: str) -> int:
    """Return the HTTP status of `url`, 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
