"""Momentum copies and MoCo's queue: how they move, and that nothing else moves them."""

import copy

import pytest
import torch
from torch import nn

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.method import BYOLConfig, MoCoConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective

B, SIZE = 4, 32
METHODS = [
    BYOLConfig(hidden_dim=16, output_dim=8, momentum=0.7),
    MoCoConfig(hidden_dim=16, output_dim=8, momentum=0.7, queue=16),
]


def make(config):
    torch.manual_seed(0)
    return build_objective(config, Backbone(BackboneConfig(name="test_resnet"), 1), ViewMaker(ViewConfig(), SIZE))


def train(objective, steps, seen=lambda: None):
    optimizer = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], lr=0.05)
    for seed in range(steps):
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (B, 1, SIZE + 8, SIZE + 8), generator=generator).to(torch.uint8)
        optimizer.zero_grad()
        objective(Batch(pixels, torch.full((B,), -1)), generator).loss.backward()
        seen()
        optimizer.step()


@pytest.mark.parametrize("config", METHODS, ids=lambda config: config.name)
class TestTarget:
    def test_it_is_the_moving_average_of_the_weights_at_each_step(self, config):
        objective = make(config)
        online = nn.Sequential(objective.backbone, objective.head)
        expected = [p.detach().clone() for p in online.parameters()]
        start = copy.deepcopy(expected)

        def average():
            for old, new in zip(expected, online.parameters(), strict=True):
                old.copy_(0.7 * old + 0.3 * new.detach())
            for old, held in zip(expected, objective.target.parameters(), strict=True):
                torch.testing.assert_close(held, old, rtol=1e-5, atol=1e-6)

        train(objective, 4, average)
        assert any(not torch.equal(a, b) for a, b in zip(start, expected, strict=True))

    def test_no_gradient_reaches_it(self, config):
        objective = make(config)
        train(objective, 1)
        assert not any(p.requires_grad or p.grad is not None for p in objective.target.parameters())

    def test_it_starts_as_a_copy_that_shares_nothing(self, config):
        objective = make(config)
        online = nn.Sequential(objective.backbone, objective.head)
        for mine, original in zip(objective.target.parameters(), online.parameters(), strict=True):
            assert torch.equal(mine, original)
            assert mine.data_ptr() != original.data_ptr()


class Keys:
    """The target's outputs, normalised, step by step."""

    def __init__(self, objective):
        self.made = []
        objective.target.register_forward_hook(
            lambda module, inputs, output: self.made.append(nn.functional.normalize(output.detach(), dim=1))
        )


@pytest.mark.parametrize("queue", [B, 2 * B, 3 * B])
def test_the_queue_holds_the_newest_keys(queue):
    objective = make(MoCoConfig(hidden_dim=16, output_dim=8, queue=queue))
    keys = Keys(objective)
    train(objective, 7)
    newest = torch.cat(keys.made[-queue // B :])
    held = objective.loss.memory_bank.bank
    assert sorted(held.tolist()) == sorted(newest.tolist())


def test_a_batch_larger_than_the_queue_leaves_its_first_keys():
    objective = make(MoCoConfig(hidden_dim=16, output_dim=8, queue=B - 1))
    keys = Keys(objective)
    train(objective, 2)
    assert torch.equal(objective.loss.memory_bank.bank, keys.made[-1][: B - 1])


def test_the_negatives_are_those_from_before_the_step():
    """Information noise contrast as in equation 1 of arXiv 1911.05722: the key, and the queue as it was."""
    objective = make(MoCoConfig(hidden_dim=16, output_dim=8, queue=2 * B, temperature=0.3))
    train(objective, 3)
    before = objective.loss.memory_bank.bank.clone().double()
    keys, queries = Keys(objective), []
    objective.head.register_forward_hook(lambda module, inputs, output: queries.append(output.detach()))
    generator = torch.Generator().manual_seed(9)
    pixels = torch.randint(0, 256, (B, 1, SIZE + 8, SIZE + 8), generator=generator).to(torch.uint8)
    loss = objective(Batch(pixels, torch.full((B,), -1)), generator).loss
    total = 0.0
    for query, key in zip(nn.functional.normalize(queries[0], dim=1).double(), keys.made[0].double(), strict=True):
        positive, negatives = torch.exp(query @ key / 0.3), torch.exp(before @ query / 0.3).sum()
        total -= torch.log(positive / (positive + negatives)).item()
    assert loss.item() == pytest.approx(total / B, rel=1e-4)
