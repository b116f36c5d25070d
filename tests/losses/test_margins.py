"""Large-margin softmax and label-distribution-aware margins: their formulas at known places, and their schedules."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ssl_pcb.config.margin_losses import LargeMarginSoftmaxConfig, LDAMConfig
from ssl_pcb.config.model import LinearHeadConfig
from ssl_pcb.losses.build import build_loss
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.large_margin_softmax import psi
from ssl_pcb.models.heads import build_head
from ssl_pcb.objectives.classification import FeatureClassifier

MARGINS = (1, 2, 3, 4)


def inputs(counts=(90, 10)):
    generator = torch.Generator().manual_seed(0)
    features, weight = torch.randn(8, 4, generator=generator), torch.randn(2, 4, generator=generator)
    return LossInputs(features, weight, features @ weight.T, torch.tensor([0, 1] * 4), torch.tensor(counts))


@pytest.mark.parametrize("margin", MARGINS)
def test_psi_falls_from_1_to_1_minus_2m_without_a_step_and_below_the_cosine(margin):
    angles = torch.linspace(0, torch.pi, 2001, dtype=torch.float64)
    found = psi(angles.cos(), margin)
    assert found[0].item() == pytest.approx(1)
    assert found[-1].item() == pytest.approx(1 - 2 * margin)
    assert (found.diff() <= 1e-9).all()
    assert found.diff().abs().max() < 1.1 * margin * torch.pi / 2000
    assert (found <= angles.cos() + 1e-9).all()


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("sign", [1, -1], ids=["at 0", "at pi"])
def test_the_gradient_is_finite_where_features_lie_along_the_weights(margin, sign):
    weight = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    features = (sign * 3 * weight[:1]).clone().requires_grad_()
    loss = build_loss(LargeMarginSoftmaxConfig(margin=margin, lambda_start=0.01, lambda_end=0.01), 4)
    loss(LossInputs(features, weight, features @ weight.T, torch.tensor([0]), torch.tensor([1, 1]))).backward()
    assert torch.isfinite(features.grad).all()
    assert features.grad.any()


def test_what_mixed_precision_has_rounded_is_not_set_beside_what_it_has_not():
    """With m = 1 it is cross entropy, also where the layer's own logits are of 8 bits."""
    given = inputs()
    rounded = LossInputs(given.features, given.weight, given.logits.bfloat16(), given.targets, given.class_counts)
    loss = build_loss(LargeMarginSoftmaxConfig(margin=1), 4)
    exact = torch.nn.functional.cross_entropy(given.features @ given.weight.T, given.targets)
    assert loss(rounded).item() == pytest.approx(exact.item(), abs=1e-6)
    assert abs(torch.nn.functional.cross_entropy(rounded.logits.float(), given.targets) - exact) > 1e-5


def test_features_of_length_0_have_a_finite_gradient():
    features, weight = torch.zeros(2, 4, requires_grad=True), torch.ones(2, 4)
    loss = build_loss(LargeMarginSoftmaxConfig(), 4)
    loss(LossInputs(features, weight, features @ weight.T, torch.tensor([0, 1]), torch.tensor([1, 1]))).backward()
    assert torch.isfinite(features.grad).all()


def test_lambda_falls_by_one_factor_a_step_and_then_stays():
    loss = build_loss(LargeMarginSoftmaxConfig(lambda_start=100, lambda_end=1, anneal_steps=4), 4)
    found = [loss.plain_weight(torch.tensor(step)).item() for step in (0, 1, 2, 4, 400)]
    assert found == pytest.approx([100, 100**0.75, 10, 1, 1])


def test_the_margin_asks_for_more_with_every_step_of_training_alone():
    loss, given = build_loss(LargeMarginSoftmaxConfig(lambda_end=0.1, anneal_steps=5), 4), inputs()
    losses = [loss(given).item() for _ in range(7)]
    assert all(np.diff(losses[:6]) > 0)
    assert losses[5] == losses[6]
    again = build_loss(LargeMarginSoftmaxConfig(lambda_end=0.1, anneal_steps=5), 4)
    again.load_state_dict({"steps": torch.tensor(3)})  # as --resume does
    assert again(given).item() == losses[3]
    assert [again.eval()(given).item(), again(given).item()] == [losses[4]] * 2  # evaluation takes no step


@pytest.mark.parametrize("config", [LargeMarginSoftmaxConfig(lambda_end=0.01), LDAMConfig()], ids=lambda c: c.name)
def test_scores_are_plain_logits_without_a_margin(config):
    head = build_head(LinearHeadConfig(), config, 4, 2)
    model = FeatureClassifier(head, build_loss(config, 4), torch.tensor([90, 10]))
    given = inputs()
    model.step(given.features, given.targets)
    model.eval()
    x, w = given.features, head.layer.weight
    if config.name == "ldam":
        x, w = 30 * x / x.norm(dim=1, keepdim=True), w / w.norm(dim=1, keepdim=True)
    torch.testing.assert_close(model.scores(given.features), x @ (w[1] - w[0]), rtol=1e-5, atol=1e-5)


def test_lambda_that_rises_is_refused():
    with pytest.raises(ValidationError, match="lambda_end=10 lies above lambda_start"):
        LargeMarginSoftmaxConfig(lambda_start=1, lambda_end=10)


def test_deferred_weights_set_in_after_so_many_steps():
    given = inputs(counts=(2000, 10))
    deferred = build_loss(LDAMConfig(reweight_after=2), 4)
    plain, weighted = (build_loss(LDAMConfig(reweight_after=after), 4)(given).item() for after in (None, 0))
    assert plain != weighted
    assert [deferred(given).item() for _ in range(4)] == [plain, plain, weighted, weighted]


def test_published_margins():
    """Cao et al.: margins go with the inverse fourth root of the counts, and the largest is the one asked for."""
    zeros = torch.zeros(2, 2)
    loss = build_loss(LDAMConfig(max_margin=0.5, scale=30), 4)
    # An undecided sample of class j costs log(1 + exp(scale * margin_j)).
    costs = [loss(LossInputs(zeros, zeros, zeros[:1], torch.tensor([k]), torch.tensor([160, 10]))) for k in (0, 1)]
    margins = [cost.double().exp().sub(1).log().div(30).item() for cost in costs]
    assert margins == pytest.approx([0.25, 0.5], rel=1e-3)
