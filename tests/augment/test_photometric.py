"""Light and sensor against naive one-image versions."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from ssl_pcb.augment.photometric import draw_light, relight
from ssl_pcb.config.augment import PhotometryConfig

OFF = {"brightness": 0, "contrast": 0, "gamma": 0, "blur": 0, "noise": 0, "jpeg": 0}


def photometry(**strengths):
    return PhotometryConfig(**(OFF | strengths))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=6, channels=3, size=20, low=0.0, high=1.0):
    return low + (high - low) * torch.rand(count, channels, size, size, generator=generator(9))


def naive_relight(image, light, index):
    """One (C, S, S) image through gamma, contrast about the mean, brightness, blur and noise."""
    out = image.astype(np.float64) ** float(light.gamma[index])
    mean = out.mean()
    out = mean + (out - mean) * float(light.contrast[index]) + float(light.brightness[index])
    out = np.clip(out, 0, 1)
    kernel = light.kernel[index].double().numpy()
    for axis in (1, 2):
        out = ndimage.correlate1d(out, kernel, axis=axis, mode="reflect")
    return np.clip(out + light.noise[index].numpy(), 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("config", [PhotometryConfig(), PhotometryConfig(blur=5, noise=0.5, brightness=1)])
def test_a_batch_equals_a_naive_version_of_each_image(config, channels):
    batch = images(channels=channels)
    light = draw_light(config, tuple(batch.shape), generator())
    views = relight(batch, light)
    for index, image in enumerate(batch.numpy()):
        np.testing.assert_allclose(views[index].numpy(), naive_relight(image, light, index), atol=2e-5)
    assert views.min() >= 0
    assert views.max() <= 1


def test_all_strengths_zero_change_nothing_and_the_input_is_never_changed():
    batch = images()
    before = batch.clone()
    torch.testing.assert_close(relight(batch, draw_light(photometry(), tuple(batch.shape), generator())), batch)
    relight(batch, draw_light(PhotometryConfig(), tuple(batch.shape), generator()))
    assert torch.equal(batch, before)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_each_picture_is_compressed_last_and_by_its_own_quality(channels):
    """As Pillow encodes each picture by itself, after all else; golden images are further channels."""
    batch = images(count=8, channels=channels, size=24, low=0.2, high=0.8)
    light = draw_light(photometry(brightness=0.2, jpeg=95), tuple(batch.shape), generator())
    assert 5 <= light.quality.min() < 50 < light.quality.max() <= 100
    views = relight(batch, light)
    colours = 3 if channels % 3 == 0 else 1
    for view, lit, quality in zip(views, batch + light.brightness, light.quality.tolist(), strict=True):
        for found, part in zip(view.split(colours), lit.split(colours), strict=True):
            pixels = (part * 255).round().byte().permute(1, 2, 0).numpy()
            kept = io.BytesIO()
            Image.fromarray(pixels[..., 0] if colours == 1 else pixels).save(kept, "JPEG", quality=quality)
            with Image.open(kept) as opened:
                expected = np.asarray(opened, np.float64).reshape(24, 24, colours) / 255
            assert np.abs(found.permute(1, 2, 0).numpy() - expected).max() < 0.02
    worst = light.quality.argmin()
    assert (views - batch - light.brightness).abs()[worst].max() > 0.05


def test_without_compression_the_same_numbers_are_drawn_as_before_there_was_any():
    shape = (4, 1, 16, 16)
    with_it, without = (draw_light(PhotometryConfig(jpeg=jpeg), shape, generator()) for jpeg in (50, 0))
    assert without.quality is None
    assert torch.equal(with_it.noise, without.noise)


def test_blur_is_a_gaussian_with_mirrored_edges():
    batch = images(channels=1)
    light = draw_light(photometry(blur=2.0), tuple(batch.shape), generator())
    radius = light.kernel.shape[1] // 2
    for image, kernel, view in zip(batch, light.kernel, relight(batch, light), strict=True):
        variance = float((kernel * torch.arange(-radius, radius + 1) ** 2).sum())
        # A sampled kernel's spread is its sigma's unless it is narrow; search the sigma that gives this kernel.
        sigmas = np.linspace(0.05, 2.0, 400)
        sigma = min(sigmas, key=lambda s: abs(spread(s, radius) - variance))
        expected = ndimage.gaussian_filter(image[0].numpy(), sigma, mode="reflect", radius=radius)
        np.testing.assert_allclose(view[0].numpy(), expected, atol=5e-3)


def spread(sigma, radius):
    """Variance of scipy's sampled Gaussian."""
    point = np.zeros(2 * radius + 1)
    point[radius] = 1
    kernel = ndimage.gaussian_filter1d(point, sigma, radius=radius, mode="constant")
    return float((kernel * np.arange(-radius, radius + 1) ** 2).sum())


def test_blur_strength_reaches_the_sigma_asked_for_and_no_more():
    light = draw_light(photometry(blur=2.0), (500, 1, 4, 4), generator())
    radius = light.kernel.shape[1] // 2
    variance = (light.kernel * torch.arange(-radius, radius + 1) ** 2).sum(1)
    assert spread(1.95, radius) < variance.max() <= spread(2.0, radius) + 1e-4
    assert variance.min() < 0.01


def test_noise_has_the_drawn_deviation_up_to_the_strength():
    grey = torch.full((400, 1, 32, 32), 0.5)
    views = relight(grey, draw_light(photometry(noise=0.1), tuple(grey.shape), generator()))
    deviation = (views - grey).std((1, 2, 3))
    assert 0.095 < deviation.max() < 0.108
    assert deviation.min() < 0.005
    assert abs(float(deviation.mean()) - 0.05) < 0.005
    assert abs(float((views - grey).mean())) < 0.001


def test_noise_is_white_within_a_view_and_unlike_that_of_other_views():
    shape = (40, 3, 48, 48)
    noise = draw_light(photometry(noise=0.1), shape, generator()).noise
    noise = noise / noise.std((1, 2, 3), keepdim=True)
    for axis in (1, 2, 3):
        pair = noise.narrow(axis, 1, noise.shape[axis] - 1) * noise.narrow(axis, 0, noise.shape[axis] - 1)
        assert abs(float(pair.mean())) < 0.01
    between = torch.corrcoef(noise.flatten(1)).fill_diagonal_(0)
    assert between.abs().max() < 0.06  # 5 standard errors of 6912 independent pairs


@pytest.mark.parametrize(
    ("field", "strength", "low", "high"),
    [("brightness", 0.2, -0.2, 0.2), ("contrast", 0.3, 0.7, 1.3), ("gamma", 0.25, 0.75, 1.25)],
)
def test_strengths_are_drawn_over_the_whole_range_asked_for(field, strength, low, high):
    drawn = getattr(draw_light(photometry(**{field: strength}), (1000, 1, 2, 2), generator()), field)
    tolerance = 0.02 * (high - low)
    assert low - 1e-6 <= drawn.min() < low + tolerance
    assert high - tolerance < drawn.max() <= high + 1e-6


def test_the_seed_decides_the_draw():
    shape = (3, 1, 8, 8)
    first, again, other = (draw_light(PhotometryConfig(), shape, generator(seed)) for seed in (4, 4, 5))
    for name in ("gamma", "contrast", "brightness", "kernel", "noise"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))
