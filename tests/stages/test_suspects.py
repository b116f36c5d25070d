"""Cells that a network of painted defects suspects: the score lies in them, and eight views of a picture agree."""

import pytest
import torch

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.symmetries import SYMMETRIES
from ssl_pcb.stages.suspects import suspicion


def network(tta):
    torch.manual_seed(0)
    config = BackboneConfig(name="test_resnet", strides=(8, 16), pool="max", neck=7, tta=tta)
    return Backbone(config, 1, context=16).eval()


IMAGES = torch.rand(3, 1, 96, 96, generator=torch.Generator().manual_seed(1))


def test_the_most_suspicious_cell_is_the_score():
    backbone = network("none")
    found = suspicion(backbone, IMAGES)
    assert found.shape == (3, 8, 8)  # of the samples themselves, without what surrounds them
    torch.testing.assert_close(found.amax((1, 2)), torch.sigmoid(backbone(IMAGES)[:, 0]))


@pytest.mark.parametrize("symmetry", SYMMETRIES[1:])
def test_by_eight_views_a_turned_picture_has_the_same_cells_turned(symmetry):
    found, turned = (suspicion(network("symmetries"), images) for images in (IMAGES, symmetry.of(IMAGES)))
    torch.testing.assert_close(turned, symmetry.of(found))
    assert not torch.allclose(found, suspicion(network("none"), IMAGES), atol=1e-4)
