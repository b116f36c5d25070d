"""Anti-aliased downsampling: a shift by one pixel changes features less, and weights stay what they were."""

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.antialias import Blur
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.training.checkpoint import load_backbone, save_backbone
from ssl_pcb.training.lineage import TrainedOn

FAMILIES = ["test_resnet", "resnet18", "densenet121", "test_efficientnet"]
NAMED = ["densenet201", "efficientnet_b3", "resnext50_32x4d", "resnext101_32x8d"]


def make(antialias, name="test_resnet", seed=0):
    torch.manual_seed(seed)
    return Backbone(BackboneConfig(name=name, antialias=antialias), 1)


def patterns(count=12, size=65):
    """Random traces: sharp edges, a few pixels wide."""
    noise = torch.rand(count, 1, size + 4, size + 4, generator=torch.Generator().manual_seed(0))
    return (F.avg_pool2d(noise, 5, 1) > 0.5).float()


def sensitivity(backbone, images):
    """Mean change of the features under a shift by one pixel, over the mean distance between images."""
    with torch.no_grad():
        here, there = backbone(images[..., :-1]), backbone(images[..., 1:])
    return float((here - there).norm(dim=1).mean() / torch.pdist(here).mean())


def as_if_trained(backbone, images):
    """Norms with weights and statistics of their own: timm's residual branches begin at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
        for _ in range(5):
            backbone.train()(images)
    return backbone.eval()


@pytest.mark.parametrize("size", [2, 3, 8, 15])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_blur_is_that_of_the_paper(size, stride):
    """Reflected at the edges, weighted 1 2 1 in both directions, every second pixel kept."""
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    rows = (padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]) / 4
    whole = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4
    torch.testing.assert_close(Blur(3, stride=stride).double()(images), whole[..., ::stride, ::stride])


@pytest.mark.parametrize("name", [*FAMILIES, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMED)])
def test_a_shift_by_a_pixel_changes_features_less_at_equal_weights(name):
    images = patterns()
    plain, blurred = (as_if_trained(make(antialias, name), images[..., 1:]) for antialias in (False, True))
    weights = {key for key, _ in plain.named_parameters()}
    assert weights == {key for key, _ in blurred.named_parameters()}
    assert all(torch.equal(plain.get_parameter(key), blurred.get_parameter(key)) for key in weights)
    assert sensitivity(blurred, images) < sensitivity(plain, images)


def test_no_shortcut_of_a_resnet_skips_pixels_unseen():
    """The layers that timm has blur the branches and leave the shortcuts as they are."""

    def shortcuts(backbone):
        found = [m for m in backbone.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
        return [m.stride for m in found]

    assert shortcuts(make(False, "resnet18")) == [(2, 2)] * 3
    assert shortcuts(make(True, "resnet18")) == [(1, 1)] * 3
    (first,) = [m for name, m in make(True, "resnet18").named_modules() if name.endswith("layer2.0.downsample.0")]
    values = torch.rand(1, 64, 8, 8, dtype=torch.float32)
    kernel = torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 16
    around = F.pad(values, (1, 1, 1, 1), "reflect")
    for y, x in ((0, 0), (2, 3)):
        window = around[0, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
        expected = first.weight[:, :, 0, 0] @ (window * kernel).sum((1, 2))
        torch.testing.assert_close(first(values)[0, :, y, x], expected)


@pytest.mark.parametrize("name", ["convnext_atto", "test_nfnet", "nf_resnet50", "test_vit"])
def test_a_family_without_it_is_refused_with_those_that_have_it(name):
    with pytest.raises(UserError, match=rf"^backbone.antialias: timm offers no anti-aliased '{name}'.*resnet18$"):
        make(True, name)


def test_weights_learnt_with_and_without_it_are_told_apart(tmp_path):
    assert make(True).design != make(False).design
    for antialias in (True, False):
        save_backbone(make(antialias), tmp_path, TrainedOn())
        with safe_open(tmp_path / "backbone.safetensors", "pt") as file:
            assert file.metadata()["antialias"] == str(antialias).lower()
        load_backbone(make(antialias, seed=1), tmp_path)
        had, asked = str(antialias).lower(), str(not antialias).lower()
        with pytest.raises(UserError, match=rf"backbone.antialias={had}, but the config asks for {asked}; set back"):
            load_backbone(make(not antialias), tmp_path)
    behind = [
        DownsizedBackbone(make(each), BackboneConfig(name="test_resnet"), DownsizerConfig()) for each in (True, False)
    ]
    assert behind[0].design != behind[1].design


def test_a_file_that_does_not_say_is_a_plain_network(tmp_path):
    save_backbone(make(False), tmp_path, TrainedOn())
    save_file(
        load_file(tmp_path / "backbone.safetensors"), tmp_path / "old.safetensors",
        {"backbone": "test_resnet", "channels": "1", "norm": "own"},
    )  # fmt: skip
    load_backbone(make(False, seed=1), tmp_path / "old.safetensors")
    with pytest.raises(UserError, match=r"set backbone\.antialias=false"):
        load_backbone(make(True), tmp_path / "old.safetensors")


def test_published_weights_of_the_plain_network_may_start_it(tmp_path):
    """As the paper's own models did."""
    torch.save(make(False, "resnet18").network.state_dict(), tmp_path / "bare.pt")
    network = make(True, "resnet18", seed=1)
    load_backbone(network, tmp_path / "bare.pt")
    assert torch.equal(network.network.conv1.weight, make(False, "resnet18").network.conv1.weight)
