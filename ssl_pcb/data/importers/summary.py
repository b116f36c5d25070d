"""What an import did, for the terminal and for a file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_pcb.data.files import whole_file
from ssl_pcb.data.importers.common import name_some
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.data.tiles import TileRules, count_only_cut


@dataclass
class ImportSummary:
    """Counts of an import.

    Attributes:
        kind: Importer.
        out: The manifest written.
        images: Source images read.
        labels: Samples by label; unlabelled ones under the empty text.
        groups: Number of boards (or stand-ins).
        board_disjoint: Whether groups are real boards.
        rules: How images were cut; ``None`` = they stayed whole.
        dropped: Tiles dropped, by reason.
        boxes: Boxes read (within the images).
        unreached: Boxes that make no kept tile Defective, as ``image: x1 y1 x2 y2 type``.
        only_cut: Defective tiles that hold only boxes cut by the tile's edge.
        cut_of: Defective tiles with boxes.
        bad: Unreadable images left out, one message each.
        notes: Further remarks.
    """

    kind: str
    out: Path
    images: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    groups: int = 0
    board_disjoint: bool = True
    rules: TileRules | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    boxes: int = 0
    unreached: list[str] = field(default_factory=list)
    only_cut: int = 0
    cut_of: int = 0
    bad: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, manifest: Manifest) -> None:
        """Fill in what can be counted from the finished manifest."""
        self.images = int(manifest.frame["path"].nunique())
        self.labels = Counter(manifest.frame["label"].tolist())
        self.groups = int(manifest.frame["group"].nunique())
        self.board_disjoint = manifest.board_disjoint
        if self.rules:
            self.only_cut, self.cut_of = count_only_cut(manifest)

    @property
    def record(self) -> Path:
        """Where :meth:`write` puts the whole summary: beside the manifest."""
        return self.out.with_suffix(".import.json")

    def write(self) -> None:
        """Write every count and every name to :attr:`record`, whole or not at all.

        Raises:
            UserError: If it cannot be written.
        """
        with whole_file(self.record) as part:
            part.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def lines(self) -> list[str]:
        """The summary for the terminal."""
        counts = ", ".join(f"{self.labels[label]:,} {label}" for label in reversed(LABELS))
        unlabelled = f", {self.labels['']:,} unlabelled" if self.labels[""] else ""
        lines = [
            f"{self.out}: {sum(self.labels.values()):,} samples from {self.images:,} images ({self.kind})",
            f"  labels: {counts}{unlabelled}",
            f"  groups: {self.groups:,} boards"
            if self.board_disjoint
            else f"  groups: {self.groups:,} clusters of near-duplicate images; not board-disjoint "
            "(--group-from names the boards, if paths or a column tell them)",
        ]
        if self.rules:
            lines += self._tile_lines(self.rules)
        if self.bad:
            lines.append(f"  left out {len(self.bad):,} unreadable image(s): {name_some(self.bad, 3)}")
        return [*lines, *(f"  {note}" for note in self.notes), f"  all counts and names: {self.record}"]

    def _tile_lines(self, rules: TileRules) -> list[str]:
        lines = [
            f"  tiles: {rules.tile} px, overlap {rules.overlap}; dropped {self.dropped['partial']:,} that hold "
            f"less than {rules.min_box_share:.0%} of a box, {self.dropped['blank']:,} blank "
            f"(grey standard deviation below {rules.blank_std:g})"
        ]
        if self.cut_of:
            lines.append(
                f"  {self.only_cut:,} of {self.cut_of:,} Defective tiles ({self.only_cut / self.cut_of:.0%}) "
                "hold only boxes cut by the tile's edge"
            )
        if self.boxes:
            named = f": {name_some(self.unreached)}" if self.unreached else ""
            lines.append(f"  {len(self.unreached):,} of {self.boxes:,} boxes reach no kept Defective tile{named}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """All counts, and every name, in JSON's types."""
        return {
            "kind": self.kind,
            "manifest": self.out.as_posix(),
            "images": self.images,
            "labels": {label or "unlabelled": count for label, count in sorted(self.labels.items())},
            "groups": self.groups,
            "board_disjoint": self.board_disjoint,
            "tile_rules": vars(self.rules) if self.rules else None,
            "dropped": dict(self.dropped),
            "boxes": self.boxes,
            "unreached_boxes": self.unreached,
            "only_cut_tiles": self.only_cut,
            "defective_tiles_with_boxes": self.cut_of,
            "bad_images": self.bad,
            "notes": self.notes,
        }
