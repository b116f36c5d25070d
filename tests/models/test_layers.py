"""Last layers that a loss is made for: what they do to features, and that evaluation sees it too."""

import numpy as np
import pytest
import torch
from torch import nn

from ssl_pcb.config.loss import ClassRatioConfig, CrossEntropyConfig, FocalConfig, LogitAdjustedConfig, SupConConfig
from ssl_pcb.config.margin_losses import (
    L2ConstrainedSoftmaxConfig,
    LargeMarginSoftmaxConfig,
    LDAMConfig,
    TemperatureConfig,
)
from ssl_pcb.config.model import LinearHeadConfig
from ssl_pcb.config.optim import AdamWConfig
from ssl_pcb.losses.build import build_loss
from ssl_pcb.models.heads import build_head
from ssl_pcb.models.layers import build_layer
from ssl_pcb.objectives.classification import FeatureClassifier
from ssl_pcb.training.optim import build_optimizer

D = 5


def layer_of(config):
    torch.manual_seed(0)
    return build_layer(config, D, 2)


def some_features():
    return 7 * torch.randn(9, D, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "config",
    [CrossEntropyConfig(), FocalConfig(), LogitAdjustedConfig(), ClassRatioConfig(), SupConConfig()],
    ids=lambda config: config.name,
)
def test_most_losses_take_a_plain_linear_layer(config):
    layer = layer_of(config)
    assert type(layer) is nn.Linear
    assert layer.bias is not None


def test_large_margin_takes_no_bias():
    layer, features = layer_of(LargeMarginSoftmaxConfig()), some_features()
    assert list(layer.state_dict()) == ["weight"]
    assert torch.equal(layer(features), features @ layer.weight.T)


def test_features_of_the_asked_length_pass_l2_as_they_are_and_others_are_brought_to_it():
    layer, features = layer_of(L2ConstrainedSoftmaxConfig(alpha=12)), some_features()
    right = 12 * features / features.norm(dim=1, keepdim=True)
    expected = nn.functional.linear(right, layer.weight, layer.bias)
    assert layer.bias.any()
    for given in (right, features, 100 * features):
        torch.testing.assert_close(layer(given), expected)


def test_ldams_logits_are_scaled_cosines():
    layer, features = layer_of(LDAMConfig(scale=30)), some_features()
    x, w = features.double().numpy(), layer.weight.detach().double().numpy()
    cosines = x @ w.T / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(w, axis=1))
    np.testing.assert_allclose(layer(features).detach(), 30 * cosines, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        layer.weight *= 50
    np.testing.assert_allclose(layer(features).detach(), 30 * cosines, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("learned", [False, True])
def test_a_temperature_divides_all_of_the_logits(learned):
    warm = layer_of(TemperatureConfig(temperature=4, learned=learned))
    features = some_features()
    bare = nn.functional.linear(features, warm.weight, warm.bias)
    torch.testing.assert_close(warm(features), bare / 4)
    assert warm.temperature == pytest.approx(4)
    assert ("log_temperature" in dict(warm.named_parameters())) is learned
    assert "log_temperature" in warm.state_dict()  # head.safetensors is complete without the config


def test_a_learned_temperature_is_trained_without_weight_decay_and_stays_positive():
    config = TemperatureConfig(temperature=1, learned=True)
    model = FeatureClassifier(build_head(LinearHeadConfig(), config, D, 2), build_loss(config, D), torch.tensor([1, 1]))
    optimizer = build_optimizer(AdamWConfig(lr=1.0, weight_decay=0.1), model, 9)
    (group,) = [g for g in optimizer.param_groups if any(p is model.head.layer.log_temperature for p in g["params"])]
    assert group["weight_decay"] == 0
    for _ in range(3):
        before, output = (
            model.head.layer.temperature,
            model.step(some_features(), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])),
        )
        assert output.logs["temperature"].item() == pytest.approx(before)
        output.loss.backward()
        optimizer.step()
    assert model.head.layer.temperature != pytest.approx(1)
    assert model.head.layer.temperature > 0


@pytest.mark.parametrize(
    "config", [L2ConstrainedSoftmaxConfig(), LDAMConfig(), TemperatureConfig()], ids=lambda config: config.name
)
def test_logits_stay_in_float32_under_bf16(config):
    layer, features = layer_of(config), some_features()
    with torch.autocast("cpu", torch.bfloat16):
        logits = layer(features)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, layer(features), rtol=0.02, atol=0.1)
