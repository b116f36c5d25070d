"""What may speak on the terminal, and other people's text on it."""

import logging
import sys

from ssl_pcb.config.ranks import is_first

STAGES = ("pretrain", "linear-eval", "finetune", "crossval")


def helper_process() -> bool:
    """Whether this is one of several processes of a run, and not the first, which speaks for all.

    Other commands know nothing of processes: started several times, each does its own work.
    """
    return sys.argv[1:2] != [] and sys.argv[1] in STAGES and not is_first()


def printable(text: str) -> str:
    """The text with line breaks and terminal codes, such as a file name may hold, written as escapes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def log_to_stderr() -> None:
    """Leave standard output to a command's rows: what else is said goes to standard error."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)
