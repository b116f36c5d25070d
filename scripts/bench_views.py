"""Views as other libraries would make them, for scripts/bench_train.py: the nearest that each offers to our policy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from ssl_pcb.config.augment import ViewConfig

POLICY = ViewConfig()


class _OneByOne(Dataset[Tensor]):
    def __init__(self, pixels: Tensor, transform: Callable[[Tensor], Tensor]) -> None:
        self.pixels, self.transform = pixels, transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, position: int) -> Tensor:
        return self.transform(self.pixels[position])


def torchvision_views(pixels: Tensor, size: int, workers: int) -> Callable[[], object]:
    """Per-sample transforms of torchvision v2 in ``workers`` processes, which are started beforehand."""
    geometry, photometry = POLICY.geometry, POLICY.photometry
    transform = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(
                geometry.rotation, (geometry.translation,) * 2, (1 - geometry.shrink, 1),
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
            v2.CenterCrop(size),
            v2.ToDtype(torch.float32, scale=True),
            v2.ColorJitter(photometry.brightness, photometry.contrast),
            v2.Lambda(lambda image: image.pow(1 + (2 * torch.rand(()) - 1) * photometry.gamma)),
            v2.GaussianBlur(7, (0.01, photometry.blur)),
            v2.GaussianNoise(sigma=photometry.noise / 2),
        ]
    )  # fmt: skip
    loader = DataLoader(_OneByOne(pixels, transform), batch_size=64, num_workers=workers, persistent_workers=True)
    return lambda: list(loader)


def kornia_views(pixels: Tensor, size: int) -> Callable[[], object] | None:
    """Batch transforms of kornia; ``None`` where it is not installed."""
    try:
        from kornia import augmentation as K
    except ImportError:
        return None
    geometry, photometry = POLICY.geometry, POLICY.photometry
    transform = K.AugmentationSequential(
        K.RandomHorizontalFlip(),
        K.RandomVerticalFlip(),
        K.RandomAffine(
            geometry.rotation, (geometry.translation,) * 2, (1 - geometry.shrink, 1), padding_mode="reflection", p=1.0
        ),
        K.CenterCrop(size),
        K.RandomBrightness((1 - photometry.brightness, 1 + photometry.brightness), p=1.0),
        K.RandomContrast((1 - photometry.contrast, 1 + photometry.contrast), p=1.0),
        K.RandomGamma((1 - photometry.gamma, 1 + photometry.gamma), p=1.0),
        K.RandomGaussianBlur((7, 7), (0.01, photometry.blur), p=1.0),
        K.RandomGaussianNoise(std=photometry.noise / 2, p=1.0),
    )
    return lambda: transform(pixels.float() / 255)
