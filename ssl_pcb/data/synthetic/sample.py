"""One synthetic image, its clean twin, and the exact truth about the defect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssl_pcb.data.synthetic.camera import expose, prepare, reach
from ssl_pcb.data.synthetic.defects import DEFECT_TYPES, paint_defect
from ssl_pcb.data.synthetic.layers import Layers, etch, look_closer
from ssl_pcb.data.synthetic.layout import draw_layout
from ssl_pcb.data.synthetic.shapes import BoolArray
from ssl_pcb.data.synthetic.site import bounds
from ssl_pcb.data.synthetic.styles import Board, board_style, stream
from ssl_pcb.imaging.orientation import Box

_SECOND_DEFECT = 0.2  # share of the defective images that have two
_LAYOUTS = 120  # places tried for one that has room for the defect


@dataclass(frozen=True)
class SyntheticSample:
    """An image of one place of one board.

    Attributes:
        image: (H, W, C) uint8; C is 1 on binary boards, else 3.
        twin: The same picture without the defect: same board, place, light and noise. Equal to ``image`` on a
            clean sample, and else everywhere outside ``mask`` dilated by ``reach`` pixels.
        mask: (H, W) bool: pixels in which the defect changed the copper, be it in part.
        boxes: Tight boxes of the defects, ``x1 y1 x2 y2`` in pixels, x2 and y2 exclusive.
        types: Their types, in the same order.
        copper: (kH, kW) bool: the copper with the defects, k times finer than the image, k >= 2.
        twin_copper: The same without them.
        reach: Pixels by which the optics carry a change of copper beyond the mask.
        board: The board's style.
    """

    image: NDArray[np.uint8]
    twin: NDArray[np.uint8]
    mask: BoolArray
    boxes: list[Box]
    types: list[str]
    copper: BoolArray
    twin_copper: BoolArray
    reach: int
    board: Board

    @property
    def defective(self) -> bool:
        """Whether the sample shows a defect."""
        return bool(self.types)


def render_sample(
    seed: int,
    board: int,
    index: int,
    *,
    image_size: int = 128,
    zoom: float = 2.0,
    style: str = "mixed",
    defect_rate: float = 0.3,
    type_rates: Mapping[str, float] | None = None,
) -> SyntheticSample:
    """Render image ``index`` of board ``board``; the same arguments give the same sample.

    Every image is designed with a defect, and a toss then decides whether it shows: clean and defective
    images come from the same distribution of places, so that nothing but the defect tells them apart.

    Args:
        seed: Seed of the data set.
        board: Number of the board.
        index: Number of the image of this board.
        image_size: Side of the image in pixels; a larger image shows the same place in more detail.
        zoom: How close the camera is: at 1 the median defect is a tenth of the image's side across, at 2 a fifth.
        style: ``mixed`` (even boards binary, odd ones in colour), ``binary`` or ``colour``.
        defect_rate: Probability that the image is defective.
        type_rates: Relative frequency of each defect type; types left out do not occur. Default: all alike.

    Raises:
        UserError: On an unknown style.
    """
    look = board_style(seed, board, style)
    place, light, toss = (np.random.default_rng(s) for s in stream(seed, board, index + 1).spawn(3))
    shown = bool(toss.random() < defect_rate)
    layers, damaged = _place(look, image_size, zoom, type_rates or dict.fromkeys(DEFECT_TYPES, 1.0), place)
    shot = prepare(look, image_size, light)
    twin = expose(layers, layers.copper, look, shot)
    if not shown:
        damaged = []
    copper = damaged[-1][1] if damaged else layers.copper
    image = expose(layers, copper, look, shot) if damaged else twin.copy()
    stages = [layers.copper, *(state for _, state in damaged)]
    changes = [_reduced(before ^ after, image_size) for before, after in pairwise(stages)]
    return SyntheticSample(
        image=image,
        twin=twin,
        mask=_reduced(copper ^ layers.copper, image_size),
        boxes=[_box(change) for change in changes],
        types=[name for name, _ in damaged],
        copper=copper,
        twin_copper=layers.copper,
        reach=reach(look, image_size),
        board=look,
    )


def _place(
    look: Board, image_size: int, zoom: float, rates: Mapping[str, float], rng: np.random.Generator
) -> tuple[Layers, list[tuple[str, BoolArray]]]:
    """A place with room for a defect, and the copper after the first and, sometimes, a second defect."""
    names = sorted(rates)
    weights = np.array([rates[name] for name in names]) / sum(rates.values())
    wanted = [str(rng.choice(names, p=weights)) for _ in range(1 + int(rng.random() < _SECOND_DEFECT))]
    for _ in range(_LAYOUTS):
        place = look_closer(draw_layout(look.rules, rng), zoom, rng)
        layers = etch(place, look.rules, image_size, zoom, rng)
        damaged = _damage(layers, wanted, rng)
        if damaged:
            return layers, damaged
    raise RuntimeError(f"no place for a '{wanted[0]}' defect in {_LAYOUTS} layouts")


def _damage(layers: Layers, wanted: list[str], rng: np.random.Generator) -> list[tuple[str, BoolArray]]:
    done: list[tuple[str, BoolArray]] = []
    copper, forbidden = layers.copper, layers.silk
    for name in wanted:
        after = paint_defect(name, copper, layers, forbidden, rng)
        if after is None:
            break
        near: BoolArray = ndimage.maximum_filter(copper ^ after, 2 * int(4 * layers.scale) + 1)
        copper, forbidden = after, forbidden | near
        done.append((name, after))
    return done


def _reduced(change: BoolArray, size: int) -> BoolArray:
    parts = change.reshape(size, len(change) // size, size, -1)
    reduced: BoolArray = np.any(parts, axis=(1, 3))
    return reduced


def _box(mask: BoolArray) -> Box:
    x1, y1, x2, y2 = bounds(mask)
    return float(x1), float(y1), float(x2), float(y2)
