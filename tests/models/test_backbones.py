"""The norm of a backbone: what replaces batch norm, and which weights go with it."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone, refuse_size
from ssl_pcb.training.checkpoint import load_backbone, save_backbone
from ssl_pcb.training.lineage import TrainedOn

NETWORKS = ["resnet18", "densenet121", "efficientnet_b0"]


def make(norm, name="test_resnet", seed=0):
    torch.manual_seed(seed)
    return Backbone(BackboneConfig(name=name, norm=norm), 1)


def images(count, size=64):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0))


def learnt(name="test_resnet"):
    """A backbone whose batch norm has statistics and weights of its own."""
    backbone = make("own", name)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
        for _ in range(2):
            backbone(images(4))
    return backbone


@pytest.mark.parametrize("name", NETWORKS)
class TestGroupNorm:
    def test_no_batch_norm_is_left(self, name):
        own, group = make("own", name), make("group", name)
        batch_norms = [m for m in own.modules() if isinstance(m, nn.BatchNorm2d)]
        group_norms = [m for m in group.modules() if isinstance(m, nn.GroupNorm)]
        assert not [m for m in group.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        assert len(group_norms) == len(batch_norms) > 10
        for norm, replaced in zip(group_norms, batch_norms, strict=True):
            assert norm.num_channels == replaced.num_features
            assert norm.num_groups <= 32
            assert norm.num_channels % norm.num_groups == 0
            assert norm.num_channels // norm.num_groups >= 2
        assert [n for n, _ in group.named_parameters()] == [n for n, _ in own.named_parameters()]

    def test_samples_do_not_meet(self, name):
        backbone = make("group", name).train()
        for module in backbone.modules():  # stochastic depth draws for the whole batch
            if type(module).__name__.startswith("Drop"):
                module.eval()
        batch = images(3)
        alone = backbone(batch[:1])
        torch.testing.assert_close(backbone(batch)[:1], alone, rtol=1e-3, atol=1e-4)
        assert alone.std() > 0

    def test_gradients_reach_every_parameter(self, name):
        backbone = make("group", name).train()
        backbone(images(2)).square().sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in backbone.parameters())


def test_resnets_take_the_papers_32_groups_and_keep_the_zero_start_of_each_branch():
    group = make("group", "resnet18")
    assert {m.num_groups for m in group.modules() if isinstance(m, nn.GroupNorm)} == {32}
    assert not group.network.layer1[0].bn2.weight.any()
    assert group.network.layer1[0].bn1.weight.all()


def test_activations_inside_a_norm_stay():
    own, group = make("own", "efficientnet_b0"), make("group", "efficientnet_b0")
    kinds = [[type(m.bn1.act) for m in b.network.modules() if hasattr(m, "bn1")] for b in (own, group)]
    assert kinds[0] == kinds[1]
    assert nn.SiLU in kinds[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_with_batch_norm_load_frozen_and_stay_as_they_are(name, tmp_path):
    saved = learnt(name)
    save_backbone(saved, tmp_path, TrainedOn())
    frozen = make("frozen", name, seed=3)
    load_backbone(frozen, tmp_path)
    expected = saved.eval()(images(3))
    torch.testing.assert_close(frozen.eval()(images(3)), expected, rtol=1e-3, atol=1e-4)
    before = {key: value.clone() for key, value in frozen.named_buffers()}
    frozen.train()
    for module in frozen.modules():
        if type(module).__name__.startswith("Drop"):
            module.eval()
    trained = frozen(images(3))
    torch.testing.assert_close(trained, expected, rtol=1e-3, atol=1e-4)
    trained.sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in frozen.named_buffers())
    kept = {key.rpartition(".")[0] for key in before if key.endswith("running_mean")}
    assert kept
    assert not [key for key, _ in frozen.named_parameters() if key.rpartition(".")[0] in kept]


@pytest.mark.parametrize("norm", ["own", "group", "frozen"])
def test_the_norm_travels_with_the_weights(norm, tmp_path):
    saved = make(norm, seed=1)
    save_backbone(saved, tmp_path, TrainedOn())
    with safe_open(tmp_path / "backbone.safetensors", "pt") as file:
        assert file.metadata()["norm"] == norm
    loaded = make(norm, seed=2)
    load_backbone(loaded, tmp_path)
    table = loaded.state_dict()
    assert all(torch.equal(value, table[key]) for key, value in saved.state_dict().items())


@pytest.mark.parametrize(
    ("saved", "asked"),
    [("own", "group"), ("group", "own"), ("group", "frozen"), ("frozen", "group"), ("frozen", "own")],
)
def test_weights_under_another_norm_are_refused(saved, asked, tmp_path):
    save_backbone(make(saved), tmp_path, TrainedOn())
    network = make(asked, seed=2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(UserError) as refused:
        load_backbone(network, tmp_path)
    line = str(refused.value)
    assert line.startswith(str(tmp_path))
    assert f"set backbone.norm={saved}" in line
    assert "\n" not in line
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_file_that_does_not_say_its_norm_has_the_networks_own(tmp_path):
    save_backbone(learnt(), tmp_path, TrainedOn())
    tensors = load_file(tmp_path / "backbone.safetensors")
    save_file(tensors, tmp_path / "old.safetensors", {"backbone": "test_resnet", "channels": "1"})
    for norm in ("own", "frozen"):
        load_backbone(make(norm), tmp_path / "old.safetensors")
    with pytest.raises(UserError, match=r"backbone\.norm=own"):
        load_backbone(make("group"), tmp_path / "old.safetensors")


@pytest.mark.parametrize("norm", ["group", "frozen"])
def test_a_network_without_batch_norm_has_none_to_replace(norm):
    with pytest.raises(UserError, match=r"^backbone.norm: 'convnext_atto' has no batch norm.*set backbone.norm=own$"):
        make(norm, "convnext_atto")
    assert make("own", "convnext_atto").norm == "own"


def test_a_size_that_does_not_suit_is_refused_with_the_networks_own_words():
    network = Backbone(BackboneConfig(name="test_vit"), 1)
    refuse_size(network, 1, 64)
    with pytest.raises(UserError, match=r"data\.image_size: 40 px do not suit .*divisible by patch size"):
        refuse_size(network, 1, 40)


def test_strides_pool_the_networks_own_maps():
    torch.manual_seed(0)
    whole = Backbone(BackboneConfig(name="test_resnet"), 1).eval()
    cut = Backbone(BackboneConfig(name="test_resnet", strides=(8, 16), pool="avg_max"), 1).eval()
    cut.load_state_dict({name: value for name, value in whole.state_dict().items() if name in cut.state_dict()})
    images = torch.rand(2, 1, 96, 64)
    with torch.no_grad():
        every = whole.network.forward_intermediates((images - whole.mean) / whole.std, intermediates_only=True)
        fine, coarse = [each for each in every if each.shape[2:] in ((12, 8), (6, 4))]
        found = cut(images)
    expected = [fine.mean((2, 3)), fine.amax((2, 3)), coarse.mean((2, 3)), coarse.amax((2, 3))]
    torch.testing.assert_close(found, torch.cat(expected, 1))
    assert cut.dim == found.shape[1] == 2 * sum(cut.wide_depths)
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in whole.parameters())


def test_a_neck_fuses_the_maps_in_the_cells_of_the_finest():
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet", strides=(8, 16), neck=5, pool="max"), 1).eval()
    images = torch.rand(2, 1, 64, 64)
    (fused,) = backbone.maps(images)
    assert fused.shape == (2, 5, 8, 8)
    torch.testing.assert_close(backbone(images), fused.amax((2, 3)))
    fine, coarse = backbone.wide_maps(images)
    # Scale is no voice: each map is normalised by itself. Either of them is heard.
    torch.testing.assert_close(backbone.fused([fine * 100, coarse]), fused, rtol=1e-2, atol=1e-2)
    for changed in ([fine.flip(0), coarse], [fine, coarse.flip(0)]):
        assert (backbone.fused(changed) - fused).abs().max() > 1e-2


@pytest.mark.parametrize("neck", [0, 5])
def test_surroundings_are_seen_and_not_pooled(neck):
    config = BackboneConfig(name="test_resnet", strides=(8, 16), neck=neck, pool="max")
    torch.manual_seed(0)
    whole = Backbone(config, 1).eval()
    within = Backbone(config, 1, context=16).eval()
    within.load_state_dict(whole.state_dict())
    images = torch.rand(2, 1, 96, 96)
    for found, everywhere, aside in zip(within.maps(images), whole.maps(images), (2, 1), strict=False):
        torch.testing.assert_close(found, everywhere[..., aside:-aside, aside:-aside])
    pooled = torch.cat([each.amax((2, 3)) for each in within.maps(images)], 1)
    torch.testing.assert_close(within(images), pooled)
    assert within.dim == whole.dim
    assert within.design != whole.design
    around = images.clone()
    around[..., :16, :] = 0
    assert not torch.allclose(within(around), within(images))


def test_surroundings_are_whole_cells_of_what_is_pooled():
    Backbone(BackboneConfig(name="test_resnet", strides=(8, 16), neck=5, pool="max"), 1, context=8)  # pooled at 8
    with pytest.raises(UserError, match="8 px are no whole cells of 16 px"):
        Backbone(BackboneConfig(name="test_resnet", strides=(8, 16), pool="max"), 1, context=8)
    with pytest.raises(UserError, match=r"data.context: .*set backbone.strides"):
        Backbone(BackboneConfig(name="test_resnet"), 1, context=8)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "densenet121", "efficientnet_b0"])
def test_strides_are_pixels_per_step_in_every_family(name):
    backbone = Backbone(BackboneConfig(name=name, strides=(8, 16), pool="max"), 3).eval()
    with torch.no_grad():
        maps = backbone.maps(torch.rand(1, 3, 64, 64))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (backbone.wide_depths[0], 8, 8),
        (backbone.wide_depths[1], 4, 4),
    ]


@pytest.mark.parametrize("size", [64, 96])
def test_patch_tokens_of_a_transformer_made_for_one_size_are_pooled_at_any(size):
    backbone = Backbone(BackboneConfig(name="vit_tiny_patch16_224", strides=(16,), pool="avg_max"), 1).eval()
    seen, network = images(2, size), backbone.network
    with torch.no_grad():
        tokens = network._pos_embed(network.patch_embed((seen - backbone.mean) / backbone.std))
        for block in network.blocks:
            tokens = block(tokens)
        patches = tokens[:, network.num_prefix_tokens :]
        assert patches.shape[1] == (size // 16) ** 2
        torch.testing.assert_close(backbone(seen), torch.cat([patches.mean(1), patches.amax(1)], 1))


def test_the_generalised_mean_is_what_its_name_says_and_lies_between_mean_and_maximum():
    def features(pool):
        torch.manual_seed(0)
        return Backbone(BackboneConfig(name="test_resnet", strides=(8, 16), pool=pool), 1).eval()

    with torch.no_grad():
        found = features("gem")(images(3))
        maps = features("gem").maps(images(3))
        values = maps[0].double().clamp(min=0).flatten(2)
        naive = [[sum(v**3 for v in channel) ** (1 / 3) / len(channel) ** (1 / 3) for channel in sample]
                 for sample in values.tolist()]  # fmt: skip
        assert found[:, : maps[0].shape[1]].numpy() == pytest.approx(np.array(naive), abs=1e-5)
        mean, largest = features("avg")(images(3)), features("max")(images(3))
    assert (found >= mean - 1e-5).all()
    assert (found <= largest + 1e-5).all()


def test_strides_that_a_network_lacks_are_refused_with_those_that_it_has():
    with pytest.raises(
        UserError, match=r"backbone.strides: 'resnet18' has no map of stride 64, only of 2, 4, 8, 16, 32"
    ):
        Backbone(BackboneConfig(strides=(8, 64)), 1)
    for keys, said in (
        ({"strides": (16, 8)}, "strides must ascend"),
        ({"pool": "max"}, "set strides as well"),
        ({"pool": "gem", "strides": (8,), "neck": 3}, "most of a neck's log-odds"),
        ({"neck": 4}, "neck fuses"),
    ):
        with pytest.raises(ValidationError, match=said):
            BackboneConfig(**keys)


def test_a_whole_networks_weights_start_a_cut_one(tmp_path):
    whole = Backbone(BackboneConfig(name="test_resnet"), 1)
    save_backbone(whole, tmp_path, TrainedOn())
    torch.save(whole.network.state_dict(), tmp_path / "bare.pt")
    for source in (tmp_path, tmp_path / "bare.pt"):
        cut = Backbone(BackboneConfig(name="test_resnet", strides=(8,)), 1)
        load_backbone(cut, source)
        for name, value in cut.network.state_dict().items():
            assert torch.equal(value, whole.network.state_dict()[name])
    (tmp_path / "cut").mkdir()
    save_backbone(cut, tmp_path / "cut", TrainedOn())
    with pytest.raises(UserError, match="tensors missing"):
        load_backbone(whole, tmp_path / "cut")
