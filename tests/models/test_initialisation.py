"""He et al.'s beginning: variances of convolutions, and what is 1 or 0."""

import math

import pytest
import torch
from torch import nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.initialisation import begin_as_he


def network(name, **keys):
    torch.manual_seed(0)
    return Backbone(BackboneConfig(name=name, **keys), 1).network


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d", "densenet121", "efficientnet_b0"])
def test_convolutions_are_normal_with_two_over_the_leaving_connections(name):
    checked = 0
    for layer in network(name, init="he").modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 4000:
            height, width = layer.kernel_size
            std = math.sqrt(2 / (height * width * layer.out_channels / layer.groups))
            assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
            assert layer.weight.mean().abs() < 4 * std / math.sqrt(layer.weight.numel())
            assert (layer.weight.abs() > 2.5 * std).any()  # no uniform distribution reaches there
            checked += 1
    assert checked > 10


def test_norms_begin_as_the_identity_and_linear_biases_at_zero():
    parts = nn.Sequential(
        nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.BatchNorm2d(4, affine=False), nn.Linear(4, 2)
    )
    for parameter in parts.parameters():
        nn.init.constant_(parameter, 7.0)
    begin_as_he(parts)
    for part in parts[:3]:
        assert part.weight.tolist() == [1] * 4
        assert part.bias.tolist() == [0] * 4
    assert parts[4].bias.tolist() == [0, 0]
    assert (parts[4].weight == 7).all()


def test_the_networks_own_beginning_is_another():
    """Resnets begin with the last norm of a branch at 0, densenets by the connections that arrive."""
    own, he = network("resnet18"), network("resnet18", init="he")
    assert own.layer1[0].bn2.weight.abs().max() == 0
    assert he.layer1[0].bn2.weight.min() == 1
    own, he = network("densenet121"), network("densenet121", init="he")
    assert (
        own.features.denseblock4.denselayer16.conv2.weight.std()
        < he.features.denseblock4.denselayer16.conv2.weight.std()
    )


def test_group_norm_in_place_of_batch_norm_begins_alike():
    group = network("test_resnet", init="he", norm="group")
    norms = [each for each in group.modules() if isinstance(each, nn.GroupNorm)]
    assert norms
    assert all((each.weight == 1).all() and (each.bias == 0).all() for each in norms)
