"""Become another program, tied to one core and to the life of whoever started it. Linux only.

python -m benchmarks.child CORE COMMAND...
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(core: int, command: list[str]) -> None:
    os.sched_setaffinity(0, {core})
    # Should the benchmark itself be killed, nobody else would end this.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
