"""The exception whose message is for the user at the command line, and the check of the platform."""

import sys


class UserError(ValueError):
    """Something was asked that cannot be done; the message is one sentence and says what is possible."""


def check_platform() -> None:
    """Raises UserError on Windows, which has no ``fcntl`` to lock a study with."""
    if sys.platform == "win32":
        raise UserError("Windows is not supported, since it has no fcntl locks; use Linux, macOS or WSL 2")
