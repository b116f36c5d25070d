"""Label floors: how well the label can be told without learning anything from pictures.

A representation that does not beat these knows where tiles lie or how busy they are, not what a defect is.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer

from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.decision.checks import checked_pair
from ssl_pcb.imaging.decode import MAX_PIXELS, decode
from ssl_pcb.imaging.orientation import Box

Scalar = TypeVar("Scalar", bound=np.generic)


def position_scores(train: Manifest, manifest: Manifest) -> NDArray[np.float64]:
    """Log-odds of Defective from the centre of each sample's crop alone.

    A logistic regression on splines of x and y and their products, fitted on the labelled rows of ``train``.
    Positions are pixels of the source image: parts lie, and defects occur, at set places of a panel. Where a
    sample is a whole image there is no position, and all samples get the same score.

    Args:
        train: Rows to fit on; unlabelled ones are left out.
        manifest: Rows to score, of other images than ``train``.

    Returns:
        (len(manifest),).

    Raises:
        UserError: If the labelled rows of ``train`` have one class only.
    """
    labelled = train.select(train.frame["label"].ne(""))
    labels = np.array([LABELS.index(label) for label in labelled.frame["label"]])
    known, wanted = _centres(labelled), _centres(manifest)
    checked_pair(np.zeros(len(labels)), labels, both_classes=True)
    if known is None or wanted is None:
        return np.zeros(len(manifest))
    model = make_pipeline(SplineTransformer(5), PolynomialFeatures(2), LogisticRegression(max_iter=1000))
    return np.asarray(model.fit(known, labels).decision_function(wanted), dtype=np.float64)


def edge_count_scores(manifest: Manifest, max_pixels: int = MAX_PIXELS) -> NDArray[np.float64]:
    """Copper-edge count of each sample: the share of neighbouring pixel pairs with an edge between them.

    An edge is where one pixel lies above and the other below Otsu's threshold of the grey source image. A
    share, and not the number, so that the size of a sample is no cue. Every image is decoded once.

    Args:
        manifest: Rows to score; labels are not used.
        max_pixels: Refuse larger images.

    Returns:
        (len(manifest),), in [0, 1].

    Raises:
        UserError: If an image cannot be read.
    """
    scores = np.zeros(len(manifest))
    for path, rows in manifest.frame.groupby("path", sort=False).indices.items():
        image = decode(manifest.root / str(path), channels=1, max_pixels=max_pixels)[..., 0]
        bright = image > otsu_threshold(image)
        for row in rows:
            scores[row] = edge_density(cropped(bright, manifest.sample(int(row)).crop))
    return scores


def edge_density(bright: NDArray[np.bool_]) -> float:
    """Share of horizontally and vertically neighbouring pixel pairs of a mask (H, W) that differ."""
    across, down = bright[:, 1:] != bright[:, :-1], bright[1:] != bright[:-1]
    return float((across.sum() + down.sum()) / max(1, across.size + down.size))


def otsu_threshold(image: NDArray[np.uint8]) -> int:
    """The grey level that best parts an image (H, W) in two (Otsu 1979): bright is above it."""
    counts = np.bincount(image.ravel(), minlength=256).astype(np.float64)
    below, moment = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    spread = below * (below[-1] - below)
    between = np.divide((moment[-1] * below - moment * below[-1]) ** 2, spread, out=-np.ones(256), where=spread > 0)
    return int(np.argmax(between))


def cropped(image: NDArray[Scalar], crop: Box | None) -> NDArray[Scalar]:
    """The part of an image (H, W, ...) that is a sample; all of it where ``crop`` is ``None``."""
    if crop is None:
        return image
    x1, y1, x2, y2 = (max(0, round(edge)) for edge in crop)
    return image[y1:y2, x1:x2]


def _centres(manifest: Manifest) -> NDArray[np.float64] | None:
    crops = [sample.crop for sample in manifest]
    found = [((crop[0] + crop[2]) / 2, (crop[1] + crop[3]) / 2) for crop in crops if crop]
    return np.array(found) if found and len(found) == len(crops) else None
