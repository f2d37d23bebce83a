"""Run a command that ends when its parent ends: `python -I exec_with_parent.py COMMAND ARGUMENT…`.

Started by path and isolated, so that the packages around it are not imported: it becomes the command within 20 ms.
"""

import ctypes
import os
import signal
import sys

if __name__ == "__main__":
    if sys.platform == "linux":
        parent = os.getppid()
        # 1 is PR_SET_PDEATHSIG; the kernel keeps it across exec.
        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - replaces itself by the command that the supervisor names
