"""Probabilities at another share of defects than that of the samples they were fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.decision.bounds import checked_rate


@dataclass(frozen=True)
class AtRate:
    """Probabilities of Defective, and the rate of defects at which they hold.

    Boards in the field have fewer defects than validation samples, and the odds shift by the ratio of the odds of the
    two rates (Elkan 2001; Saerens et al. 2002). What they are shifted from travels with them, so that correcting twice
    comes to correcting once. The rate is of the same unit as the samples: tiles, if these are tiles.

    Attributes:
        values: (N,) in [0, 1].
        rate: Share of Defective among such samples.
    """

    values: NDArray[np.float64]
    rate: float

    def at(self, rate: float) -> AtRate:
        """The same where a share ``rate`` is Defective.

        Raises:
            UserError: If that is not strictly between 0 and 1.
        """
        checked_rate("--defect-rate", rate)
        ratio = rate / (1 - rate) * (1 - self.rate) / self.rate
        shifted = self.values * ratio
        return AtRate(shifted / (shifted + (1 - self.values)), rate)
