"""The whole site in one place: broker, worker, reconcile loop and web server under one supervisor."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pneumoweb.server.broker import EmbeddedBroker
from pneumoweb.server.processes import end_leftover

BOUND = Path(__file__).with_name("exec_with_parent.py")
PATIENCE = 120.0
PROGRAMS = ("worker", "training", "reconcile", "web")
"""What a site consists of, besides an embedded broker; each host of a site runs some of them."""
CHECKED = {"CELERY_SKIP_CHECKS": "1"}
"""Workers do not run Django's checks, for which they would import every page, and start a second sooner. `reconcile`
runs them."""


class CannotServe(Exception):
    """The site cannot start; the message says why and what to do."""


@dataclass(frozen=True)
class Site:
    """Where the site lives and how much of the machine it takes."""

    base: Path
    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    chosen: Collection[str] = PROGRAMS
    broker: EmbeddedBroker | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def run(self) -> Path:
        return self.data / "run"

    @property
    def bind(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> str:
        """Return the address to open on this machine."""
        here = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104 - a comparison
        return f"http://[{here}]:{self.port}/" if ":" in here else f"http://{here}:{self.port}/"

    def programs(self) -> dict[str, list[str]]:
        """Return the commands to keep running, in the order in which they start; they stop in reverse."""
        python = sys.executable
        programs = {
            "worker": [
                python, "-m", "celery", "--app", "pneumoweb", "worker", "--queues", "inference,zips",
                "--pool", "prefork", "--concurrency", str(self.workers), "--hostname", "inference@%h",
                "--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat",
            ],
            # One at a time, and only in the time that reading films leaves over. "solo": the run is a child of its own.
            "training": [
                "nice", "-n", "19", python, "-m", "celery", "--app", "pneumoweb", "worker",
                "--queues", "training,evaluation,shadow", "--pool", "solo", "--hostname", "training@%h",
                "--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat",
            ],
            "reconcile": [python, str(self.base / "manage.py"), "reconcile", "--every", "5"],
            "web": [
                python, "-m", "gunicorn", "pneumoweb.wsgi", "--bind", self.bind, "--worker-class", "gthread",
                "--workers", "2", "--threads", "8", "--timeout", "60", "--graceful-timeout", "10",
                "--worker-tmp-dir", "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(self.run),  # noqa: S108 - memory, not a shared name
                "--no-control-socket", "--log-level", "warning",
            ],
        }  # fmt: skip
        here = {name: command for name, command in programs.items() if name in self.chosen}
        command = self.broker.command() if self.broker else None
        return {"broker": command, **here} if command else here

    @property
    def has_web(self) -> bool:
        return "web" in self.chosen


def refuse_busy_port(site: Site) -> None:
    """Raise CannotServe if nothing can listen at the site's address."""
    family = socket.AF_INET6 if ":" in site.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((site.host, site.port))
        except (OSError, OverflowError) as error:
            raise CannotServe(
                f"Cannot listen on {site.bind} ({error}). Stop the program that uses this port, "
                f"or choose another one: make run PORT={site.port + 1}"
            ) from error


def end_predecessor(site: Site) -> None:
    """End what an earlier run left behind; only a supervisor that was killed by force leaves anything."""
    end_leftover(site.run / "supervisord.pid", str(configuration_file(site)))


def configuration_file(site: Site) -> Path:
    return site.run / "supervisord.conf"


def configuration(site: Site) -> str:
    """Return supervisord's configuration. Each program is bound to the supervisor, so none can outlive it."""
    sections = [
        "[supervisord]",
        "nodaemon = true",
        "silent = true",
        "umask = 077",
        f"directory = {_escaped(site.base)}",
        f"pidfile = {_escaped(site.run / 'supervisord.pid')}",
        f"logfile = {_escaped(site.logs / 'supervisor.log')}",
        f"childlogdir = {_escaped(site.logs)}",
        "logfile_maxbytes = 5MB",
        "logfile_backups = 2",
    ]
    for rank, (name, command) in enumerate(site.programs().items()):
        sections += [
            "",
            f"[program:{name}]",
            f"command = {_escaped(shlex.join([sys.executable, '-I', str(BOUND), *command]))}",
            f"priority = {rank}",
            "autorestart = true",
            "startsecs = 1",
            "startretries = 1000000",
            # Long enough for a worker to finish the films in its hands and for Redis to write its file.
            "stopwaitsecs = 30",
            "stopasgroup = false",
            "killasgroup = true",
            "redirect_stderr = true",
            f"stdout_logfile = {_escaped(site.logs / name)}.log",
            "stdout_logfile_maxbytes = 10MB",
            "stdout_logfile_backups = 3",
        ]
    return "\n".join(sections) + "\n"


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


class Supervisor:
    """A running site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.stopping = False
        for folder in (site.logs, site.run):
            folder.mkdir(mode=0o700, exist_ok=True)
        if site.broker:
            site.broker.prepare()
        configuration_file(site).write_text(configuration(site))
        # In its own session: Ctrl-C in a terminal reaches this process only, which then stops the others in order.
        command = [
            sys.executable,
            "-m",
            "supervisor.supervisord",
            "--configuration",
            str(configuration_file(site)),
        ]
        self.process = subprocess.Popen(  # noqa: S603 - our own words and paths
            [sys.executable, "-I", str(BOUND), *command],
            cwd=site.base,
            env={**os.environ, **CHECKED, **site.environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self, *_: object) -> None:
        """Stop everything; also a signal handler."""
        self.stopping = True
        if self.process.poll() is None:
            self.process.terminate()

    def wait_until_serving(self, host_header: str) -> bool:
        """Wait for the first healthy answer, or, without a web server here, for the supervisor to have begun.

        Return False if the site was stopped before. Raises CannotServe if the site does not come up.
        """
        request = urllib.request.Request(f"{self.site.address}healthz", headers={"Host": host_header})  # noqa: S310 - our own address
        # No proxy of the environment stands between two processes of one machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        stop = time.monotonic() + PATIENCE
        while time.monotonic() < stop and self.process.poll() is None and not self.stopping:
            if not self.site.has_web:
                if (self.site.run / "supervisord.pid").is_file():
                    return True
                time.sleep(0.1)
                continue
            try:
                with opener.open(request, timeout=5):
                    return True
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        if self.stopping:
            return False
        self.stop()
        self.process.wait()
        raise CannotServe(f"The site did not start. The reason is in {self.site.logs}:\n{self._last_words()}")

    def wait(self) -> int:
        """Wait for the end; return 0 if it was asked for."""
        status = self.process.wait()
        return 0 if self.stopping else status or 1

    def _last_words(self) -> str:
        words = []
        for name in ("supervisor", *self.site.chosen):
            log = self.site.logs / f"{name}.log"
            if log.is_file():
                words += log.read_text(errors="replace").splitlines()[-8:]
        return "\n".join(words)


def stop_on_signals(supervisor: Supervisor) -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal stop everything in order."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, supervisor.stop)
