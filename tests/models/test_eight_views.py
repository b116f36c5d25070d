"""Test-time augmentation: the eight views, and features that no turn or mirroring of an image changes."""

import itertools

import numpy as np
import pytest
import torch

from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.models.symmetries import AS_IT_IS, SYMMETRIES, one_view

NETWORKS = {
    "own end": {"name": "test_resnet"},
    "neck": {"name": "resnet18", "strides": (8, 16), "neck": 3, "pool": "max"},
}


def network(tta, **keys):
    torch.manual_seed(0)
    return Backbone(BackboneConfig(tta=tta, **keys), 1)


@pytest.fixture
def images():
    return torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(1))


def test_the_views_are_numpys_turns_and_mirror_images():
    image = np.arange(12).reshape(3, 4)
    naive = {np.rot90(side, turns).tobytes() for side, turns in itertools.product((image, image[:, ::-1]), range(4))}
    found = [symmetry.of(torch.from_numpy(image)[None, None])[0, 0].numpy() for symmetry in SYMMETRIES]
    assert {each.tobytes() for each in found} == naive
    assert SYMMETRIES[0] == AS_IT_IS


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_map_of_a_view_lies_where_the_image_does_again(symmetry):
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert torch.equal(symmetry.undone(symmetry.of(image)), image)


@pytest.mark.parametrize("keys", NETWORKS.values(), ids=NETWORKS)
def test_judged_over_symmetries_features_are_means_that_no_symmetry_changes(keys, images):
    one, over = (network(tta, **keys).eval() for tta in ("none", "symmetries"))
    with torch.no_grad():
        views = [one(torch.rot90(each, turns, (2, 3))) for each in (images, images.flip(3)) for turns in range(4)]
        found = over(images)
        assert not torch.allclose(views[0], views[1], atol=1e-4)  # a network by itself is not invariant
        torch.testing.assert_close(found, sum(views) / 8)
        for symmetry in SYMMETRIES:
            torch.testing.assert_close(over(symmetry.of(images)), found)


@pytest.mark.parametrize("keys", NETWORKS.values(), ids=NETWORKS)
def test_behind_a_downsizer_it_is_the_image_that_is_turned(keys, images):
    def behind(tta):
        torch.manual_seed(0)
        encoder = Backbone(BackboneConfig(name="test_resnet"), 1)
        return DownsizedBackbone(encoder, BackboneConfig(tta=tta, **keys), DownsizerConfig(stride=4))

    images = torch.cat([images] * 4, 2).reshape(3, 1, 96, 96)
    one, over = behind("none").eval(), behind("symmetries").eval()
    with torch.no_grad():
        torch.testing.assert_close(over(images), sum(one(symmetry.of(images)) for symmetry in SYMMETRIES) / 8)
        assert torch.equal(behind("symmetries").train()(images), behind("none").train()(images))


def test_what_training_chooses_by_is_one_view(images):
    one, over = (network(tta, name="test_resnet").eval() for tta in ("none", "symmetries"))
    with torch.no_grad():
        with one_view(over):
            assert torch.equal(over(images), one(images))
        assert not torch.allclose(over(images), one(images), atol=1e-4)


@pytest.mark.parametrize("keys", NETWORKS.values(), ids=NETWORKS)
def test_training_sees_one_view_of_an_image(keys, images):
    one, over = (network(tta, **keys).train() for tta in ("none", "symmetries"))
    assert torch.equal(one(images), over(images))
    over.eval()(images)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), over.state_dict().values(), strict=True))


def test_features_of_one_view_and_of_eight_are_not_kept_under_one_name():
    assert network("none", name="test_resnet").design != network("symmetries", name="test_resnet").design
