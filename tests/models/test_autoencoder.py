"""The autoencoder network: sizes, padding, and refusals."""

import numpy as np
import pytest
import torch

from ssl_pcb.config.method import AutoencoderConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.autoencoder import Autoencoder, mirror_pad
from ssl_pcb.models.backbones import Backbone


def network(size, channels=1, name="test_resnet", **keys):
    torch.manual_seed(0)
    return Autoencoder(
        AutoencoderConfig(**{"decoder_width": 8, **keys}), Backbone(BackboneConfig(name=name), channels), size
    )


@pytest.mark.parametrize("size", [32, 64, 96, 100, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_comes_back_as_it_went_in(size, channels):
    model, images = network(size, channels, dim=5).eval(), torch.rand(2, channels, size, size)
    codes, rebuilt = model.encode(images), model(images)
    assert codes.shape == (2, 5)
    assert rebuilt.shape == images.shape
    assert (rebuilt >= 0).all()
    assert (rebuilt <= 1).all()
    assert torch.equal(model.decode(codes), rebuilt)


@pytest.mark.parametrize("size", [33, 40, 63, 64])
def test_padding_is_the_mirror_image_evenly(size):
    images = torch.rand(1, 2, size, size)
    missing = -size % 32
    width = (missing // 2, missing - missing // 2)
    expected = np.pad(images.numpy(), ((0, 0), (0, 0), width, width), mode="symmetric")
    assert np.array_equal(mirror_pad(images, 32).numpy(), expected)


def test_what_is_rebuilt_is_cut_from_where_the_image_was_put():
    """A decoder that repeats its padded target exactly gives back the image."""
    model, image = network(40), torch.rand(1, 1, 40, 40)
    model.decode_map = torch.nn.Identity()
    model.decoder = torch.nn.Identity()
    assert torch.equal(model.decode(mirror_pad(image, 32)), image)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_no_layer_is_a_narrower_neck_than_the_code(size):
    """Else a code of 256 numbers would hold fewer."""
    model = network(size, name="resnet18", dim=256).eval()
    first, _, linear = model.encode_map
    assert linear.in_features >= 256 or first.out_channels == 512  # the backbone's own map is the limit
    with torch.no_grad():
        rank = torch.linalg.matrix_rank(linear.weight).item()
    assert rank == min(256, linear.in_features)


def test_the_head_is_all_but_the_backbone():
    model = network(32)
    names = {f"backbone.{name}" for name in model.backbone.state_dict()} | model.head().keys()
    assert names == model.state_dict().keys()


@pytest.mark.parametrize("name", ["test_vit"])
def test_a_backbone_without_a_map_at_stride_32_is_refused(name):
    with pytest.raises(UserError, match=f"'{name}' ends in no feature map at stride 32"):
        network(64, name=name)


def test_asking_for_the_map_leaves_mode_and_buffers(monkeypatch):
    backbone = Backbone(BackboneConfig(name="test_resnet"), 1).train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    assert backbone.map_depth(32) == 96
    assert backbone.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_pooled_features_come_from_the_map():
    """So that linear-eval and finetune take what the autoencoder trained."""
    backbone = Backbone(BackboneConfig(name="test_resnet"), 1).eval()
    images = torch.rand(3, 1, 64, 64)
    pooled = backbone.feature_map(images).mean((2, 3))
    assert torch.allclose(backbone(images), pooled, atol=1e-6)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "resnet18"])
def test_every_parameter_that_trains_gets_a_gradient(name):
    """Several processes wait for each other's gradients, for ever if one never comes."""
    network = Autoencoder(AutoencoderConfig(dim=4), Backbone(BackboneConfig(name=name), 1), 64)
    network(torch.rand(2, 1, 64, 64)).sum().backward()
    trained = [value for value in network.parameters() if value.requires_grad]
    assert all(value.grad is not None for value in trained)
    assert len(trained) > 0.9 * len(list(network.parameters()))


def test_a_backbone_that_pools_through_more_layers_is_refused():
    with pytest.raises(UserError, match=r"'mobilenetv3_small_050' pass through layers behind .*conv_head"):
        Autoencoder(AutoencoderConfig(), Backbone(BackboneConfig(name="mobilenetv3_small_050"), 1), 64)


def test_a_code_longer_than_the_map_behind_it_is_refused():
    depth = Backbone(BackboneConfig(name="test_resnet"), 1).map_depth(32)
    network(64, dim=4 * depth)
    with pytest.raises(UserError, match=rf"method\.dim: {4 * depth + 1} numbers are more than the {4 * depth}"):
        network(64, dim=4 * depth + 1)
