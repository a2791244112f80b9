"""What a child of the supervisor does before it becomes a worker: python child.py <cores> <command> ...

It is a separate program, since Python code between fork and exec may deadlock if the parent has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of Linux's <sys/prctl.h>


def main() -> None:
    """Replaces this process by the command, with settings that survive exec: cores and signals."""
    cores, *command = sys.argv[1:]
    # SLURM sends its warning to every process of a job, but only the supervisor should act on it.
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    if sys.platform == "linux":
        # If the supervisor is killed, its workers stop in an orderly way.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
