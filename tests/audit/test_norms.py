"""The audit of norms: batch norm ties samples together, group norm and normaliser-free networks do not."""

import numpy as np
import pytest
import torch

from ssl_pcb.audit.norms import Step, batch_effects, norm_of, step_memory, step_seconds
from ssl_pcb.augment.build import build_augment
from ssl_pcb.config.augment import NoAugmentConfig
from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.config.model import BackboneConfig, LinearHeadConfig
from ssl_pcb.config.optim import AdamWConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.loaders import ArrayDataset
from ssl_pcb.losses.build import build_loss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.heads import build_head
from ssl_pcb.objectives.classification import FeatureClassifier, ImageClassifier
from ssl_pcb.training.processes import alone

SIZE = 32
FABRIC = alone(RuntimeConfig(device="cpu", precision="fp32"))
KINDS = {"batch": {"name": "test_resnet"}, "group": {"name": "test_resnet", "norm": "group"},
         "none": {"name": "test_nfnet"}, "layer": {"name": "test_convnext"}}  # fmt: skip


def make(drop_rate=0.0, **keys):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(drop_rate=drop_rate, **keys), 1)
    loss = CrossEntropyConfig()
    head = build_head(LinearHeadConfig(), loss, backbone.dim, 2)
    classifier = FeatureClassifier(head, build_loss(loss, backbone.dim), torch.tensor([1, 1]))
    return ImageClassifier(backbone, classifier, build_augment(NoAugmentConfig(), SIZE), SIZE)


def boards(count=32):
    """Bright and dark images, so that company makes a difference."""
    rng = np.random.default_rng(0)
    level = rng.integers(20, 200, (count, 1, 1, 1))
    pixels = (level + rng.integers(0, 50, (count, SIZE, SIZE, 1))).astype(np.uint8)
    return ArrayDataset(pixels, np.arange(count) % 2, np.arange(count))


def effects(model):
    return batch_effects(model, boards(), 8, FABRIC, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_depends_on_its_batch_under_batch_norm_alone(kind):
    model = make(**KINDS[kind])
    assert norm_of(model.backbone) == kind
    found = effects(model)
    if kind == "batch":
        assert found.batch_dependence > 0.05
        assert found.train_eval_gap > 0.05
    else:
        assert found.batch_dependence < 1e-3
        assert found.train_eval_gap < 1e-3
        assert found.auroc_train == pytest.approx(found.auroc_eval, abs=0.01)


def test_frozen_batch_norm_has_neither_effect():
    found = effects(make(name="test_resnet", norm="frozen"))
    assert max(found.batch_dependence, found.train_eval_gap) < 1e-3


def test_dropout_is_not_taken_for_the_norms_doing():
    found = effects(make(name="test_nfnet", drop_rate=0.5))
    assert max(found.batch_dependence, found.train_eval_gap) < 1e-3


def test_the_figures_equal_the_naive_ones():
    model, dataset = make(name="test_resnet"), boards()
    found = effects(model)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(32) for _ in range(4)]
    pixels = torch.from_numpy(dataset.inputs).permute(0, 3, 1, 2)
    among = np.zeros((4, 32))
    with torch.no_grad():
        alone_ = np.array([model.eval().scores(pixels[i : i + 1]).item() for i in range(32)])
        for draw, order in enumerate(orders):
            for start in range(0, 32, 8):
                chosen = order[start : start + 8]
                among[draw, chosen] = make(name="test_resnet").train().scores(pixels[chosen]).numpy()
    gap = np.mean([abs(among[d, i] - alone_[i]) for d in range(4) for i in range(32)])
    apart = np.mean([abs(among[d + 1, i] - among[d, i]) for d in range(3) for i in range(32)])
    assert found.train_eval_gap == pytest.approx(gap / alone_.std(), rel=1e-3)
    assert found.batch_dependence == pytest.approx(apart / alone_.std(), rel=1e-3)
    pairs = [(a > b) + (a == b) / 2 for a in alone_[1::2] for b in alone_[::2]]
    assert found.auroc_eval == pytest.approx(np.mean(pairs))


def test_measuring_leaves_the_model_as_it_was():
    model = make(name="test_resnet").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = boards().__getitems__(range(8))
    effects(model)
    step_memory(model, AdamWConfig(), batch, FABRIC)
    (seconds,) = step_seconds([Step(model, AdamWConfig(), batch, FABRIC)])
    assert seconds > 0
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_step_of_twice_the_samples_takes_more_memory_than_weights_alone():
    model = make(name="test_resnet")
    weights = sum(4 * each.numel() for each in model.parameters())
    few, many = (step_memory(model, AdamWConfig(), boards().__getitems__(range(n)), FABRIC) for n in (8, 32))
    assert many > few > 3 * weights
    step = Step(model, AdamWConfig(), boards().__getitems__(range(8)), FABRIC)
    step()
    assert any(not torch.equal(a, b) for a, b in zip(step.model.parameters(), model.parameters(), strict=True))
