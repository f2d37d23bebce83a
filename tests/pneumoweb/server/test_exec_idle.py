"""A training run leaves the processor to whoever wants it, whatever session the others are in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diagnosis.training.child_process import YIELDING

SAYS = """
import json, os
from pathlib import Path
autogroup = Path("/proc/self/autogroup")
print(json.dumps({
    "nice": os.nice(0), "idle": os.sched_getscheduler(0) == os.SCHED_IDLE, "own": os.getsid(0) == os.getpid(),
    "autogroup": autogroup.read_text().split()[-1] if autogroup.exists() else "",
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sessions share the processor on Linux only")
def test_the_command_has_the_least_weight_in_its_session_and_its_session_among_all() -> None:
    command = [*YIELDING, sys.executable, "-c", SAYS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    grouped = Path("/proc/sys/kernel/sched_autogroup_enabled")
    weight = "19" if grouped.exists() and grouped.read_text().strip() == "1" else said["autogroup"]
    assert said == {"nice": 19, "idle": True, "own": True, "autogroup": weight}
