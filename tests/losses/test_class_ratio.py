"""Class ratios in an overlap loss, and as a correction of predictions."""

import pytest
import torch

from ssl_pcb.config.loss import ClassRatioConfig, CrossEntropyConfig
from ssl_pcb.config.model import LinearHeadConfig
from ssl_pcb.losses.build import build_loss
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.models.heads import build_head
from ssl_pcb.objectives.classification import FeatureClassifier

COUNTS = torch.tensor([80, 20])


def loss_of(logits, targets, **keys):
    return build_loss(ClassRatioConfig(**keys), 3)(LossInputs(None, None, logits, targets, COUNTS))


def test_nothing_in_common_is_1_and_all_in_common_0():
    targets = torch.tensor([0, 0, 0, 1])
    right = 50.0 * (torch.nn.functional.one_hot(targets, 2) * 2 - 1)
    assert loss_of(right, targets).item() == pytest.approx(0, abs=1e-6)
    assert loss_of(-right, targets).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("certainty", [0.0, 1.0, 3.0])
def test_the_rarer_class_pulls_harder_the_less_is_predicted_well(certainty):
    targets = torch.tensor([0] * 8 + [1] * 2)
    logits = (certainty * (torch.nn.functional.one_hot(targets, 2) - 0.5)).requires_grad_()
    loss_of(logits, targets).backward()
    each = logits.grad.abs().sum(1)
    times = (each[9] / each[0]).item()
    assert 1 < times < 4
    if certainty == 0:  # overlap 0.5 of 0.5 + 3.125 / 4 + 1 by hand, as in the formula
        assert times == pytest.approx((2.5 * 2.0625 + 0.625 * 0.5) / (0.625 * 2.0625 + 2.5 * 0.5), rel=1e-4)


def dice_of_each_class(logits, targets, ratios):
    """What the loss must not be: a Dice of each class in which the predictions alone carry the ratios."""
    values, labels = logits.softmax(1) * ratios, torch.nn.functional.one_hot(targets, 2)
    return 1 - (2 * (values * labels).sum(0) / (values.sum(0) + labels.sum(0))).mean()


def test_ratios_on_the_predictions_alone_would_not_favour_the_rarer_class():
    targets, times = torch.tensor([0] * 8 + [1] * 2), []
    for ratios in (torch.tensor([0.625, 2.5]), torch.tensor([2.5, 0.625])):
        logits = torch.zeros(10, 2, requires_grad=True)
        dice_of_each_class(logits, targets, ratios).backward()
        each = logits.grad.abs().sum(1)
        times.append((each[9] / each[0]).item())
    assert times[0] < times[1]


def classifier(config):
    torch.manual_seed(0)
    head = build_head(LinearHeadConfig(), config, 3, 2)
    return FeatureClassifier(head, build_loss(config, 3), COUNTS)


def test_predictions_are_corrected_once_by_the_log_of_the_ratios():
    features = torch.randn(6, 3)
    for config, shift in (
        (ClassRatioConfig(), 4.0), (ClassRatioConfig(swapped=True), 0.25), (ClassRatioConfig(posthoc=False), 1.0),
        (CrossEntropyConfig(), 1.0),
    ):  # fmt: skip
        model = classifier(config)
        before = model.scores(features)
        model.correct()
        assert torch.allclose(model.scores(features), before + torch.tensor(shift).log(), atol=1e-6)


def test_corrected_probabilities_are_those_times_the_ratios():
    model, features = classifier(ClassRatioConfig()), torch.randn(6, 3)
    before = model.head(features).softmax(1)
    model.correct()
    magnified = before * torch.tensor([0.625, 2.5])
    assert torch.allclose(model.head(features).softmax(1), magnified / magnified.sum(1, keepdim=True), atol=1e-6)
