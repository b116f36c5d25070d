"""A classifier as a line uses it: images in, verdicts out. It needs no torch; its network may."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.deploy.facts import ModelFacts
from ssl_pcb.deploy.items import Cut, Item, Reader, Source, as_items
from ssl_pcb.deploy.merging import Judged, Prediction, failed, merged
from ssl_pcb.errors import UserError

PIXELS_AT_ONCE = 64 * 128**2
"""Pixels that the network is given at a time: as many as 64 images of 128 px have, as evaluation on a CPU takes."""


class Outputs(NamedTuple):
    """What a network says of samples.

    Attributes:
        scores: (B,) higher = more likely Defective.
        distances: (B,) to the nearest training samples; ``None`` if it does not tell.
    """

    scores: NDArray[np.float64]
    distances: NDArray[np.float64] | None


class Decided(NamedTuple):
    """Scores, probabilities, verdicts and what is unfamiliar of samples, (B,) each."""

    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    verdicts: NDArray[np.str_]
    unfamiliar: NDArray[np.bool_]


class Network(Protocol):
    """Computes :class:`Outputs`. Called from several threads at once, each call stands alone."""

    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Of samples (B, C, S, S)."""
        ...


Heats = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From samples (B, C, S, S) to how much each of their pixels speaks for Defective, (B, S, S) in [0, 1]."""


class _Shown(NamedTuple):
    """A sample on its way, or why its image has none."""

    number: int
    item: Item
    cut: Cut | None
    fault: str = ""


@dataclass(frozen=True)
class Predictor:
    """A network and what turns its scores into verdicts. It holds no state: threads may share it.

    Attributes:
        facts: How images become pixels, and scores verdicts.
        network: From pixels to scores.
        heats: Where in samples it sees defects; ``None`` = it cannot tell.
    """

    facts: ModelFacts
    network: Network
    heats: Heats | None = None

    def __call__(self, images: Iterable[Item | Source | str | bytes]) -> list[Prediction]:
        """Judge some images: paths, bytes of image files, or arrays uint8 or uint16 (H, W), (H, W, 1) or (H, W, 3).

        One such image by itself is one image, not its letters or lines.

        Returns:
            One prediction an image, in order. An image that cannot be read has its ``error`` set, and no verdict.
        """
        one = isinstance(images, (str, bytes, Path)) or (
            isinstance(images, np.ndarray) and (images.ndim == 2 or (images.ndim == 3 and images.shape[2] in (1, 3)))
        )
        return list(self.stream([cast("Source | str | bytes", images)] if one else images))

    def stream(
        self,
        images: Iterable[Item | Source | str | bytes],
        *,
        max_pixels: int | None = None,
        batch: int | None = None,
        remote: bool = False,
    ) -> Iterator[Prediction]:
        """The same of any number of images, one by one. One decoded image and one batch of samples are held.

        Args:
            images: As they come.
            max_pixels: Larger images are refused; ``None`` = as in training.
            batch: Samples that the network is given at a time; ``None`` = by their size.
            remote: Whether who reads the errors asks from elsewhere, and cannot mend what takes a command line.
        """
        shown = self._shown(images, max_pixels or self.facts.max_pixels, remote=remote)
        judged = self._judged(shown, batch or max(1, PIXELS_AT_ONCE // self.facts.image_size**2))
        for _, parts in groupby(judged, key=lambda pair: pair[0].number):
            found = list(parts)
            item, fault = found[-1][0].item, found[-1][0].fault
            if fault:
                yield failed(item, fault, self.facts)
            else:
                yield merged(item, [sample for _, sample in found if sample is not None], self.facts)

    def _shown(
        self, images: Iterable[Item | Source | str | bytes], max_pixels: int, *, remote: bool
    ) -> Iterator[_Shown]:
        reader = Reader(self.facts, max_pixels)
        for number, item in enumerate(as_items(images)):
            try:
                for cut in reader.samples(item):
                    yield _Shown(number, item, cut)
            except UserError as error:
                yield _Shown(number, item, None, error.fault if remote else str(error))

    def _judged(self, shown: Iterator[_Shown], batch: int) -> Iterator[tuple[_Shown, Judged | None]]:
        while some := list(islice(shown, batch)):
            cuts = [each.cut for each in some if each.cut is not None]
            judged = iter(self._judge(cuts) if cuts else ())
            for each in some:
                # Without its pixels: only one batch of them is held, however many windows a panel has.
                yield each._replace(cut=None), None if each.cut is None else next(judged)

    def decide(self, pixels: NDArray[np.uint8]) -> Decided:
        """Judge samples (B, C, S, S) that are cut out already."""
        point, found = self.facts.operating, self.network(pixels)
        unfamiliar = np.zeros(len(pixels), bool)
        if point.unfamiliar_from is not None and found.distances is not None:
            unfamiliar = found.distances >= point.unfamiliar_from
        probabilities = point.calibration.calibration.probabilities(found.scores).at(point.defect_rate).values
        return Decided(found.scores, probabilities, point.verdicts.verdicts(found.scores, unfamiliar), unfamiliar)

    def _judge(self, cuts: list[Cut]) -> list[Judged]:
        stacked = np.stack([cut.pixels for cut in cuts]).transpose(0, 3, 1, 2)
        table = zip(cuts, *self.decide(np.ascontiguousarray(stacked)), strict=True)
        return [
            Judged(cut.box, float(score), float(probability), str(verdict), bool(odd), cut.difference)
            for cut, score, probability, verdict, odd in table
        ]
