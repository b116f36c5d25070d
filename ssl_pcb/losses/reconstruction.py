"""How far a rebuilt image is from its target."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_pcb.config.method import AutoencoderConfig

C1, C2 = 0.01**2, 0.03**2
"""SSIM's constants against division by zero, for values in [0, 1]."""


def reconstruction_loss(rebuilt: Tensor, target: Tensor, config: AutoencoderConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the configured distances, computed in float32 whatever the precision of the network.

    Args:
        rebuilt: (B, C, S, S) in [0, 1].
        target: The same shape.
        config: Weights of ``mse``, ``l1`` and ``ssim``.

    Returns:
        The scalar loss, and each distance of weight above 0 by name: unweighted, detached.
    """
    distances: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "mse": F.mse_loss,
        "l1": F.l1_loss,
        "ssim": dissimilarity,
    }
    with torch.autocast(rebuilt.device.type, enabled=False):
        rebuilt, target = rebuilt.float(), target.float()
        parts = {name: measure(rebuilt, target) for name, measure in distances.items() if getattr(config, name)}
        loss = torch.stack([getattr(config, name) * value for name, value in parts.items()]).sum()
    return loss, {name: value.detach() for name, value in parts.items()}


def dissimilarity(rebuilt: Tensor, target: Tensor) -> Tensor:
    """1 - mean SSIM (Wang et al. 2004) of images (B, C, S, S) in [0, 1], S >= 11.

    As in the paper the window is Gaussian, 11 x 11 px with deviation 1.5, and never reaches beyond the image.
    """
    # Two products with a matrix of shifted windows: torchmetrics' convolution takes 10 to 40 times as long on a CPU.
    window = _windows(target)

    def local_mean(images: Tensor) -> Tensor:
        return window @ images @ window.T

    mean_a, mean_b = local_mean(rebuilt), local_mean(target)
    variance_a = local_mean(rebuilt.square()) - mean_a.square()
    variance_b = local_mean(target.square()) - mean_b.square()
    covariance = local_mean(rebuilt * target) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a.square() + mean_b.square() + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return 1 - (luminance * structure).mean()


def _windows(like: Tensor) -> Tensor:
    """(S - 10, S): in each row the Gaussian window, one pixel further on."""
    size = like.shape[-1]
    steps = torch.arange(size, device=like.device) - torch.arange(size - 10, device=like.device)[:, None] - 5
    weights = torch.where(steps.abs() <= 5, torch.exp(-0.5 * (steps / 1.5) ** 2), 0.0)
    return weights / weights.sum(1, keepdim=True)


def squared_errors(rebuilt: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each image (B,), in float32."""
    return (rebuilt.float() - target.float()).square().mean((1, 2, 3))
