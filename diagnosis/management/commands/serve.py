"""`manage.py serve`: everything that a site on one machine needs, or one host's part of it, in one process tree."""

import fcntl
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from diagnosis import demo
from diagnosis.registry import versions
from pneumoweb.server import supervisor as server_supervisor
from pneumoweb.server.broker import BrokerUnavailable
from pneumoweb.storage.filesystem import StorageAway

PREPARING = 7_041_062
"""Key of the lock under which a host prepares the database; any number that nothing else locks."""


class Command(BaseCommand):
    help = "Prepare the database and start broker, worker and web server; Ctrl-C stops them all."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (or HOST)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port to listen on (or PORT)")

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        hosts = allowed_hosts(host)
        site = server_supervisor.Site(
            base=settings.BASE_DIR,
            data=settings.DATA_DIR,
            host=host,
            port=port,
            workers=settings.WORKERS,
            chosen=settings.PROGRAMS,
            broker=settings.EMBEDDED_BROKER,
            environment={"DATA_DIR": str(settings.DATA_DIR), "ALLOWED_HOSTS": ",".join(hosts), **QUIET},
        )
        try:
            with only_one(site.data):
                self.run(site, hosts)
        except (server_supervisor.CannotServe, BrokerUnavailable) as error:
            raise CommandError(str(error)) from error
        except StorageAway as error:
            where = f"It is {settings.MEDIA_ROOT}."
            if settings.S3_BUCKET:
                where = f"Check the settings STORAGE_S3_… and the service: {error.__cause__}"
            raise CommandError(f"{error} {where}") from error
        except KeyboardInterrupt:
            sys.exit(130)

    def run(self, site: server_supervisor.Site, hosts: list[str]) -> None:
        refuse_alone(site)
        server_supervisor.end_predecessor(site)
        accounts: list[demo.Account] = []
        log_to_file(site.logs)
        if site.has_web:
            server_supervisor.refuse_busy_port(site)
            self.stdout.write("Preparing the database and the pages …")
            with one_host_at_a_time():
                prepare()
                accounts = demo.create() if settings.DEMO else []
        else:
            self.stdout.write("Waiting for the database …")
            self.stdout.flush()
            wait_until_prepared()
        supervisor = server_supervisor.Supervisor(site)
        server_supervisor.stop_on_signals(supervisor)
        if supervisor.wait_until_serving(probe_host(hosts)):
            self.announce(site, hosts, accounts)
        status = supervisor.wait()
        if status:
            raise server_supervisor.CannotServe(
                f"The supervisor ended unasked (status {status}); its log is in {site.logs}."
            )
        self.stdout.write("Stopped.")

    def announce(self, site: server_supervisor.Site, hosts: list[str], accounts: list[demo.Account]) -> None:
        lines = ["", f"PneumoWeb serves at {site.address}"]
        if not site.has_web:
            lines = ["", f"This host runs {' and '.join(site.programs())} of the site."]
        elif host_is_open(site.host):
            lines.append(
                f"  other machines reach it under: {', '.join(hosts)} (set ALLOWED_HOSTS to change this)"
            )
        if accounts:
            width = max(len(account.email) for account in accounts)
            lines += ["", "Demo accounts (invented people, no real patient):"]
            lines += [f"  {a.email:{width}}  {a.password}  {a.role}" for a in accounts]
        lines += ["", f"Data: {site.data}", f"Logs: {site.logs}", "Press Ctrl-C to stop."]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


# TensorFlow greets every process that imports it with several lines; they help nobody here.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}


def prepare() -> None:
    """Bring database, cache table, static files and the shipped model up to date; safe to repeat."""
    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    versions.register_shipped()


@contextmanager
def one_host_at_a_time() -> Iterator[None]:
    """Let hosts that start at the same moment prepare the database one after the other.

    SQLite belongs to one host, and `only_one` holds its folder.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [PREPARING])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [PREPARING])


def refuse_alone(site: server_supervisor.Site) -> None:
    """Raise CannotServe where this host runs a part of a site, but would share nothing with the other hosts."""
    if set(site.chosen) == set(server_supervisor.PROGRAMS):
        return
    needed = ("DATABASE_URL", "BROKER_URL", "STORAGE_S3_BUCKET")
    missing = [name for name in needed if not os.environ.get(name)]
    if not os.environ.get("SECRET_KEY") and not os.environ.get("SECRET_KEY_FILE"):
        missing.append("SECRET_KEY")
    if missing:
        raise server_supervisor.CannotServe(
            f"PROGRAMS={','.join(site.chosen)} makes this one of several hosts of a site. They have to share "
            f"what is in {', '.join(missing)}: set the same on each of them."
        )


def wait_until_prepared(seconds: float = server_supervisor.PATIENCE) -> None:
    """Wait until the host with the web server has brought the database to this release. Raises CannotServe."""
    stop = time.monotonic() + seconds
    while True:
        try:
            executor = MigrationExecutor(connection)
            if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
                return
            trouble = "The database is not of this release yet. Start the host that runs `web` first."
        except OperationalError as error:
            trouble = f"The database does not answer: {error}"
        if time.monotonic() > stop:
            raise server_supervisor.CannotServe(trouble)
        connection.close()
        time.sleep(1)


def log_to_file(folder: Path) -> None:
    """Send this process's log to the log folder: the terminal shows only what the reader needs."""
    folder.mkdir(mode=0o700, exist_ok=True)
    handler = logging.FileHandler(folder / "serve.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().handlers = [handler]


def host_is_open(host: str) -> bool:
    return host not in {"127.0.0.1", "localhost", "::1"}


def allowed_hosts(host: str) -> list[str]:
    """Return the names under which pages are answered: ALLOWED_HOSTS if set, else this machine's own."""
    hosts = list(settings.ALLOWED_HOSTS)
    if os.environ.get("ALLOWED_HOSTS") or not host_is_open(host):
        return hosts
    names = [socket.gethostname(), socket.getfqdn()]
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - a comparison
        names += _outward_address()
    else:
        names.append(f"[{host}]" if ":" in host else host)
    return list(dict.fromkeys(hosts + names))


def _outward_address() -> list[str]:
    """Return the address under which the network knows this machine, if it is on one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; 192.0.2.1 is reserved for documentation (RFC 5737).
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [str(probe.getsockname()[0])]


def probe_host(hosts: list[str]) -> str:
    """Return a Host header that the site answers."""
    first = hosts[0].lstrip(".") if hosts else "localhost"
    return "localhost" if first == "*" else first


class only_one:  # noqa: N801 - reads as a phrase in a with statement
    """Hold the data folder's lock; two sites over one folder would end each other's broker."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "serve.lock"
        self.file: IO[str] | None = None

    def __enter__(self) -> None:
        self.file = self.path.open("w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise server_supervisor.CannotServe(
                f"PneumoWeb already runs with the data folder {self.path.parent}. "
                "Stop it first, or choose another folder: make run DATA_DIR=…"
            ) from error

    def __exit__(self, *_: object) -> None:
        if self.file:
            self.file.close()
