"""Supervised steps: what the loss receives, what a score means, and where augmentation is applied."""

import numpy as np
import pytest
import torch

from ssl_pcb.augment.augmented import Augmented, Mixture
from ssl_pcb.augment.build import build_augment
from ssl_pcb.config.augment import StandardConfig, ViewConfig
from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.config.model import BackboneConfig, LinearHeadConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.losses.build import build_loss
from ssl_pcb.losses.supervised import SupervisedLoss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.heads import build_head
from ssl_pcb.objectives.classification import FeatureClassifier, ImageClassifier
from ssl_pcb.training.runtime import make_generator

SIZE, RING = 32, 4
COUNTS = torch.tensor([30, 10])


def generator(seed=0):
    return make_generator(torch.device("cpu"), seed)


class Spy(SupervisedLoss):
    """A loss that keeps what it was given."""

    def forward(self, inputs):
        self.inputs = inputs
        return inputs.logits.sum()


def on_features(dim, loss):
    return FeatureClassifier(build_head(LinearHeadConfig(), CrossEntropyConfig(), dim, 2), loss, COUNTS)


@pytest.fixture
def model():
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet"), 1)
    augment = build_augment(StandardConfig(view=ViewConfig()), SIZE)
    loss = build_loss(CrossEntropyConfig(), backbone.dim)
    return ImageClassifier(backbone, on_features(backbone.dim, loss), augment, SIZE)


@pytest.fixture
def batch():
    side = SIZE + 2 * RING
    pixels = torch.randint(0, 256, (8, 1, side, side), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    return Batch(pixels, torch.tensor([0, 1] * 4))


def test_a_loss_receives_features_head_logits_targets_and_counts():
    model = on_features(5, Spy())
    features, targets = torch.randn(7, 5), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    model(Batch(features, targets), generator())
    found, layer = model.loss.inputs, model.head.layer
    assert torch.equal(found.features, features)
    assert found.weight is layer.weight
    assert torch.allclose(found.logits, features @ layer.weight.T + layer.bias)
    assert torch.equal(found.targets, targets)
    assert found.class_counts.tolist() == [30, 10]


def test_a_loss_that_compares_views_gets_several_of_each_sample(batch):
    class Views(Spy):
        views = 2

    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet"), 1).eval()
    model = ImageClassifier(backbone, on_features(backbone.dim, Views()), build_augment(StandardConfig(), SIZE), SIZE)
    model(batch, generator())
    found = model.classifier.loss.inputs
    assert torch.equal(found.targets, batch.labels.repeat(2))
    first, second = found.features.split(8)
    near, far = (first - second).norm(dim=1), (first - second.roll(1, 0)).norm(dim=1)
    assert (near > 0).all()  # drawn anew
    assert near.mean() < far.mean()  # of the same sample


def test_loss_and_accuracy_of_the_linear_head():
    torch.manual_seed(0)
    model = on_features(5, build_loss(CrossEntropyConfig(), 5))
    features, targets = torch.randn(20, 5), torch.randint(0, 2, (20,))
    output, layer = model(Batch(features, targets), generator()), model.head.layer
    logits = (features @ layer.weight.T + layer.bias).detach().double().numpy()
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert output.loss.item() == pytest.approx(-np.log(shares[np.arange(20), targets]).mean(), rel=1e-5)
    assert output.logs["accuracy"].item() == pytest.approx((logits.argmax(1) == targets.numpy()).mean())


def shown(labels, **more):
    """Augmented images of which only the labels count here."""
    count = len(labels)
    return Augmented(torch.zeros(0), labels, torch.eye(2, 3).expand(count, -1, -1), **more)


def log_shares(model, features):
    layer = model.head.layer
    logits = (features @ layer.weight.T + layer.bias).detach().double()
    return logits.log_softmax(-1)


def test_a_mixed_picture_learns_both_labels_by_their_shares():
    torch.manual_seed(0)
    model = on_features(5, build_loss(CrossEntropyConfig(class_weights="balanced"), 5))
    features, labels, others = torch.randn(20, 5), torch.randint(0, 2, (20,)), torch.randint(0, 2, (20,))
    mixture = Mixture(torch.arange(20), torch.tensor(0.3))
    output = model.learn(features, shown(labels, mixture=mixture, others=others))
    alone = [model.step(features, targets) for targets in (labels, others)]
    for value, parts in ((output.loss, [each.loss for each in alone]),
                         (output.logs["accuracy"], [each.logs["accuracy"] for each in alone])):  # fmt: skip
        assert value.item() == pytest.approx(0.3 * parts[0].item() + 0.7 * parts[1].item(), rel=1e-5)
    assert alone[0].loss.item() != pytest.approx(alone[1].loss.item(), rel=1e-3)


def test_pictures_of_one_label_learn_it_alone():
    model = on_features(5, build_loss(CrossEntropyConfig(), 5))
    features, labels = torch.randn(9, 5), torch.randint(0, 2, (9,))
    mixture = Mixture(torch.arange(9), torch.tensor(0.3))
    for each in (shown(labels), shown(labels, mixture=mixture)):
        assert model.learn(features, each).loss == model.step(features, labels).loss


def test_copies_are_held_together_and_only_the_clean_pictures_are_classified():
    torch.manual_seed(0)
    model, spy = on_features(5, build_loss(CrossEntropyConfig(), 5)), on_features(5, Spy())
    features, labels = torch.randn(3 * 7, 5), torch.randint(0, 2, (7,))
    output = model.learn(features, shown(labels, copies=3, consistency=12.0))
    copies = log_shares(model, features).view(3, 7, 2)
    classified = -copies[0][torch.arange(7), labels].mean()
    mean = copies.exp().mean(0)
    apart = (copies.exp() * (copies - mean.log())).sum(2).mean()
    assert output.loss.item() == pytest.approx((classified + 12 * apart).item(), rel=1e-5)
    assert output.logs["consistency"].item() == pytest.approx(apart.item(), rel=1e-4)
    spy.learn(features, shown(labels, copies=3, consistency=12.0))
    assert torch.equal(spy.loss.inputs.features, features[:7])
    assert torch.equal(spy.loss.inputs.targets, labels)


def test_counts_follow_the_device_but_are_no_weights():
    model = on_features(5, build_loss(CrossEntropyConfig(), 5))
    assert set(model.state_dict()) == {"head.layer.weight", "head.layer.bias"}
    assert model.to("meta").class_counts.device.type == "meta"


def test_a_score_is_the_log_odds_of_defective(model, batch):
    model.eval()
    with torch.no_grad():
        scores = model.scores(batch.inputs)
        centre = batch.inputs[..., RING:-RING, RING:-RING].float() / 255
        shares = model.classifier.head(model.backbone(centre)).softmax(1)
    assert scores.dtype == torch.float32
    assert torch.allclose(scores, (shares[:, 1] / shares[:, 0]).log(), atol=1e-4)
    with torch.no_grad():
        model.classifier.head.layer.bias += torch.tensor([0.0, 3.0])  # class 1 is Defective
        assert torch.allclose(model.scores(batch.inputs), scores + 3, atol=1e-4)


def test_scores_do_not_see_the_ring_and_training_does(model, batch):
    model.eval()
    changed = batch.inputs.clone()
    changed[..., :RING, :] = 255
    with torch.no_grad():
        assert torch.equal(model.scores(batch.inputs), model.scores(changed))
        losses = [model(Batch(pixels, batch.labels), generator()).loss.item() for pixels in (batch.inputs, changed)]
    assert losses[0] != losses[1]


def test_training_augments_by_the_generator_alone(model, batch):
    model.eval()  # so that batch norm does not add a difference of its own
    with torch.no_grad():
        first, again, other = (model(batch, generator(seed)).loss.item() for seed in (1, 1, 2))
    assert first == again != other


def test_scores_stay_in_float32_under_bf16(model, batch):
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model.scores(batch.inputs).dtype == torch.float32


def test_gradients_reach_backbone_and_head(model, batch):
    model(batch, generator()).loss.backward()
    assert all(p.grad is not None for p in model.backbone.parameters())
    assert any(p.grad.any() for p in model.backbone.parameters())
    assert model.classifier.head.layer.weight.grad.any()


def test_bright_defects_score_higher_after_training(model):
    """The sign from label to score, through the whole objective."""
    rng = np.random.default_rng(0)
    labels = torch.tensor([0, 1] * 16)
    noise = torch.from_numpy(rng.integers(0, 100, (32, 1, SIZE, SIZE)))
    batch = Batch((noise + 120 * labels.reshape(-1, 1, 1, 1)).to(torch.uint8), labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(15):
        optimizer.zero_grad()
        model(batch, generator(step)).loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        scores = model.scores(batch.inputs)
    assert scores[labels == 1].min() > scores[labels == 0].max()
