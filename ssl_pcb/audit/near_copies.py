"""The same shot again: turned, mirrored, re-encoded or brightened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ssl_pcb.audit.alignment import Fit, fit_of, is_telling
from ssl_pcb.audit.copies import PERFECT, Copy, exact_kind
from ssl_pcb.audit.likeness import Pairs, merged, near_in_features, near_in_hash, near_in_pixels
from ssl_pcb.audit.stored_greys import Greys, grey_picture
from ssl_pcb.audit.symmetries import turned
from ssl_pcb.config.auditing import DuplicatesConfig
from ssl_pcb.data.samples import Samples

ALIKE = 0.8
"""Plain correlation from which on a pair is fitted, and else counted as alike."""

SAME = 0.999
"""Correlation ratio from which on equal pixels are looked for in the files themselves."""


@dataclass(frozen=True)
class NearCopies:
    """What was found.

    Attributes:
        pairs: Copies.
        compared: Pairs that were compared pixel by pixel.
        alike: Of these, those that look alike without being copies: repeated patterns, other shots of a place.
        plain: Of these, those that fit, but are so plain that others of their kind would fit as well.
    """

    pairs: list[Copy]
    compared: int
    alike: int
    plain: int


def near_copies(
    samples: Samples,
    greys: Greys,
    positions: NDArray[np.int64],
    config: DuplicatesConfig,
    max_pixels: int,
    features: NDArray[np.float32] | None = None,
) -> NearCopies:
    """Look for copies among the nearest in features and in a perceptual hash, under the eight symmetries.

    A pair counts only where one lies exactly on the other: patterns repeat on real boards.

    Args:
        samples: The data.
        greys: Of ``samples.store.rows``.
        positions: Those of them to search, with some contrast and none equal to another.
        config: What counts as a copy.
        max_pixels: Of files that are read again.
        features: (N, D) of ``samples.store.rows`` by a network, in place of small pictures of the samples themselves.

    Raises:
        UserError: On NaN features, or if a file cannot be read again.
    """
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for one, other, symmetry in _candidates(greys, positions, features, config.neighbours).tolist():
        found[one, other].append(symmetry)
    rows, copies, alike, plain = samples.store.rows[positions], [], 0, 0
    for (one, other), symmetries in tqdm(found.items(), "comparing", unit="pair", disable=None, leave=False):
        first, second = int(rows[one]), int(rows[other])
        pictures = grey_picture(samples, first), grey_picture(samples, second)
        best = _best(*pictures, symmetries)
        if best is None:
            continue
        fit, symmetry = best
        if fit.correlation < config.min_correlation or fit.difference > config.max_difference:
            alike += 1
            continue
        kind = exact_kind(samples, first, second, symmetry, max_pixels) if fit.correlation >= SAME else "near"
        if kind == "pixels":
            fit = PERFECT
        if is_telling(*pictures, fit.difference):
            copies.append(Copy(first, second, kind, symmetry, fit))
        else:
            plain += 1
    return NearCopies(copies, len(found), alike, plain)


def _candidates(greys: Greys, positions: NDArray[np.int64], features: NDArray[np.float32] | None, k: int) -> Pairs:
    """Pairs of places in ``positions``."""
    if len(positions) < 2:
        return np.empty((0, 3), np.int64)
    thumbnails = greys.thumbnails[positions]
    seen = near_in_pixels(thumbnails, k) if features is None else near_in_features(features[positions], thumbnails, k)
    return merged(seen, near_in_hash(greys.bits[:, positions], k))


def _best(
    picture: NDArray[np.float32], other: NDArray[np.float32], symmetries: Sequence[int]
) -> tuple[Fit, int] | None:
    """The closest fit and its symmetry; ``None`` where the two are not even alike."""
    fits = []
    for symmetry in symmetries:
        upright = turned(picture, symmetry)
        sides = list(zip(upright.shape, other.shape, strict=True))
        if any(abs(one - two) > 1 for one, two in sides):  # by one they may differ after rounding
            continue
        height, width = (min(both) for both in sides)
        ours, theirs = upright[:height, :width], other[:height, :width]
        if np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] >= ALIKE:
            fits.append((fit_of(ours, theirs), symmetry))
    return min(fits, key=lambda found: found[0].difference, default=None)
