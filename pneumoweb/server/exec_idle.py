"""Run a command in the time that all others leave over: `python -I exec_idle.py COMMAND ARGUMENT…`.

A nice value alone is not enough on Linux: where autogroups are on, or each service has a control group, it counts only
among the processes of one session or group, and a training run of another session would get half of a core. So the
command also gets a session of its own with the least weight (sched(7), "The autogroup feature"), and the policy
SCHED_IDLE, at which it gives way at once to whoever wakes up. None of it needs a privilege.

Started by path and isolated like exec_with_parent.py: it becomes the command within 20 ms.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

LEAST = 19

if __name__ == "__main__":
    os.nice(LEAST)
    if sys.platform == "linux":
        os.setsid()
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        # A kernel without autogroups has no such file, and one with them takes a few changes a second at most: then
        # the policy has to do.
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(LEAST))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - replaces itself by the command that the worker names
