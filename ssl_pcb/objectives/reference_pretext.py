"""Find painted defects beside the golden image."""

from __future__ import annotations

import torch

from ssl_pcb.augment.difference import different
from ssl_pcb.augment.painting import painted_views
from ssl_pcb.data.loaders import Batch
from ssl_pcb.objectives.defect_pretext import DefectPretext, Shown


class ReferencePretext(DefectPretext):
    """The network sees an image and its golden image as channels, and finds what is painted on the image alone.

    So it learns which differences are defects, and that an edge which lies a little elsewhere is none. Where the image
    differs from its golden image by itself there may be a real defect that nobody painted: such places do not count.
    """

    def show(self, batch: Batch, generator: torch.Generator) -> Shown:
        """Images and golden images, (B, 2C, S, S) together."""
        made = painted_views(self.views, batch.inputs, self.config.defect, generator)
        aligned = self.views.move(batch.inputs.chunk(2, 1)[1], made.maps)  # as stored, and not as shown
        return Shown(made.images, made.painted, different(made.before, aligned))
