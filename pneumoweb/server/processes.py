"""Processes that must not outlive their parent, and those that an earlier run left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent(signum: int = signal.SIGKILL) -> None:
    """Ask the kernel for `signum` when the parent ends, however it ends. Only Linux can; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if there is none of that number, or if it is a zombie."""
    if sys.platform == "linux":
        try:
            return (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
                .strip()
            )
        except OSError:
            return ""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - fixed words and a number


def end_leftover(pidfile: Path, mark: str, patience: float = 40.0) -> None:
    """End the process that `pidfile` names, if its command line holds `mark`, and wait until it is gone.

    A process number may have been given to a stranger since; `mark` (a path of ours) tells them apart.
    """
    try:
        pid = int(pidfile.read_text())
    except (OSError, ValueError):
        return
    stop = time.monotonic() + patience
    signum = signal.SIGTERM
    while pid != os.getpid() and mark in command_of(pid):
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return
        if time.monotonic() > stop:
            signum = signal.SIGKILL
        time.sleep(0.1)
