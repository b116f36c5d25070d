"""Optimisers, beside their first steps written out in float64."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ssl_pcb.config.optim import AdamConfig, AdamWConfig, LARSConfig, SGDConfig
from ssl_pcb.training.optim import build_optimizer

LR, DECAY, MOMENTUM = 0.05, 0.1, 0.9
BATCH = 512
CONFIGS = {
    "adamw": AdamWConfig(lr=LR, weight_decay=DECAY),
    "adam": AdamConfig(lr=LR, weight_decay=DECAY),
    "sgd": SGDConfig(lr=LR, weight_decay=DECAY, momentum=MOMENTUM),
    "sgd plain": SGDConfig(lr=LR, weight_decay=DECAY, momentum=MOMENTUM, nesterov=False),
    "sgd still": SGDConfig(lr=LR, weight_decay=DECAY, momentum=0, nesterov=False),
    "sgd all": SGDConfig(lr=LR, weight_decay=DECAY, momentum=MOMENTUM, decay_all=True),
    "lars": LARSConfig(lr=LR, weight_decay=DECAY, momentum=MOMENTUM),
}


def naive_adam(weight, gradients, decay, *, decoupled):
    """Kingma & Ba 2015, algorithm 1; the decay in the gradient, or (Loshchilov & Hutter 2019) beside it."""
    first = second = 0.0
    for step, gradient in enumerate(gradients, 1):
        if not decoupled:
            gradient = gradient + decay * weight
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        moved = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        weight = weight - LR * (moved + (decay * weight if decoupled else 0))
    return weight


def naive_sgd(weight, gradients, decay, *, momentum, nesterov):
    """Sutskever et al. 2013 as torch has it: the velocity is not scaled by the rate."""
    velocity = 0.0
    for gradient in gradients:
        gradient = gradient + decay * weight
        velocity = momentum * velocity + gradient
        weight = weight - LR * (gradient + momentum * velocity if nesterov else velocity)
    return weight


def naive_lars(weight, gradients, decay):
    """You et al. 2017: the rate of a decayed weight is in proportion to its norm; at 512 samples twice the rate."""
    velocity = 0.0
    for gradient in gradients:
        moved = gradient
        if decay:
            size, slope = np.linalg.norm(weight), np.linalg.norm(gradient)
            moved = 0.001 * size / (slope + decay * size + 1e-8) * (gradient + decay * weight)
        velocity = MOMENTUM * velocity + moved
        weight = weight - 2 * LR * velocity
    return weight


NAIVE = {
    "adamw": lambda *given: naive_adam(*given, decoupled=True),
    "adam": lambda *given: naive_adam(*given, decoupled=False),
    "sgd": lambda *given: naive_sgd(*given, momentum=MOMENTUM, nesterov=True),
    "sgd plain": lambda *given: naive_sgd(*given, momentum=MOMENTUM, nesterov=False),
    "sgd still": lambda *given: naive_sgd(*given, momentum=0, nesterov=False),
    "sgd all": lambda *given: naive_sgd(*given, momentum=MOMENTUM, nesterov=True),
    "lars": naive_lars,
}


def stepped(name, steps=5):
    """A layer before and after some steps, and the gradients that it was given, by parameter."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(3, 4)
    nn.init.normal_(layer.weight, generator=generator)
    nn.init.normal_(layer.bias, generator=generator)
    before = {key: each.detach().double().numpy() for key, each in layer.named_parameters()}
    optimizer, gradients = build_optimizer(CONFIGS[name], layer, BATCH), {"weight": [], "bias": []}
    for _ in range(steps):
        for key, each in layer.named_parameters():
            each.grad = torch.randn(each.shape, generator=generator)
            gradients[key].append(each.grad.double().numpy())
        optimizer.step()
    return before, {key: each.detach().numpy() for key, each in layer.named_parameters()}, gradients


@pytest.mark.parametrize("name", CONFIGS)
def test_the_first_steps_are_the_naive_ones(name):
    before, after, gradients = stepped(name)
    for key in ("weight", "bias"):
        decay = DECAY if key == "weight" or CONFIGS[name].model_dump().get("decay_all") else 0.0
        expected = NAIVE[name](before[key], gradients[key], decay)
        np.testing.assert_allclose(after[key], expected, rtol=1e-4, atol=1e-6, err_msg=key)
        other = NAIVE[name](before[key], gradients[key], DECAY - decay)
        assert np.abs(after[key] - other).max() > 1e-4  # the decay can be told


def test_adam_and_adamw_part_at_the_decay():
    (_, adam, _), (_, adamw, _) = stepped("adam"), stepped("adamw")
    np.testing.assert_allclose(adam["bias"], adamw["bias"], rtol=1e-6)
    assert np.abs(adam["weight"] - adamw["weight"]).max() > 1e-2


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def decayed(config, module):
    optimizer = build_optimizer(config, module, 8)
    held = {id(each) for group in optimizer.param_groups if group["weight_decay"] for each in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(module.parameters()))
    return {name for name, each in module.named_parameters() if id(each) in held}


@pytest.mark.parametrize("config", [AdamWConfig(), AdamConfig(), SGDConfig(), LARSConfig()], ids=lambda c: c.name)
def test_weight_decay_spares_biases_and_norms(config):
    assert decayed(config, network()) == {"0.weight", "3.weight"}


def test_weight_decay_on_all_weights_is_on_all():
    module = network()
    assert decayed(SGDConfig(decay_all=True), module) == {name for name, _ in module.named_parameters()}


def test_lars_rate_grows_with_the_batch_and_sgds_does_not():
    def rates(config):
        return [build_optimizer(config, network(), size).param_groups[0]["lr"] for size in (256, 1024)]

    assert rates(LARSConfig(lr=0.3)) == pytest.approx([0.3, 1.2])
    assert rates(SGDConfig(lr=0.3)) == pytest.approx([0.3, 0.3])


def test_a_scaled_weight_learns_at_its_share_of_the_rate():
    module = network()
    scales = {module[0].weight: 0.25, module[0].bias: 0.25, module[1].weight: 0.5}
    optimizer = build_optimizer(SGDConfig(lr=0.8, weight_decay=0.1), module, 8, scales)
    rates = {id(each): group["lr"] for group in optimizer.param_groups for each in group["params"]}
    found = {name: rates[id(each)] for name, each in module.named_parameters()}
    expected = {"0.weight": 0.2, "0.bias": 0.2, "1.weight": 0.4, "1.bias": 0.8, "3.weight": 0.8, "3.bias": 0.8}
    assert found == pytest.approx(expected)
    spared = {id(each) for group in optimizer.param_groups if not group["weight_decay"] for each in group["params"]}
    assert spared == {id(each) for name, each in module.named_parameters() if each.ndim == 1}


def test_what_is_frozen_is_not_held():
    module = network()
    module[0].requires_grad_(False)
    optimizer = build_optimizer(AdamWConfig(), module, 8)
    held = {id(each) for group in optimizer.param_groups for each in group["params"]}
    assert held == {id(each) for each in (*module[1].parameters(), *module[3].parameters())}


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValidationError, match="nesterov=true needs momentum"):
        SGDConfig(momentum=0)
