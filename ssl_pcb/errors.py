"""The one error type whose message is meant for the person at the keyboard."""


class UserError(Exception):
    """A fault that the user caused and can mend.

    The command line prints it as one line and exits with code 2, without a traceback. The message names the
    thing (file, key, label) and the mend. Anything else that is raised is a defect of this software.

    Attributes:
        fault: The same for who asks a service: without mends that take a command line.
    """

    def __init__(self, message: str, *, fault: str | None = None) -> None:
        """Say ``message``; and ``fault``, if it differs."""
        super().__init__(message)
        self.fault = fault or message


class DivergedError(UserError):
    """A training whose loss or scores are no longer numbers."""


class BitDepthError(UserError):
    """An image holds larger values than the stated bit depth: the setting is wrong, not the file."""
