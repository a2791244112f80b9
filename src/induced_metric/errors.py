"""The one exception whose message is meant for the person at the command line, and the first to raise it."""

import sys


class UserError(ValueError):
    """Something was asked that cannot be done; the message is one sentence and says what is possible."""


def check_platform() -> None:
    """Raises UserError on Windows, which lacks what keeps two processes off one study."""
    if sys.platform == "win32":
        raise UserError("Windows is not supported, since it has no fcntl locks; use Linux, macOS or WSL 2")
