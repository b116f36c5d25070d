"""Cues: what may tell the label without the defect, and how to take each away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_pcb.audit.content import CONTENT
from ssl_pcb.audit.measuring import Measured
from ssl_pcb.data.manifest import Manifest

Kind = Literal["file", "position", "content"]
JOINT = "all file cues together"

SAVED = (
    "cut Defective and NonDefective samples out of the same files, as 'data import' does with boxes; saving the files "
    "anew leaves the traces in the pixels"
)
SHAPED = "cut the samples of both classes to one size and shape"
SOURCED = "take both classes from one camera and one way of saving, or leave out the images that came another way"
PLACED = (
    "nothing if defects really occur there; else cut clean samples in the same places, and compare every model with "
    "this figure"
)
LIT = "take both classes under the same light and settings; let training vary brightness and contrast"
FOCUSED = "take both classes with one camera and focus; let training vary the blur"
BUSY = "cut clean samples where as much copper lies as in defective ones, and compare every model with this figure"

FILE_MENDS = {
    "file size": SAVED, "bytes a pixel": SAVED, "file ending": SOURCED, "format": SOURCED, "colour mode": SOURCED,
    "JPEG quantisation tables": SAVED, "JPEG coarseness": SAVED, "compression scheme": SOURCED, "metadata": SOURCED,
    "EXIF tags": SOURCED, "camera and software": SOURCED, "grey levels of the file": SAVED, "width": SHAPED,
    "height": SHAPED, "area": SHAPED, "elongation": SHAPED, "crop width": SHAPED, "crop height": SHAPED,
    "crop area": SHAPED, "crop elongation": SHAPED,
}  # fmt: skip
POSITION_MENDS = dict.fromkeys(("centre x", "centre y", "distance from the middle", "place"), PLACED)
CONTENT_MENDS = {
    "grey levels": LIT, "brightness": LIT, "contrast": LIT, "colour": LIT, "sharpness": FOCUSED, "copper edges": BUSY,
}  # fmt: skip
COLOUR = ("red", "blue")


@dataclass(frozen=True)
class Cue:
    """One thing that can be known of each sample.

    Attributes:
        name: What it is called.
        kind: ``file`` = of how the source file was saved and cut, ``position`` = of the place in the panel, ``content``
            = of the picture as a whole.
        values: (N, D) one column, or several that only tell something together; numbers or text.
        mend: What to do if it tells the label.
        blanked: The same of the samples with their defects, and places as large in clean ones, blanked; NaN for
            defective samples without boxes. ``None`` where that makes no difference, or no sample has a box.
    """

    name: str
    kind: Kind
    values: pd.DataFrame
    mend: str
    blanked: pd.DataFrame | None = None

    @property
    def constant(self) -> bool:
        """Whether it is the same in all samples."""
        return bool((self.values.nunique() == 1).all())


def cues_of(manifest: Manifest, measured: Measured) -> list[Cue]:
    """Every cue that ``manifest``'s samples (of which ``measured`` tells) can have."""
    return [*_file_cues(manifest, measured), *_position_cues(manifest, measured), *_content_cues(measured)]


def _file_cues(manifest: Manifest, measured: Measured) -> list[Cue]:
    looks, sizes = measured.looks, _sizes(measured)
    traces = pd.DataFrame([vars(look.traces) for look in looks])
    area = traces["width"] * traces["height"]
    columns = {
        "file size": traces["bytes"], "bytes a pixel": traces["bytes"] / area, "file ending": traces["ending"],
        "format": traces["format"], "colour mode": traces["mode"], "JPEG quantisation tables": traces["tables"],
        "JPEG coarseness": traces["coarseness"], "compression scheme": traces["encoding"],
        "metadata": traces["metadata"], "EXIF tags": traces["exif"], "camera and software": traces["maker"],
        "grey levels of the file": pd.Series([look.levels for look in looks]),
    }  # fmt: skip
    columns |= _shape(sizes[:, 0], sizes[:, 1], "")
    if manifest.frame["crop"].ne("").any():
        left, top, right, bottom = _crops(manifest, measured).T
        columns |= _shape(right - left, bottom - top, "crop ")
    # What a defect adds to the picture, it adds to the file.
    bytes_left = pd.Series([look.bytes_left for look in looks])
    blanked = {name: (columns[name] * bytes_left).to_frame(name) for name in ("file size", "bytes a pixel")}
    blanked["grey levels of the file"] = pd.Series([look.blanked_levels for look in looks]).to_frame(
        "grey levels of the file"
    )
    return [
        Cue(name, "file", values.to_frame(name), FILE_MENDS[name], blanked.get(name) if measured.boxed else None)
        for name, values in columns.items()
    ]


def _shape(width: NDArray[Any], height: NDArray[Any], of: str) -> dict[str, pd.Series]:
    sides = np.stack([width, height]).astype(np.float64)
    found = {"width": sides[0], "height": sides[1], "area": sides.prod(0), "elongation": sides.max(0) / sides.min(0)}
    return {of + name: pd.Series(values) for name, values in found.items()}


def _position_cues(manifest: Manifest, measured: Measured) -> list[Cue]:
    """None where a sample is a whole image: it has no place in one."""
    if manifest.frame["crop"].eq("").any():
        return []
    crops, sizes = _crops(manifest, measured), _sizes(measured)
    x, y = ((crops[:, axis] + crops[:, axis + 2]) / 2 / sizes[:, axis] for axis in (0, 1))
    places = pd.DataFrame({"centre x": x, "centre y": y, "distance from the middle": np.hypot(x - 0.5, y - 0.5)})
    cues = [Cue(name, "position", places[[name]], POSITION_MENDS[name]) for name in map(str, places)]
    return [*cues, Cue("place", "position", places[["centre x", "centre y"]], POSITION_MENDS["place"])]


def _content_cues(measured: Measured) -> list[Cue]:
    whole, blanked = (
        pd.DataFrame([getattr(look, which) for look in measured.looks], columns=CONTENT)
        for which in ("content", "blanked")
    )
    parts = {name: [name] for name in CONTENT if name not in COLOUR} | {"colour": list(COLOUR)}
    return [
        Cue(name, "content", whole[some], mend, blanked[some] if measured.boxed else None)
        for name, mend in CONTENT_MENDS.items()
        if (some := parts[name]) and whole[some].notna().all(axis=None)
    ]


def _sizes(measured: Measured) -> NDArray[np.int64]:
    """(N, 2) width and height of the upright source images."""
    return np.array([look.size for look in measured.looks], np.int64)


def _crops(manifest: Manifest, measured: Measured) -> NDArray[np.float64]:
    """(N, 4) crops, the whole image where there is none."""
    whole = [(0, 0, *look.size) for look in measured.looks]
    return np.array([sample.crop or all_of_it for sample, all_of_it in zip(manifest, whole, strict=True)], np.float64)
