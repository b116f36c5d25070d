"""What every corruption must keep to, and which ones a training knows."""

from itertools import pairwise
from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from ssl_pcb.audit.camera.corruptions import CORRUPTIONS, SEVERITIES, corruptions
from ssl_pcb.audit.camera.overlap import OPERATIONS, SHIFT, VIEW, trained_on
from ssl_pcb.augment.views import centre
from ssl_pcb.config.augment import (
    GeometryConfig,
    NoAugmentConfig,
    PhotometryConfig,
    RandomCropConfig,
    StandardConfig,
    SymmetriesConfig,
    ViewConfig,
)
from ssl_pcb.config.operations import AugMixConfig, Operation, RandAugmentConfig

SIZE, MARGIN = 48, 6
EACH = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda each: each.name)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pixels():
    """Sixteen pictures with edges, in colour, with their ring."""
    side = SIZE + 2 * MARGIN
    coarse = torch.rand(16, 3, 10, 10, generator=generator(1))
    steps = (F.interpolate(coarse, size=(side, side), mode="nearest") * 3).floor() / 3 + 0.15
    return (F.avg_pool2d(steps, 3, 1, 1) * 255).byte()


@EACH
def test_severity_grows(corruption, pixels):
    clean = centre(pixels, SIZE).float()
    apart = [(corruption.apply(pixels, SIZE, each, generator()) - clean).square().mean().sqrt() for each in SEVERITIES]
    assert all(near < far for near, far in pairwise(apart))
    assert apart[0] > 0.3  # grey levels


@EACH
def test_shape_and_kind_are_kept_and_the_input_too(corruption, pixels):
    before = pixels.clone()
    for channels in (3,) if corruption.colour else (1, 3):
        for severity in (1, 5):
            found = corruption.apply(pixels[:, :channels], SIZE, severity, generator())
            assert (found.shape, found.dtype) == ((16, channels, SIZE, SIZE), torch.uint8)
    assert torch.equal(pixels, before)


@EACH
def test_the_generator_alone_decides(corruption, pixels):
    torch.manual_seed(0)
    first = corruption.apply(pixels, SIZE, 3, generator(3))
    torch.manual_seed(1)
    again = corruption.apply(pixels, SIZE, 3, generator(3))
    assert torch.equal(first, again)
    drawn = {"uneven_light", "glare", "motion_blur", "sensor_noise", "colour_temperature", "rotation"}
    other = corruption.apply(pixels, SIZE, 3, generator(4))
    assert torch.equal(first, other) == (corruption.name not in drawn)


def test_grey_pictures_have_no_colour_to_lose():
    left_out = {each.name for each in corruptions(3)} - {each.name for each in corruptions(1)}
    assert left_out == {"colour_temperature"}


# What training knows -----------------------------------------------------------------------------------------


def names(augment):
    return set(trained_on(augment))


def test_plain_training_knows_nothing():
    assert names(NoAugmentConfig()) == names(SymmetriesConfig()) == set()


def test_the_standard_view_names_its_keys():
    found = trained_on(StandardConfig())
    assert set(found) == {
        "brighter", "darker", "contrast", "defocus", "motion_blur", "resolution", "sensor_noise", "rotation", SHIFT,
    }  # fmt: skip
    assert found["brighter"] == ["augment.view.photometry.brightness", "augment.view.photometry.gamma"]
    assert found[SHIFT] == ["augment.view.geometry.translation"]


def test_each_key_counts_by_itself():
    still = PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0)
    geometry = GeometryConfig(rotation=0, translation=0, shrink=0)
    for group, values in (("photometry", still), ("geometry", geometry)):
        for key, alike in VIEW[group].items():
            if key == "random_crop":
                continue
            one = values.model_copy(update={key: 0.1})
            parts = {"photometry": still, "geometry": geometry, group: one}
            assert names(StandardConfig(view=ViewConfig(**parts))) == set(alike)


def test_random_crops_replace_rotation():
    crop = GeometryConfig(random_crop=RandomCropConfig(), allow_crops=True)
    still = PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0)
    assert names(StandardConfig(view=ViewConfig(geometry=crop, photometry=still))) == {SHIFT, "resolution"}


@pytest.mark.parametrize("config", [AugMixConfig, RandAugmentConfig])
def test_operations_are_named(config):
    found = trained_on(config(operations=("brightness", "solarize", "rotate_inside")))
    assert found == {
        "brighter": ["augment.operations=brightness"], "darker": ["augment.operations=brightness"],
        "rotation": ["augment.operations=rotate_inside"],
    }  # fmt: skip


def test_every_name_that_is_looked_up_exists():
    assert set(OPERATIONS) <= set(get_args(Operation))
    alike = {name for group in VIEW.values() for each in group.values() for name in each}
    alike |= {name for each in OPERATIONS.values() for name in each}
    assert alike <= {each.name for each in CORRUPTIONS} | {SHIFT}
    strengths = {key for key, _ in PhotometryConfig()}
    assert strengths == set(VIEW["photometry"])
