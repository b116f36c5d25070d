"""How bad a rate may really be, given how few samples were counted."""

from __future__ import annotations

import math

from ssl_pcb.errors import UserError

LEVEL = 0.95


def upper_bound(errors: int, samples: int, level: float = LEVEL) -> float:
    """One-sided upper bound of an error rate; Clopper and Pearson 1934 (Biometrika 26, 404).

    With no error among n samples it is ``1 - (1 - level) ** (1 / n)``. It takes samples for independent, which tiles
    of one image are not: an interval over source images belongs beside it.

    Args:
        errors: How many were wrong.
        samples: Of how many; of none the bound is 1.
        level: Probability with which the bound holds.

    Raises:
        ValueError: If there are more errors than samples.
    """
    from scipy.stats import beta

    if not 0 <= errors <= samples:
        raise ValueError(f"{errors} errors among {samples} samples")
    if errors == samples:
        return 1.0
    return float(beta.ppf(level, errors + 1, samples - errors))


def samples_needed(limit: float, level: float = LEVEL) -> int:
    """Least number of samples whose bound can be as low as ``limit``: it takes that many without an error.

    Args:
        limit: In (0, 1).
        level: Of the bound.
    """
    needed = math.ceil(math.log(1 - level) / math.log1p(-limit))
    return needed if upper_bound(0, needed, level) <= limit else needed + 1


def checked_rate(name: str, value: float) -> float:
    """``value``, which must lie strictly between 0 and 1.

    Raises:
        UserError: Naming it, if it does not.
    """
    if not 0 < value < 1:
        raise UserError(f"{name}: {value:g} is no share between 0 and 1; 1 % is 0.01")
    return value
