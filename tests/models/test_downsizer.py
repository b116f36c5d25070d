"""The learned downsizer: its map, what stays frozen, and what it is taken for."""

import pytest
import torch

from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone, Downsizer

SMALL = BackboneConfig(name="test_resnet")


def encoder(name="test_resnet", channels=1):
    torch.manual_seed(0)
    return Backbone(BackboneConfig(name=name), channels)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
@pytest.mark.parametrize("stride", [4, 8])
def test_the_map_is_the_encoders_own(name, stride):
    images = torch.rand(2, 1, 64, 64)
    whole = encoder(name).eval()
    maps = whole.network.forward_intermediates((images - whole.mean) / whole.std, intermediates_only=True)
    expected = [found for found in maps if found.shape[-1] == 64 // stride][-1]
    downsizer = Downsizer(encoder(name), stride, frozen=True).eval()
    found = downsizer(images)
    assert found.shape == (2, downsizer.depth, 64 // stride, 64 // stride)
    assert torch.allclose(found, expected, atol=1e-6)
    assert sum(p.numel() for p in downsizer.parameters()) < sum(p.numel() for p in whole.parameters())


def step(network):
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    network.train()
    network(torch.rand(4, 1, 64, 64)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_stages_keep_weights_and_statistics(frozen):
    network = DownsizedBackbone(encoder(), SMALL, DownsizerConfig(frozen=frozen))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    step(network)
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("squeeze.") for name in moved)
    assert any("running_mean" in name for name in moved if name.startswith("backbone."))
    assert any(name.startswith("downsizer.network") for name in moved) != frozen


@pytest.mark.parametrize("channels", [1, 3])
def test_it_stands_where_a_backbone_stands(channels):
    network = DownsizedBackbone(encoder(channels=channels), SMALL, DownsizerConfig(stride=4)).eval()
    assert network(torch.rand(2, channels, 128, 128)).shape == (2, network.dim)
    assert network.channels == channels
    assert network.name == "test_resnet behind test_resnet at stride 4"  # never taken for a bare test_resnet


def test_the_classifier_sees_the_small_map_alone():
    network = DownsizedBackbone(encoder(), SMALL, DownsizerConfig(stride=8, channels=5)).eval()
    shapes = []
    network.backbone.register_forward_hook(lambda module, inputs, output: shapes.append(inputs[0].shape))
    network(torch.rand(2, 1, 256, 256))
    assert shapes == [(2, 5, 32, 32)]


def test_an_encoder_without_that_stride_is_refused():
    with pytest.raises(UserError, match="'test_vit' has no feature map at stride 4"):
        Downsizer(encoder("test_vit"), 4, frozen=True)


def test_start_weights_behind_a_map_are_refused():
    with pytest.raises(UserError, match=r"backbone\.weights"):
        DownsizedBackbone(encoder(), BackboneConfig(name="test_resnet", weights="timm"), DownsizerConfig())
