"""Gradient clipping, beside its formulas in float64."""

import logging

import numpy as np
import pytest
import timm
import torch
from torch import nn

from ssl_pcb.augment.build import build_augment
from ssl_pcb.config.augment import NoAugmentConfig
from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.config.model import BackboneConfig, LinearHeadConfig
from ssl_pcb.config.optim import AdaptiveClipConfig, NoClipConfig, NormClipConfig, SGDConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.losses.build import build_loss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.depths import freeze_stages
from ssl_pcb.models.heads import build_head
from ssl_pcb.objectives.classification import FeatureClassifier, ImageClassifier
from ssl_pcb.training.clipping import Clipping, advise_clipping
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.processes import make_fabric


@pytest.fixture(params=["fp32", "bf16"])
def fabric(request):
    return make_fabric(RuntimeConfig(device="cpu", precision=request.param))


def classifier(name="test_nfnet"):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name=name), 1)
    loss = CrossEntropyConfig()
    head = build_head(LinearHeadConfig(), loss, backbone.dim, 2)
    return ImageClassifier(
        backbone,
        FeatureClassifier(head, build_loss(loss, backbone.dim), torch.tensor([1, 1])),
        build_augment(NoAugmentConfig(), 32),
        32,
    )


def clipped(config, model, fabric, size=1.0):
    """Gradients before and after, by name, and what is logged."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = size * torch.randn(parameter.shape, generator=generator)
    before = {name: each.grad.double().numpy() for name, each in model.named_parameters() if each.grad is not None}
    before = {name: gradient.copy() for name, gradient in before.items()}
    module, optimizer = fabric.setup(model, build_optimizer(SGDConfig(), model, 8))
    logs = Clipping(config, model)(module, optimizer, fabric)
    after = {name: each.grad.numpy() for name, each in model.named_parameters() if each.grad is not None}
    return before, after, logs


def naive_adaptive(weight, gradient, factor):
    """Brock et al. 2021, section 4.1: unit by unit, that is by row of a matrix and by filter of a convolution."""
    units = [...] if weight.ndim <= 1 else range(len(weight))
    found = gradient.copy()
    for unit in units:
        most = factor * max(np.sqrt((weight[unit] ** 2).sum()), 1e-3)
        norm = np.sqrt((gradient[unit] ** 2).sum())
        if norm > most:
            found[unit] = most / norm * gradient[unit]
    return found


@pytest.mark.parametrize("factor", [0.01, 0.5, 20.0])
def test_adaptive_clipping_is_the_naive_one_and_spares_the_last_layer(fabric, factor):
    model = classifier()
    weights = {name: each.detach().double().numpy() for name, each in model.named_parameters()}
    before, after, logs = clipped(AdaptiveClipConfig(factor=factor), model, fabric)
    assert logs == {}
    changed = set()
    for name, gradient in before.items():
        last = name.startswith("classifier.head.layer.")
        expected = gradient if last else naive_adaptive(weights[name], gradient, factor)
        np.testing.assert_allclose(after[name], expected, rtol=1e-4, atol=1e-8, err_msg=name)
        changed |= {name} if not np.array_equal(after[name], gradient) else set()
    assert ("backbone.network.stem.conv1.weight" in changed) == (factor < 20)


@pytest.mark.parametrize("size", [1e-5, 1.0, 1e4])
def test_norm_clipping_shrinks_all_alike_to_the_common_norm(fabric, size):
    before, after, logs = clipped(NormClipConfig(max_norm=0.5), classifier(), fabric, size)
    norm = np.sqrt(sum((gradient**2).sum() for gradient in before.values()))
    assert logs["gradient_norm"].item() == pytest.approx(norm, rel=1e-4)
    for name, gradient in before.items():
        np.testing.assert_allclose(after[name], min(1.0, 0.5 / norm) * gradient, rtol=1e-4, atol=1e-10, err_msg=name)


def test_without_clipping_gradients_stay(fabric):
    before, after, logs = clipped(NoClipConfig(), classifier(), fabric)
    assert logs == {}
    assert all(np.array_equal(after[name], gradient) for name, gradient in before.items())


@pytest.mark.parametrize("config", [NormClipConfig(), AdaptiveClipConfig()], ids=lambda c: c.name)
def test_frozen_stages_have_no_gradients_to_clip(fabric, config):
    model = classifier("test_resnet")
    freeze_stages(model.backbone, ["stem", "stage1"])
    before, after, _ = clipped(config, model, fabric)
    assert not any(name.startswith("backbone.network.layer1.") for name in before)
    assert not np.array_equal(
        after["backbone.network.layer2.0.conv1.weight"], before["backbone.network.layer2.0.conv1.weight"]
    )


@pytest.mark.parametrize("config", [NormClipConfig(), AdaptiveClipConfig()], ids=lambda c: c.name)
def test_a_gradient_that_is_no_number_is_not_hidden(fabric, config):
    """The loop refuses a diverged loss; clipping must not make one look sound."""
    model = nn.Sequential(nn.Linear(3, 3))
    for parameter in model.parameters():
        parameter.grad = torch.full(parameter.shape, torch.nan)
    module, optimizer = fabric.setup(model, build_optimizer(SGDConfig(), model, 8))
    Clipping(config, model)(module, optimizer, fabric)
    assert all(parameter.grad.isnan().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [("test_nfnet", NoClipConfig(), True), ("test_nfnet", NormClipConfig(), True),
     ("test_nfnet", AdaptiveClipConfig(), False), ("test_resnet", NoClipConfig(), False)],
)  # fmt: skip
def test_a_network_without_normalisation_is_advised(caplog, name, config, said):
    with caplog.at_level(logging.INFO):
        advise_clipping(config, timm.create_model(name))
    assert ("training.clip.name=adaptive" in caplog.text) is said


@pytest.mark.parametrize("name", ["nf_resnet50", "eca_nfnet_l0", "nf_regnet_b1"])
def test_timms_networks_without_normalisation_are_known(caplog, name):
    with caplog.at_level(logging.INFO), torch.device("meta"):
        advise_clipping(NoClipConfig(), timm.create_model(name))
    assert "adaptive" in caplog.text
