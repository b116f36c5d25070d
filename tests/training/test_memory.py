"""Memory of tensors, against programs of which it is known."""

import pytest
import torch
from torch import nn

from ssl_pcb.training.memory import peak_bytes

CPU = torch.device("cpu")
MB = 1_000_000


def test_the_most_at_a_time_counts_and_not_the_sum():
    def run():
        first = torch.zeros(3 * MB, dtype=torch.uint8)
        del first
        second, third = torch.zeros(MB, dtype=torch.uint8), torch.zeros(4 * MB, dtype=torch.uint8)
        del second, third
        return torch.zeros(2 * MB, dtype=torch.uint8)

    assert peak_bytes(run, CPU) == pytest.approx(5 * MB, rel=1e-3)


def test_what_was_there_before_does_not_count_nor_its_end():
    held = [torch.zeros(50 * MB, dtype=torch.uint8)]

    def run():
        held.clear()
        return torch.ones(MB, dtype=torch.uint8)

    assert peak_bytes(run, CPU) == pytest.approx(MB, rel=1e-3)


def test_a_training_step_holds_weights_gradients_moments_and_what_backward_needs():
    """100 linear layers without a bias: what each keeps is its input, and all of it is there when backward begins."""
    width, depth, batch = 50, 100, 400

    def run():
        network = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(depth)))
        optimizer = torch.optim.AdamW(network.parameters())
        for _ in range(2):
            network(torch.rand(batch, width)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    weights, kept = 4 * depth * width**2, 4 * depth * batch * width
    assert peak_bytes(run, CPU) == pytest.approx(3 * weights + kept, rel=0.05)  # at the second step's forward end
