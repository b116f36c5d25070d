"""What may speak on the terminal, and other people's text on it."""

import os

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def helper_process() -> bool:
    """Whether this is one of several processes of a run, and not the first, which speaks for all."""
    return any(os.environ.get(name, "0") != "0" for name in RANKS)


def printable(text: str) -> str:
    """The text with line breaks and terminal codes, such as a file name may hold, written as escapes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
