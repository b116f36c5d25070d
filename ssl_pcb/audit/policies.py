"""What an augmentation of supervised training does to defects and to labels, batch by batch as training makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from ssl_pcb.audit.augmentations import (
    CONTRAST,
    IN_VIEW,
    contrast_figures,
    contrast_lines,
    median_and_low,
    neighbours_line,
    neighbours_shown,
)
from ssl_pcb.audit.batches import AuditBatch, training_batches
from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.audit.proportion import Proportion
from ssl_pcb.audit.shown import contrast_in_boxes, own_shares, wrong_mass
from ssl_pcb.augment.augmented import Augmented
from ssl_pcb.augment.build import build_augment
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.config.sampler import SamplerConfig
from ssl_pcb.errors import UserError


@dataclass(frozen=True)
class PolicyAudit:
    """What an augmentation does to defects and labels. A case is a defect in a picture, or a picture.

    Where a batch is mixed by one draw, its cases count as alike as they are. Pictures of one sample are taken as
    independent; they are alike too, so the intervals are rather too narrow.

    Attributes:
        survival: Defects of which at least :data:`IN_VIEW` stays in view of their own picture and is not covered; in a
            blend the partner covers as much as it counts.
        contrast: Defects of which at least :data:`CONTRAST` of the contrast survives in it; ``None`` without twins.
        contrast_kept: Median and 5th percentile of the surviving share of contrast, if measured.
        label_noise: Share of the pictures' label mass that is on the class which a picture does not show.
        neighbours: Views of clean samples that show a neighbour's defect; ``None`` where they show no surroundings.
        settings: What was audited.
    """

    survival: Proportion
    contrast: Proportion | None
    contrast_kept: tuple[float, float] | None
    label_noise: Proportion
    neighbours: Proportion | None
    settings: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether each label says what its picture shows."""
        return self.label_noise.hits == 0 and (self.neighbours is None or self.neighbours.hits == 0)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``figures`` and ``settings``."""
        figures = {"survival": self.survival.to_dict(), "label_noise": self.label_noise.to_dict()}
        figures |= contrast_figures(self.contrast, self.contrast_kept)
        if self.neighbours:
            figures["neighbours"] = self.neighbours.to_dict()
        return {"figures": figures, "settings": self.settings}

    def lines(self) -> list[str]:
        """For the terminal."""
        lines = [
            f"defects that stay in view and are not covered: {self.survival}",
            *contrast_lines(self.contrast, self.contrast_kept),
            f"label noise, labels on the class that a picture does not show: {self.label_noise}",
        ]
        return [*lines, neighbours_line(self.neighbours)] if self.neighbours else lines


def audit_policy(
    source: PixelSource,
    config: AugmentConfig,
    sampler: SamplerConfig,
    batch_size: int,
    *,
    samples: int = 500,
    views: int = 4,
    seed: int = 0,
) -> PolicyAudit:
    """Measure what ``config`` does to labelled samples, in batches as training draws them.

    A picture shows a defect if it shows at least half of some defect's box, as of tiles: its own or, of a mixture, the
    partner's. Of a blend it shows no more of either than that one counts.

    Args:
        source: Images of the manifest; those of split ``test`` are not looked at.
        config: The augmentation.
        sampler: Which samples an epoch shows.
        batch_size: Samples that are augmented together.
        samples: Most samples an epoch.
        views: Epochs.
        seed: Seed of all that is drawn.

    Raises:
        UserError: If no sample shows a defect box, or on an unreadable image unless ``skip_bad``.
    """
    size, aside = source.data.image_size, source.data.context / source.data.image_size
    augment, generator = build_augment(config, size, source.data.context), torch.Generator().manual_seed(seed)
    survived: list[list[float]] = []
    kept: list[list[float]] = []
    wrong: list[list[float]] = []
    for batch in training_batches(source, sampler, batch_size, samples=samples, epochs=views, seed=seed):
        before = generator.get_state()
        shown = augment(batch.pixels, batch.labels, generator, batch.boxes)
        survived.append(_survived(shown, batch, aside))
        wrong.append(wrong_mass(shown, batch.boxes, aside).tolist())
        if not torch.equal(batch.pixels, batch.twins):
            generator.set_state(before)
            clean = augment(batch.twins, batch.labels, generator, batch.boxes)
            kept.append(contrast_in_boxes(shown, clean, batch, size, source.data.context))
    if not any(survived):
        raise UserError("--samples: none of those drawn shows a defect box; look at more")
    together = shown.mixture is not None
    return PolicyAudit(
        survival=_share([[share >= IN_VIEW for share in each] for each in survived], together),
        contrast=_share([[share >= CONTRAST for share in each] for each in kept], together) if any(kept) else None,
        contrast_kept=median_and_low([*chain.from_iterable(kept)]),
        label_noise=_share(wrong, together),
        neighbours=neighbours_shown(source, config.view, samples, views, generator),
        settings={
            "samples": samples, "views": views, "seed": seed, "batch_size": batch_size,
            "sampler": sampler.model_dump(mode="json"), "augment": config.model_dump(mode="json"),
        },
    )  # fmt: skip


def _share(batches: Sequence[Sequence[float]], together: bool) -> Proportion:
    """The cases of all batches; those of one may have had one draw together."""
    return Proportion.of_clusters(batches if together else [[case] for each in batches for case in each])


def _survived(shown: Augmented, batch: AuditBatch, aside: float) -> list[float]:
    shares = own_shares(shown, batch.boxes, aside)[batch.marked]
    return [float(share) for share in shares[~shares.isnan()]]
