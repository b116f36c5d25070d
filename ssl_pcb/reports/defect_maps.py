"""A picture of painted defects and of where a network suspects them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.reports.sheet import draw_sheet


def draw_defect_maps(
    images: Tensor, golden: Tensor, change: Tensor, suspicion: Tensor, names: Sequence[str], path: Path
) -> None:
    """Draw what the network sees, what was painted there, and what it says of each cell, as a PNG.

    Args:
        images: (B, C, S, S) in [0, 1].
        golden: (B, C or 0, S, S) their golden images, if it sees those too.
        change: (B, 1, S, S) in [0, 1], how far a defect moved each pixel.
        suspicion: (B, h, w) probability of a defect in each cell.
        names: (B,) what was painted on each.
        path: File to write.

    Raises:
        UserError: If the file cannot be written.
    """
    rows = {
        "what the network sees": images,
        **({"their golden images": golden} if golden.shape[1] else {}),
        "what was painted (white: nothing)": 1 - change,
        "where it suspects a defect (white: nowhere), and the probability in its most suspicious cell":
            1 - F.interpolate(suspicion[:, None], images.shape[2:], mode="nearest"),
    }  # fmt: skip
    highest = suspicion.flatten(1).amax(1).tolist()
    draw_sheet(rows, [f"{name}: {value:.2f}" for name, value in zip(names, highest, strict=True)], path)
