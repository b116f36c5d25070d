"""Reconstruction losses against their textbook definitions."""

import numpy as np
import pytest
import torch

from ssl_pcb.config.method import AutoencoderConfig
from ssl_pcb.losses.reconstruction import dissimilarity, reconstruction_loss, squared_errors


def pair(size=16, channels=1, count=2):
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(count, channels, size, size, generator=generator)
    return (target + 0.2 * torch.randn(target.shape, generator=generator)).clamp(0, 1), target


def naive_ssim(first, second):
    """Equation 13 of Wang et al. 2004 at every window that lies inside the image."""
    steps = np.arange(-5, 6)
    window = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for a, b in zip(first.double().flatten(0, 1).numpy(), second.double().flatten(0, 1).numpy(), strict=True):
        for y in range(len(a) - 10):
            for x in range(len(a) - 10):
                p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                found.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    return np.mean(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_the_papers(channels):
    rebuilt, target = pair(channels=channels)
    assert 1 - dissimilarity(rebuilt, target).item() == pytest.approx(naive_ssim(rebuilt, target), abs=1e-5)


def test_ssim_is_that_of_torchmetrics_inside_the_border():
    image = pytest.importorskip("torchmetrics.functional.image")
    rebuilt, target = pair(32)
    _, full = image.structural_similarity_index_measure(rebuilt, target, data_range=1.0, return_full_image=True)
    assert 1 - dissimilarity(rebuilt, target).item() == pytest.approx(full[..., 5:-5, 5:-5].mean().item(), abs=1e-5)


def test_equal_images_are_at_distance_zero():
    _, target = pair()
    config = AutoencoderConfig(mse=1, l1=1, ssim=1)
    assert reconstruction_loss(target, target, config)[0].item() == pytest.approx(0, abs=1e-6)


def test_the_loss_is_the_weighted_sum_and_the_parts_are_unweighted():
    rebuilt, target = pair()
    difference = (rebuilt - target).double().numpy()
    loss, parts = reconstruction_loss(rebuilt, target, AutoencoderConfig(mse=2.0, l1=0.5, ssim=0.25))
    expected = {"mse": (difference**2).mean(), "l1": abs(difference).mean(), "ssim": 1 - naive_ssim(rebuilt, target)}
    assert {name: value.item() for name, value in parts.items()} == pytest.approx(expected, abs=1e-5)
    assert loss.item() == pytest.approx(2 * expected["mse"] + 0.5 * expected["l1"] + 0.25 * expected["ssim"], abs=1e-5)


def test_parts_of_weight_zero_are_not_computed():
    rebuilt, target = pair(8)  # smaller than the window of SSIM
    assert reconstruction_loss(rebuilt, target, AutoencoderConfig())[1].keys() == {"mse"}


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_bfloat16_flat_images_give_finite_float32(value):
    target = torch.full((1, 1, 16, 16), value)
    rebuilt = torch.full((1, 1, 16, 16), 0.5, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = reconstruction_loss(rebuilt, target, AutoencoderConfig(mse=1, l1=1, ssim=1))
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(rebuilt.grad).all()


def test_squared_errors_are_of_each_image():
    rebuilt, target = pair(count=3)
    one_by_one = [((a - b) ** 2).mean().item() for a, b in zip(rebuilt, target, strict=True)]
    assert squared_errors(rebuilt, target).tolist() == pytest.approx(one_by_one)
