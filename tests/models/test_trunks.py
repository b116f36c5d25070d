"""Heads: what each computes, and which networks it goes with."""

import numpy as np
import pytest
import torch
from torch import nn

from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.config.model import AttentionHeadConfig, BackboneConfig, LinearHeadConfig, MLPHeadConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.models.heads import build_head
from ssl_pcb.models.trunks import input_dim

HEADS = [LinearHeadConfig(), MLPHeadConfig(hidden_dim=12), AttentionHeadConfig(heads=4)]


def build(config, dim=16):
    torch.manual_seed(0)
    return build_head(config, CrossEntropyConfig(), dim, 2).eval()


def backbone(name="test_resnet", **keys):
    torch.manual_seed(0)
    return Backbone(BackboneConfig(name=name, **keys), 1)


def some_map(count=3, depth=16, height=3, width=5):
    return torch.randn(count, depth, height, width, generator=torch.Generator().manual_seed(1))


def arrays(module):
    return {name: value.detach().double().numpy() for name, value in module.named_parameters()}


def test_the_attention_head_equals_the_naive_version():
    head, maps = build(AttentionHeadConfig(heads=4)), some_map()
    w = arrays(head)
    query = w["trunk.pool.q.weight"] @ w["trunk.pool.latent"][0, 0] + w["trunk.pool.q.bias"]
    expected = []
    for sample in maps.double().numpy():
        places = sample.reshape(16, -1).T
        both = places @ w["trunk.pool.kv.weight"].T + w["trunk.pool.kv.bias"]
        pooled = []
        for part in np.split(np.arange(16), 4):  # a head sees a quarter of the channels
            keys, values = both[:, part], both[:, 16 + part]
            shares = np.exp(keys @ query[part] / 2)  # by the root of four channels
            pooled.append(shares @ values / shares.sum())
        expected.append(w["layer.weight"] @ np.concatenate(pooled) + w["layer.bias"])
    assert head(maps).detach().numpy() == pytest.approx(np.array(expected), abs=1e-5)


def test_attention_takes_maps_of_any_size_and_does_not_mind_where_on_them():
    head, maps = build(AttentionHeadConfig(heads=4)), some_map()
    order = torch.randperm(15, generator=torch.Generator().manual_seed(2))
    shuffled = maps.flatten(2)[..., order].reshape(maps.shape)
    torch.testing.assert_close(head(shuffled), head(maps))
    assert head(some_map(height=1, width=1)).shape == (3, 2)


def test_attention_can_find_one_place_among_many_that_the_average_loses():
    """A thousand places of noise; in half of the maps one of them holds a mark, a hundredth of the average."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(64, 8, 32, 32, generator=generator)
    labels = torch.arange(64) % 2
    maps[labels == 1, 0, 5, 9] += 8
    head = build(AttentionHeadConfig(heads=1), dim=8)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-2)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(maps), labels).backward()
        optimizer.step()
    fresh = torch.randn(200, 8, 32, 32, generator=generator)
    truth = torch.arange(200) % 2
    fresh[truth == 1, 0, 20, 3] += 8
    assert (head(fresh).argmax(1) == truth).float().mean() > 0.95
    average = fresh.mean((2, 3))[:, 0]
    assert ((average > average.median()).long() == truth).float().mean() < 0.8


def test_the_mlp_head_equals_the_naive_version_and_drops_in_training_alone():
    head, features = build(MLPHeadConfig(hidden_dim=12, drop_rate=0.5)), torch.randn(4, 16)
    w = arrays(head)
    hidden = np.maximum(features.double().numpy() @ w["trunk.0.weight"].T + w["trunk.0.bias"], 0)
    expected = hidden @ w["layer.weight"].T + w["layer.bias"]
    assert head(features).detach().numpy() == pytest.approx(expected, abs=1e-5)
    head.train()
    assert not torch.equal(head(features), head(features))


@pytest.mark.parametrize("config", HEADS, ids=lambda config: config.name)
@pytest.mark.parametrize(
    "network", [{"name": "test_resnet"}, {"name": "test_convnext"}, {"strides": (8,)}, {"strides": (8, 16), "neck": 4}],
    ids=str,
)  # fmt: skip
def test_all_that_is_trained_gets_a_gradient(config, network):
    """Several processes wait for each other's gradients, for ever if one never comes."""
    extractor = backbone(**network)
    head = build(config, input_dim(config, extractor))
    images = torch.rand(2, 1, 64, 64)
    seen = extractor.feature_map(images) if head.on_map else extractor(images)
    head(seen).square().sum().backward()
    for name, value in [*extractor.named_parameters(), *head.named_parameters()]:
        assert (value.grad is not None) == value.requires_grad, name
    trained = [value for value in extractor.parameters() if value.requires_grad]
    assert len(trained) > 0.9 * len(list(extractor.parameters()))


def test_attention_sees_the_map_that_is_averaged_elsewhere():
    extractor = backbone().eval()
    images = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(extractor.feature_map(images).mean((2, 3)), extractor(images))
    cut = backbone(strides=(8,)).eval()
    torch.testing.assert_close(cut.feature_map(images), cut.maps(images)[0])
    small = DownsizedBackbone(backbone(), BackboneConfig(name="test_resnet"), DownsizerConfig(stride=4)).eval()
    maps = small.feature_map(torch.rand(2, 1, 256, 256))
    assert maps.shape == (2, input_dim(AttentionHeadConfig(), small), 2, 2)


def test_attention_heads_that_do_not_divide_the_map_are_refused_with_a_number_that_does():
    with pytest.raises(UserError, match=r"^head.heads: 7 do not divide the 96 channels of test_resnet.*set it to 6$"):
        input_dim(AttentionHeadConfig(heads=7), backbone())


@pytest.mark.parametrize("name", ["test_vit", "test_mambaout"])
def test_attention_on_a_network_without_a_map_is_refused(name):
    with pytest.raises(UserError, match=rf"^backbone.name: '{name}' ends in no feature map; choose another"):
        input_dim(AttentionHeadConfig(), backbone(name))


def test_attention_before_layers_that_would_stay_random_is_refused():
    with pytest.raises(UserError, match=r"pooled features of 'mobilenetv3_small_050' pass through layers behind"):
        input_dim(AttentionHeadConfig(), backbone("mobilenetv3_small_050"))
