"""What a finetuning under a temperature leaves beside its weights: a picture of how it spreads probabilities."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ssl_pcb.data.samples import Samples
from ssl_pcb.models.layers import TemperedLinear
from ssl_pcb.reports.softening import draw_softening

log = logging.getLogger(__name__)

PICTURE = "temperature.png"
OTHERS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Temperatures to compare with; 1 = the bare logits."""


def picture_softening(layer: nn.Linear, scores: NDArray[np.float64], samples: Samples, folder: Path) -> None:
    """Draw ``folder``/temperature.png, if ``layer`` has a temperature.

    Args:
        layer: The last one of the network.
        scores: (N,) log-odds of Defective of the labelled validation rows, at its temperature.
        samples: The data.
        folder: The run folder.
    """
    if not isinstance(layer, TemperedLinear):
        return
    used = layer.temperature
    others = [each for each in OTHERS if abs(each / used - 1) > 0.1]  # a learned one may lie close by
    labels = samples.labels[samples.rows("val", labelled=True)]
    draw_softening(scores * used, labels, sorted([*others, used]), used, folder / PICTURE)
    log.info("probabilities at the network's temperature, %.3g, and at others: %s", used, folder / PICTURE)
