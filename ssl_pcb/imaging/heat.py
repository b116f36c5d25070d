"""Heat maps as colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.imaging.orientation import Image8

HEAT = "inferno"
"""Of matplotlib; it rises evenly in lightness, for every kind of colour vision."""


def heat_colours(heat: NDArray[np.floating[Any]]) -> Image8:
    """A heat map (H, W) in [0, 1] as RGBA (H, W, 4): colours that are the less transparent the higher it is."""
    from matplotlib import colormaps  # heat maps are made where networks are trained, not on every line's computer

    shown = np.clip(heat, 0, 1)
    colours = colormaps[HEAT](0.25 + 0.75 * shown)  # its first quarter is as dark as copper in the dark
    colours[..., 3] = 0.85 * shown
    found: Image8 = np.round(255 * colours).astype(np.uint8)
    return found
