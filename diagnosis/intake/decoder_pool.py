"""Bytes of a film -> `Decoded`. The only way by which the site reads a file that somebody sent.

Decoders have had holes, and a file of some kilobytes can ask for gigabytes. So each file is decoded in a child
process (`ml.decoder`) with limits of memory and time, which knows neither the database nor any secret. If it dies, the
film is refused in words, and the next one gets a new child.
"""

import atexit
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from django.conf import settings

from ml.images.decoded import Decoded
from ml.images.decoder_protocol import read_message, unpack, write_message
from ml.images.errors import EmptyFile, ImageError

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Children of one process: a film of 50 megapixels takes some hundred megabytes while it is decoded."""


class DecoderDied(ImageError):
    code = "decoder-died"


class _Gone(Exception):
    """The child ended before it had read the film: no fault of the film."""


class _Child:
    """One decoder. It ends when the pipe to it is closed, and so with this process, however that ends.

    The kernel's signal on a parent's death (`pneumoweb.server.exec_with_parent`) would not do: it goes by the
    thread that started the
    child, and the threads that answer requests come and go.
    """

    def __init__(self) -> None:
        command = [
            sys.executable, "-m", "ml.decoder", "--memory-mb", str(settings.DECODER_MEMORY_MB),
            "--seconds", str(settings.DECODER_SECONDS),
        ]  # fmt: skip
        path = os.pathsep.join(filter(None, [str(settings.BASE_DIR), os.environ.get("PYTHONPATH")]))
        # Nothing of our own environment: it holds the site's secrets. One thread each: more only wait for each other.
        environment = {"PATH": os.defpath, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            command, cwd=settings.BASE_DIR, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.last = False
        _widen(self.process)

    @property
    def alive(self) -> bool:
        return not self.last and self.process.poll() is None

    def decode(self, content: bytes) -> Decoded:
        """Raise ImageError, or _Gone if the child was not there any more."""
        too_long = threading.Timer(settings.DECODER_SECONDS + 2, self.process.kill)
        too_long.daemon = True
        too_long.start()
        try:
            head, pictures = self._ask(content)
        finally:
            too_long.cancel()
        self.last = bool(head["last"])
        if "film" in head:
            return unpack(head["film"], pictures)
        if "crash" in head:
            log.error("the decoder could not read a film: %s", head["crash"])
            raise DecoderDied(_DIED)
        refused = ImageError(head["error"])
        refused.code = head["code"]
        raise refused

    def _ask(self, content: bytes) -> tuple[dict[str, Any], list[bytes]]:
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("both are pipes")
        try:
            write_message(stdin, content)
            stdin.flush()
        except BrokenPipeError as error:
            raise _Gone from error
        head = read_message(stdout)
        facts: dict[str, Any] = json.loads(head) if head else {}
        pictures = [read_message(stdout) for _ in range(facts.get("pictures", 0))]
        found = [picture for picture in pictures if picture is not None]
        if not facts or len(found) < len(pictures):
            raise self._died()
        return facts, found

    def _died(self) -> ImageError:
        self.stop()
        status = self.process.returncode
        log.error("a decoder ended with status %s while it read a film", status)
        if status in (-signal.SIGALRM, -signal.SIGXCPU):
            return DecoderDied(_TOO_LONG.format(seconds=settings.DECODER_SECONDS))
        return DecoderDied(_DIED)

    def stop(self) -> None:
        """End the child, wait for it, and close the pipes."""
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    log.debug("the decoder had not read all of its input")
        self.process.wait()


def _widen(process: subprocess.Popen[bytes]) -> None:
    """Let 1 MB at a time through the pipes, where the kernel allows it: 64 KB are hundreds of turns a film."""
    if sys.platform != "linux":
        return
    for stream in (process.stdin, process.stdout):
        try:
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, 2**20)  # type: ignore[arg-type]
        except PermissionError:
            log.debug("pipes stay narrow: this user has too many wide ones")


class _Pool:
    """At most `AT_ONCE` children, started when they are needed, kept for the next film."""

    def __init__(self) -> None:
        self.turns = threading.BoundedSemaphore(AT_ONCE)
        self.lock = threading.Lock()
        self.idle: list[_Child] = []

    def decode(self, content: bytes) -> Decoded:
        with self.turns:
            for _ in range(AT_ONCE + 1):
                try:
                    return self._once(content)
                except _Gone:
                    log.warning("a decoder had ended before it was asked")
        raise DecoderDied(_DIED)

    def _once(self, content: bytes) -> Decoded:
        child = self._take()
        try:
            return child.decode(content)
        finally:
            self._give(child)

    def warm_up(self) -> None:
        with self.lock:
            if not self.idle:
                self.idle.append(_Child())

    def stop(self) -> None:
        with self.lock:
            while self.idle:
                self.idle.pop().stop()

    def _take(self) -> _Child:
        with self.lock:
            while self.idle:
                child = self.idle.pop()
                if child.alive:
                    return child
                child.stop()
        return _Child()

    def _give(self, child: _Child) -> None:
        if not child.alive:
            child.stop()
            return
        with self.lock:
            self.idle.append(child)


_pool = _Pool()


def decode(content: bytes) -> Decoded:
    """Decode one PNG, JPEG or DICOM file. Raises a subclass of `ImageError`, whose text is for the sender."""
    if not content:
        raise EmptyFile("The file is empty; check that it was copied completely and upload it again.")
    return _pool.decode(content)


def warm_up() -> None:
    """Start a decoder if there is none, without waiting for it: somebody is about to send a film."""
    _pool.warm_up()


def stop() -> None:
    """End the idle decoders."""
    _pool.stop()


def _forget() -> None:
    """After a fork the children are the parent's: two processes must not talk to one child."""
    global _pool
    _pool = _Pool()


os.register_at_fork(after_in_child=_forget)
atexit.register(stop)

_DIED = (
    "The film could not be decoded: its decoder broke off, which damaged files and some rare compressions cause. "
    "Nothing was kept; export the film as PNG or JPEG and upload that."
)
_TOO_LONG = (
    "The film could not be decoded within {seconds} seconds. Nothing was kept; export it at a lower resolution, or as "
    "PNG or JPEG, and upload that."
)
