"""Painted defects in supervised training: labels follow what is painted, and nothing else changes."""

import pytest
import torch

from ssl_pcb.augment.build import build_augment
from ssl_pcb.augment.views import plain_view
from ssl_pcb.config.augment import AS_IT_IS
from ssl_pcb.config.defects import DefectConfig
from ssl_pcb.config.load import load_config
from ssl_pcb.config.painting import PaintedConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.errors import UserError

SIZE, COUNT = 48, 64


def shown(null_share=0.5, view=AS_IT_IS, seed=0, context=0):
    """Striped grey boards, every fourth Defective, and what the augmentation makes of them."""
    stripes = (torch.arange(SIZE) // 8 % 2 * 140 + 60).to(torch.uint8)
    pixels = stripes.expand(COUNT, 1, SIZE, SIZE).contiguous()
    labels = (torch.arange(COUNT) % 4 == 0).long()
    config = PaintedConfig(view=view, defect=DefectConfig(null_share=null_share))
    return pixels, labels, build_augment(config, SIZE, context)(pixels, labels, torch.Generator().manual_seed(seed))


def test_what_is_painted_clearly_is_defective_and_nothing_else_changes_its_label():
    pixels, labels, made = shown()
    change = (made.images - plain_view(pixels, SIZE)).abs().flatten(1).amax(1)
    assert (change[made.painted] >= 0.1 - 1e-6).all()
    assert (made.labels == torch.where(made.painted, 1, labels)).all()
    good = labels == 0
    assert 0.25 < made.painted[good].float().mean() < 0.75
    assert made.painted[~good].any()  # those that are Defective already get one too


def test_what_is_painted_around_a_tile_makes_it_no_defective_one():
    """As tiles are labelled: half of a defect and more is Defective, nothing of it is good, and a sliver is neither."""
    context, inside = 12, slice(12, SIZE - 12)
    pixels, labels, made = shown(null_share=0.0, context=context)
    change = (made.images - plain_view(pixels, SIZE)).abs().amax(1) >= 0.1
    whole, own = change.flatten(1).sum(1), change[:, inside, inside].flatten(1).sum(1)
    assert (made.labels == torch.where(own > 0, 1, labels)).all()
    assert (own[own > 0] >= whole[own > 0] / 2).all()
    assert 0 < (own[whole > 0] == 0).sum() < (whole > 0).sum()  # some lie around the tile
    assert (own < whole)[own > 0].any()  # and the tile's edge cuts some
    assert (whole == 0).any()  # slivers are undone


def test_noise_comes_after_painting_and_the_seed_decides():
    """A blob without the camera's noise would give itself away."""
    noisy = AS_IT_IS.model_copy(update={"photometry": AS_IT_IS.photometry.model_copy(update={"noise": 0.1})})
    images = shown(view=noisy)[2].images
    assert torch.equal(images, shown(view=noisy)[2].images)
    assert not torch.equal(images, shown(view=noisy, seed=1)[2].images)
    flat, noised = ((each[..., 1:] == each[..., :-1]).float().mean().item() for each in (shown()[2].images, images))
    assert flat > 0.5
    assert noised < 0.001


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            {"loss.name": "logit_adjusted"},
            "augment.name: painted makes good pictures Defective, and loss logit_adjusted",
        ),
        ({"loss.class_weights": "balanced"}, "set loss.name=cross_entropy without class weights"),
        ({"augment.defect.null_share": 1}, "augment.defect.null_share: input should be less than 1"),
    ],
)
def test_what_it_does_not_go_with(keys, line):
    with pytest.raises(UserError) as refused:
        load_config(FinetuneConfig, None, {"augment.name": "painted", **keys})
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_golden_images_stay_as_they_are():
    pixels, labels, _ = shown()
    pairs = torch.cat([pixels, pixels], 1)
    config = PaintedConfig(view=AS_IT_IS, defect=DefectConfig(null_share=0.0))
    made = build_augment(config, SIZE, references=True)(pairs, labels, torch.Generator().manual_seed(0))
    assert torch.equal(made.images[:, 1:], plain_view(pixels, SIZE))
    assert ((made.images[:, :1] != made.images[:, 1:]).flatten(1).any(1) >= made.painted).all()
    assert made.painted.float().mean() > 0.5
