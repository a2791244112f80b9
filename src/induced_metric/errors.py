"""The one exception whose message is meant for the person at the command line."""


class UserError(ValueError):
    """Something was asked that cannot be done; the message is one sentence and says what is possible."""
