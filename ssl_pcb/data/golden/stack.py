"""A pattern compared with every place of many images at once."""

from __future__ import annotations

import torch
from torch import Tensor


class Stack:
    """Images of one size, in each place of which a pattern is compared."""

    def __init__(self, images: Tensor) -> None:
        """Keep what is the same for all patterns of ``images`` (N, H, W)."""
        self._sides: tuple[int, int] = (images.shape[1], images.shape[2])
        self._spectrum = torch.fft.rfft2(images)
        self._squares = torch.fft.rfft2(images.square())

    def squared_differences(self, pattern: Tensor, weight: Tensor) -> Tensor:
        """Weighted sum of squared differences between ``pattern`` (h, w), no larger than the images, and each place.

        By products of spectra, whose circular wrap reaches no place that lies wholly inside.

        Returns:
            (N, H - h + 1, W - w + 1).
        """
        (height, width), (h, w) = self._sides, pattern.shape
        counted = torch.fft.rfft2(weight, s=self._sides).conj()
        shown = torch.fft.rfft2(2 * weight * pattern, s=self._sides).conj()
        product = torch.fft.irfft2(self._squares * counted - self._spectrum * shown, s=self._sides)
        apart: Tensor = product[:, : height - h + 1, : width - w + 1]
        return apart.add((weight * pattern.square()).sum()).clamp_(min=0)
