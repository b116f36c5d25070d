"""Weights that come as a bare timm network: scale and channels of the images that they were made for."""

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.training.checkpoint import load_backbone, save_backbone
from ssl_pcb.training.lineage import TrainedOn

NAMES = ["test_resnet", "test_nfnet", "test_convnext", "test_vit", "densenet121"]


def backbone(name="test_resnet", channels=1, seed=1):
    torch.manual_seed(seed)
    return Backbone(BackboneConfig(name=name), channels).eval()


def theirs(name, channels=3, classes=10):
    torch.manual_seed(0)
    return timm.create_model(name, in_chans=channels, num_classes=classes).eval()


def write(network, file):
    state = network.state_dict()
    save_file(state, file) if file.suffix == ".safetensors" else torch.save(state, file)
    return file


def features(network, images):
    """What a bare network pools of images (B, C, H, W) in [0, 1], scaled as timm says."""
    mean, std = (torch.tensor(network.pretrained_cfg[key]).reshape(-1, 1, 1) for key in ("mean", "std"))
    network.reset_classifier(0)
    with torch.no_grad():
        return network((images - mean) / std)


def pictures(channels):
    return torch.rand(3, channels, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", NAMES)
def test_in_its_own_channels_it_computes_what_it_did(name, suffix, tmp_path):
    network, file = theirs(name), tmp_path / f"w{suffix}"
    ours = backbone(name, 3)
    load_backbone(ours, write(network, file))
    torch.testing.assert_close(ours(pictures(3)), features(network, pictures(3)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", NAMES)
def test_on_grey_boards_it_computes_what_it_did_of_grey_pictures_in_colour(name, suffix, tmp_path):
    network, file = theirs(name), tmp_path / f"w{suffix}"
    ours = backbone(name, 1)
    load_backbone(ours, write(network, file))
    for key in ("mean", "std"):  # one channel has one scale: the mean of the three
        value = network.pretrained_cfg[key]
        assert ours.get_buffer(key).flatten().tolist() == pytest.approx([sum(value) / 3])
        network.pretrained_cfg[key] = [sum(value) / 3] * 3
    grey = pictures(1)
    expected = features(network, grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours(grey), expected, rtol=1e-3, atol=1e-4)


def test_grey_weights_in_colour_see_the_mean_of_the_channels(tmp_path):
    network = theirs("test_resnet", channels=1)
    network.pretrained_cfg["mean"], network.pretrained_cfg["std"] = [0.5], [0.5]
    ours = backbone("test_resnet", 3)
    load_backbone(ours, write(network, tmp_path / "w.pth"))
    coloured = pictures(3)
    torch.testing.assert_close(ours(coloured), features(network, coloured.mean(1, keepdim=True)), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_network_that_folds_pixels_into_channels_first(tmp_path):
    network = theirs("tresnet_m")
    ours = backbone("tresnet_m", 1)
    load_backbone(ours, write(network, tmp_path / "w.pth"))
    for key in ("mean", "std"):
        network.pretrained_cfg[key] = [float(ours.get_buffer(key))] * 3
    expected = features(network, pictures(1).expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours(pictures(1)), expected, rtol=1e-3, atol=1e-4)


def test_the_scale_travels_with_the_weights_from_then_on(tmp_path):
    load_backbone(started := backbone("densenet121", 3), write(theirs("densenet121"), tmp_path / "w.pth"))
    assert len(set(started.mean.flatten().tolist())) == 3
    save_backbone(started, tmp_path, TrainedOn())
    again = backbone("densenet121", 3, seed=2)
    load_backbone(again, tmp_path)
    assert torch.equal(again.mean, started.mean)
    assert torch.equal(again(pictures(3)), started(pictures(3)))


def test_a_run_of_one_scale_for_all_channels_still_loads(tmp_path):
    saved = backbone("test_resnet", 3)
    save_backbone(saved, tmp_path, TrainedOn())
    tensors = load_file(tmp_path / "backbone.safetensors")
    for key, value in (("mean", 0.4), ("std", 0.3)):
        tensors[key] = torch.full((1, 1, 1), value)
    save_file(tensors, tmp_path / "old.safetensors", {"backbone": "test_resnet", "channels": "3"})
    loaded = backbone("test_resnet", 3, seed=2)
    load_backbone(loaded, tmp_path / "old.safetensors")
    assert loaded.mean.flatten().tolist() == pytest.approx([0.4] * 3)
    assert loaded.std.flatten().tolist() == pytest.approx([0.3] * 3)


def test_another_networks_first_layer_is_not_made_to_fit(tmp_path):
    write(theirs("test_resnet"), tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: .*resnet18 with 1 channel") as refused:
        load_backbone(backbone("resnet18"), tmp_path / "w.pth")
    assert "\n" not in str(refused.value)
