"""Do views keep what makes a sample defective, and do they leave clean samples clean?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.audit.proportion import Proportion
from ssl_pcb.audit.view_measures import brought_in, contrast_kept, shares_in_view
from ssl_pcb.augment.geometric import draw_maps
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import LABELS, Manifest, parse_boxes
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.orientation import Box

IN_VIEW = 0.95
"""Share of the area of a defect (as far as the sample shows it) that must stay in a view."""

CONTRAST = 0.5
"""Share of a defect's contrast, the RMS difference to the clean twin, that must survive."""

INTRUSION = 0.1
"""Share of a neighbouring defect's area that makes a clean sample's view show a defect."""

NO_BOX = (
    "manifest: no sample shows a defect box; the audit needs the column 'boxes', in rows that are not of split 'test'"
)


@dataclass(frozen=True)
class AugmentationAudit:
    """What random views do to defects. A case is one box, or one clean sample, in one view.

    The intervals take cases as independent; views of one defect are alike, so they are rather too narrow.

    Attributes:
        in_view: Cases in which at least :data:`IN_VIEW` of the defect's shown area stays in the view.
        contrast: Cases in which at least :data:`CONTRAST` of the contrast survives; ``None`` without twins.
        contrast_kept: Median and 5th percentile of the surviving share of contrast, if measured.
        label_noise: Cases in which a neighbour's defect enters a clean sample's view from the surroundings;
            ``None`` where views show no surroundings or there is no clean sample.
        settings: What was audited.
    """

    in_view: Proportion
    contrast: Proportion | None
    contrast_kept: tuple[float, float] | None
    label_noise: Proportion | None
    settings: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every defect stayed in every view."""
        return self.in_view.hits == self.in_view.total

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``figures`` and ``settings``."""
        figures = {"in_view": self.in_view.to_dict()} | contrast_figures(self.contrast, self.contrast_kept)
        if self.label_noise:
            figures["label_noise"] = self.label_noise.to_dict()
        return {"figures": figures, "settings": self.settings}

    def lines(self) -> list[str]:
        """For the terminal."""
        lines = [f"defects in view: {self.in_view}"]
        if not self.passed:
            lost = self.in_view.total - self.in_view.hits
            lines.append(f"  {lost:,} times a view loses more than {1 - IN_VIEW:.0%} of a defect")
        lines += contrast_lines(self.contrast, self.contrast_kept)
        return [*lines, neighbours_line(self.label_noise)]


def contrast_figures(contrast: Proportion | None, kept: tuple[float, float] | None) -> dict[str, Any]:
    """For JSON: how often half of a defect's contrast survived, median and 5th percentile; nothing if not measured."""
    if contrast is None or kept is None:
        return {}
    return {"contrast": contrast.to_dict() | {"median_kept": kept[0], "percentile_5_kept": kept[1]}}


def contrast_lines(contrast: Proportion | None, kept: tuple[float, float] | None) -> list[str]:
    """The same for the terminal."""
    if contrast is None or kept is None:
        return ["contrast: not measured (it needs clean twins, column 'twin')"]
    return [
        f"defects that keep at least half of their contrast: {contrast}",
        f"  contrast kept: median {kept[0]:.0%}, 5th percentile {kept[1]:.0%}",
    ]


def neighbours_line(shown: Proportion | None) -> str:
    """What :func:`neighbours_shown` found, for the terminal."""
    if shown is None:
        return "neighbours' defects: not measured (it needs clean crops shown with surroundings)"
    return f"clean samples whose view shows a neighbour's defect: {shown}"


def median_and_low(values: Sequence[float]) -> tuple[float, float] | None:
    """Median and 5th percentile; ``None`` of nothing."""
    return (float(np.median(values)), float(np.quantile(values, 0.05))) if values else None


def audit_augmentations(
    manifest: Manifest,
    data: DataConfig,
    view: ViewConfig,
    *,
    samples: int = 500,
    views: int = 4,
    seed: int = 0,
) -> AugmentationAudit:
    """Measure what ``view`` does to the defects of a manifest and to its clean samples.

    Samples of split ``test`` are not looked at. Areas are exact (polygon clipping). Neighbours' defects are those
    boxes that other rows of the same image carry; pass the whole manifest, not one split.

    Args:
        manifest: Samples, some with defect boxes; clean twins are taken from its column ``twin``, if any.
        data: Image size, ring of surroundings and channels as in training.
        view: The augmentation.
        samples: Most samples with boxes, and most clean samples, to look at; drawn at random.
        views: Views of each.
        seed: Seed of samples and views.

    Raises:
        UserError: If no sample outside split ``test`` shows a defect box, or on an unreadable image unless
            ``data.skip_bad``.
    """
    source = PixelSource.open(manifest, data)
    maker = ViewMaker(view, data.image_size, data.context)
    generator = torch.Generator().manual_seed(seed)
    in_view: list[float] = []
    kept: list[float] = []
    for sample in source.boxed(boxed_rows(source, samples, seed)):
        draw = maker.draw(views, len(sample.pixels), generator)
        in_view += chain.from_iterable(shares_in_view(sample.boxes, draw.maps, maker.size, maker.aside))
        kept += contrast_kept(sample, maker, draw)
    if not in_view:
        raise UserError(NO_BOX)
    return AugmentationAudit(
        in_view=Proportion.at_least(in_view, IN_VIEW),
        contrast=Proportion.at_least(kept, CONTRAST) if kept else None,
        contrast_kept=median_and_low(kept),
        label_noise=neighbours_shown(source, view, samples, views, generator),
        settings={"samples": samples, "views": views, "seed": seed, "view": view.model_dump(mode="json")},
    )


def boxed_rows(source: PixelSource, count: int, seed: int) -> list[int]:
    """At most ``count`` rows with boxes and a readable image, drawn at random, in the manifest's order.

    None is of split ``test``: views are chosen by what is seen here.
    """
    return _pick(np.flatnonzero(open_rows(source) & source.manifest.frame["boxes"].ne("")), count, seed)


def open_rows(source: PixelSource) -> pd.Series[bool]:
    """Which rows may be looked at and can be read."""
    frame = source.manifest.frame
    return frame["split"].ne("test") & frame["path"].isin(source.sizes)


def neighbours_shown(
    source: PixelSource, view: ViewConfig, samples: int, views: int, generator: torch.Generator
) -> Proportion | None:
    """Views of clean samples into which the surroundings bring at least :data:`INTRUSION` of a neighbouring defect.

    What a view shows around the sample's own place is nothing that is brought in. ``None`` where views have no
    surroundings or there is no clean crop.
    """
    size, context = source.data.image_size, source.data.context
    ring = context + source.margin * view.geometry.surroundings
    if ring == 0:
        return None
    frame = source.manifest.frame
    known: dict[str, set[Box]] = {}
    for path, boxes in zip(frame["path"], frame["boxes"], strict=True):
        known.setdefault(path, set()).update(parse_boxes(boxes))
    clean = open_rows(source) & frame["label"].eq(LABELS[0]) & frame["crop"].ne("")
    shares = []
    for row in _pick(np.flatnonzero(clean), samples, generator.initial_seed()):
        maps = draw_maps(view.geometry, views, generator)
        neighbours = source.neighbours(row, sorted(known[frame["path"].iloc[row]]), ring)
        brought = [brought_in(neighbour, maps, size, context / size) for neighbour in neighbours]
        shares += [max(per_view, default=0.0) for per_view in zip(*brought, strict=True)] or [0.0] * views
    return Proportion.at_least(shares, INTRUSION) if shares else None


def _pick(rows: NDArray[np.intp], count: int, seed: int) -> list[int]:
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    return [int(row) for row in np.sort(chosen)]
