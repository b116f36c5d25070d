"""The convolutional autoencoder: a backbone, a bottleneck, and a decoder back to pixels."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ssl_pcb.config.method import AutoencoderConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.last_map import set_rest_aside

STRIDE = 32
"""Image pixels per step of the encoder's feature map."""

LEVELS = int(math.log2(STRIDE)) - 1
"""Upsampling stages of the decoder; its last doubling comes from sub-pixel convolution."""


class Autoencoder(nn.Module):
    """Images to ``dim`` numbers and back.

    Any image size: inside, images are padded by their mirror image to the next multiple of :data:`STRIDE`, and what is
    rebuilt is cut back.

    Attributes:
        backbone: The encoder's part that other stages take.
        dim: Length of a code.
    """

    def __init__(self, config: AutoencoderConfig, backbone: Backbone, size: int) -> None:
        """Build bottleneck and decoder for images of ``size`` pixels a side.

        Raises:
            UserError: If the backbone gives no feature map at stride 32, or pools through layers behind it, or its
                map holds fewer numbers than a code.
        """
        super().__init__()
        self.backbone, self.dim, self.size = backbone, config.dim, size
        side = math.ceil(size / STRIDE)
        depth = backbone.map_depth(STRIDE)
        set_rest_aside(backbone)
        if config.dim > depth * side**2:
            raise UserError(
                f"method.dim: {config.dim} numbers are more than the {depth * side**2} of {backbone.name}'s last "
                f"feature map of {size} px; lower it"
            )
        # Few channels keep the linear layers small at large images, but must not be a narrower neck than the code.
        few = min(depth, max(16, 2 * math.ceil(config.dim / side**2)))
        widths = [config.decoder_width * 2 ** min(level, 3) for level in range(LEVELS, -1, -1)]
        self.encode_map = nn.Sequential(nn.Conv2d(depth, few, 1), nn.Flatten(), nn.Linear(few * side**2, config.dim))
        self.decode_map = nn.Sequential(
            nn.Linear(config.dim, widths[0] * side**2), nn.Unflatten(1, (widths[0], side, side)), *_normal(widths[0])
        )
        self.decoder = nn.Sequential(
            *(_doubling(before, after) for before, after in pairwise(widths)),
            # Shi et al. 2016 (arXiv 1609.05158): without feature maps at full resolution, which would take most of
            # the time.
            nn.Conv2d(widths[-1], 4 * backbone.channels, 3, padding=1),
            nn.PixelShuffle(2),
            nn.Sigmoid(),
        )

    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, dim) of images (B, C, S, S) in [0, 1]."""
        codes: Tensor = self.encode_map(self.backbone.feature_map(mirror_pad(images, STRIDE)))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, C, S, S) in [0, 1] of codes (B, dim)."""
        rebuilt: Tensor = self.decoder(self.decode_map(codes))
        before = (rebuilt.shape[-1] - self.size) // 2
        return rebuilt[..., before : before + self.size, before : before + self.size]

    def forward(self, images: Tensor) -> Tensor:
        """Images as rebuilt from their codes."""
        return self.decode(self.encode(images))

    def head(self) -> dict[str, Tensor]:
        """The state of everything but the backbone."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("backbone.")}


def mirror_pad(images: Tensor, multiple: int) -> Tensor:
    """Square images (..., S, S) with their mirror image around, evenly, so that S is a multiple of ``multiple``."""
    size = images.shape[-1]
    missing = -size % multiple
    if not missing:
        return images
    line = torch.arange(size + missing, device=images.device) - missing // 2
    line = line.remainder(2 * size)
    line = torch.minimum(line, 2 * size - 1 - line)
    return images[..., line, :][..., line]


def _doubling(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1, bias=False), *_normal(after)
    )


def _normal(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.GroupNorm(math.gcd(8, width), width), nn.SiLU()
