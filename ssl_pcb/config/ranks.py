"""Which of several processes this is, by the variables of those that start them."""

import os

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first() -> bool:
    """Whether this process is the only one, or the first of several."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)
