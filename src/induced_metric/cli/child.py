"""What a child of the supervisor does before it becomes a worker: python child.py <cores> <command> ...

It is a program of its own, since Python code between fork and exec may deadlock where the parent has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of Linux's <sys/prctl.h>


def main() -> None:
    """Becomes the command, on the given cores only, in a state that lasts beyond that."""
    cores, *command = sys.argv[1:]
    # SLURM sends its warning to every process of a job; only the supervisor is to act on it.
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    if sys.platform == "linux":
        # Should the supervisor be killed, its workers stop in order.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
