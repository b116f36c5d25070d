"""The auxiliary classifier: what its loss is of, and that nothing of it is left outside training."""

from typing import get_args

import numpy as np
import pytest
import torch

from ssl_pcb.augment.build import build_augment
from ssl_pcb.config.augment import NoAugmentConfig
from ssl_pcb.config.loss import CrossEntropyConfig, LossConfig
from ssl_pcb.config.model import AttentionHeadConfig, AuxiliaryConfig, BackboneConfig, LinearHeadConfig, MLPHeadConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.errors import UserError
from ssl_pcb.losses.build import build_loss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.heads import build_head
from ssl_pcb.models.trunks import input_dim
from ssl_pcb.objectives.auxiliary import build_auxiliary
from ssl_pcb.objectives.classification import FeatureClassifier, ImageClassifier

SIZE, COUNTS = 64, torch.tensor([30, 10])
FAST = ["test_resnet", "test_convnext", "test_nfnet", "test_efficientnet"]
NAMED = ["densenet121", "efficientnet_b3", "resnext50_32x4d", "nf_resnet50", "nfnet_l0"]


def make(auxiliary=AuxiliaryConfig(), head=LinearHeadConfig(), name="test_resnet", loss=CrossEntropyConfig()):  # noqa: B008
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name=name), 1)
    built = build_head(head, loss, input_dim(head, backbone), 2)
    classifier = FeatureClassifier(built, build_loss(loss, built.layer.in_features), COUNTS)
    aside = build_auxiliary(auxiliary, loss, backbone, COUNTS)
    return ImageClassifier(backbone, classifier, build_augment(NoAugmentConfig(), SIZE), SIZE, aside).eval()


def some_batch():
    pixels = torch.randint(0, 256, (6, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(1))
    return Batch(pixels.to(torch.uint8), torch.tensor([0, 1] * 3))


def loss_of(model):
    return model(some_batch(), torch.Generator())


def naive_cross_entropy(logits, targets):
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return -np.log(shares[np.arange(len(targets)), targets]).mean()


@pytest.mark.parametrize("stride", [4, 8, 16])
@pytest.mark.parametrize("head", [LinearHeadConfig(), AttentionHeadConfig()], ids=lambda config: config.name)
def test_the_loss_is_the_heads_and_the_weighted_one_of_the_averaged_map(stride, head):
    model, plain = make(AuxiliaryConfig(stride=stride, weight=0.3), head), make(None, head)
    images = some_batch().inputs / 255
    with torch.no_grad():
        output, alone = loss_of(model), loss_of(plain)
        scaled = (images - model.backbone.mean) / model.backbone.std
        maps = model.backbone.network.forward_intermediates(scaled, intermediates_only=True)
    found = [each for each in maps if each.shape[-1] == SIZE // stride][-1].double().numpy()
    layer = model.auxiliary.classifier.head.layer
    logits = found.mean((2, 3)) @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
    aside = naive_cross_entropy(logits, some_batch().labels.numpy())
    assert output.loss.item() == pytest.approx(alone.loss.item() + 0.3 * aside, rel=1e-5)
    assert output.logs["auxiliary_loss"].item() == pytest.approx(aside, rel=1e-5)
    assert output.logs["accuracy"] == alone.logs["accuracy"]


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMED)])
def test_one_pass_gives_both(name):
    model = make(name=name)
    images, passes = torch.rand(2, 1, SIZE, SIZE), []
    first = next(m for m in model.backbone.network.modules() if isinstance(m, torch.nn.Conv2d))
    first.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        last, middle = model.backbone.map_and_stage(images, model.auxiliary.stage)
        assert len(passes) == 1
        assert middle.shape[2:] == (SIZE // 16, SIZE // 16)
        torch.testing.assert_close(last, model.backbone.feature_map(images))
        torch.testing.assert_close(model.backbone.pooled_end(last), model.backbone(images))


@pytest.mark.parametrize("variant", get_args(get_args(LossConfig)[0]), ids=lambda variant: variant().name)
@pytest.mark.parametrize("head", [MLPHeadConfig(), AttentionHeadConfig()], ids=lambda config: config.name)
def test_it_and_every_head_go_with_every_loss(variant, head):
    model = make(head=head, loss=variant()).train()
    output = loss_of(model)
    output.loss.backward()
    assert torch.isfinite(output.loss)
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert torch.isfinite(value.grad).all(), name


def test_it_sends_the_early_stages_a_gradient_of_its_own():
    model = make(AuxiliaryConfig(stride=8))
    torch.nn.init.zeros_(model.classifier.head.layer.weight)  # nothing comes from the end
    loss_of(model).loss.backward()
    gradients = {name: value.grad for name, value in model.backbone.network.named_parameters()}
    assert gradients["conv1.0.weight"].any()
    assert not gradients["layer4.0.conv1.weight"].any()


def test_scores_do_not_know_of_it():
    model = make()
    pixels = some_batch().inputs
    with torch.no_grad():
        before = model.scores(pixels)
        for parameter in model.auxiliary.parameters():
            parameter.fill_(1e6)
        assert torch.equal(model.scores(pixels), before)
        assert torch.equal(make(None).scores(pixels), before)


def test_a_stride_that_the_network_lacks_is_refused_with_those_that_it_has():
    with pytest.raises(UserError, match=r"^auxiliary.stride: 'test_resnet' has no map of stride 5, only of 2, 4, 8"):
        make(AuxiliaryConfig(stride=5))
