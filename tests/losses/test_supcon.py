"""Supervised contrast: who attracts whom, lonely anchors, and which part of the network learns from what."""

import pytest
import torch

from ssl_pcb.config.loss import SupConConfig
from ssl_pcb.config.model import LinearHeadConfig
from ssl_pcb.losses.build import build_loss
from ssl_pcb.losses.nt_xent import nt_xent
from ssl_pcb.losses.supcon import supervised_contrast
from ssl_pcb.models.heads import build_head
from ssl_pcb.objectives.classification import FeatureClassifier


def some(count, dim=6):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(0))


def test_with_a_class_for_each_sample_two_views_make_simclrs_loss():
    first, second = some(10).split(5)
    found = supervised_contrast(torch.cat([first, second]), torch.arange(5).repeat(2), 0.2)
    assert found.item() == pytest.approx(nt_xent(first, second, None, None, 0.2).item(), rel=1e-5)


def test_an_anchor_without_a_positive_counts_only_as_a_negative():
    z, targets = some(5), torch.tensor([0, 0, 0, 0, 1])
    shares = (torch.nn.functional.normalize(z) @ torch.nn.functional.normalize(z).T / 0.1).fill_diagonal_(-torch.inf)
    shares = shares.double().log_softmax(1)
    expected = -torch.stack([shares[i, [j for j in range(4) if j != i]].mean() for i in range(4)]).mean()
    assert supervised_contrast(z, targets, 0.1).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_of_lonely_anchors_costs_nothing_and_pulls_nowhere(count):
    z = some(count).requires_grad_()
    loss = supervised_contrast(z, torch.arange(count), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_samples_of_a_class_are_drawn_together():
    z, targets = some(8).requires_grad_(), torch.tensor([0, 1] * 4)
    optimizer = torch.optim.SGD([z], lr=1)
    for _ in range(200):
        optimizer.zero_grad()
        supervised_contrast(z, targets, 1.0).backward()
        optimizer.step()
    alike = torch.nn.functional.normalize(z.detach()) @ torch.nn.functional.normalize(z.detach()).T
    own = targets[:, None] == targets
    assert alike[own].min() > 0.9
    assert alike[~own].max() < 0


@pytest.mark.parametrize("mode", ["two_stage", "joint"])
def test_in_two_stages_cross_entropy_teaches_the_layer_alone(mode):
    config = SupConConfig(mode=mode)
    model = FeatureClassifier(build_head(LinearHeadConfig(), config, 6, 2), build_loss(config, 6), torch.tensor([4, 4]))
    gradients = []
    for factor in (1.0, -1.0):  # turns what cross entropy teaches, and leaves the contrast alone
        with torch.no_grad():
            model.head.layer.weight.mul_(factor)
        features = some(8).requires_grad_()
        model.step(features, torch.tensor([0, 1] * 4)).loss.backward()
        gradients.append(features.grad)
    assert torch.equal(*gradients) is (mode == "two_stage")
    assert gradients[0].any()
    assert model.head.layer.weight.grad.any()
    assert all(p.grad.any() for p in model.loss.projector.parameters())


def test_the_projection_head_is_trained_and_resumed_with_the_network():
    model = FeatureClassifier(
        build_head(LinearHeadConfig(), SupConConfig(), 6, 2), build_loss(SupConConfig(), 6), torch.tensor([4, 4])
    )
    names = {name for name in model.state_dict() if name.startswith("loss.projector")}
    assert names == {name for name, _ in model.named_parameters() if name.startswith("loss.")}
    assert len(names) == 4
