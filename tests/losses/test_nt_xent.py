"""NT-Xent with own negatives: lightly's without any, a naive loop with some."""

import math

import pytest
import torch
from lightly.loss import NTXentLoss

from ssl_pcb.losses.nt_xent import nt_xent

B, K, D = 5, 3, 7


def drawn(copies=K, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, B, D, generator=generator, dtype=dtype)
    negatives = torch.randn(B, copies, D, generator=generator, dtype=dtype)
    return first, second, negatives, torch.rand(B, copies, generator=generator) < 0.4


def naive(first, second, negatives, masked, temperature):
    views = [*first, *second]
    total = 0.0

    def alike(a, b):
        return math.exp(torch.cosine_similarity(a, b, dim=0).item() / temperature)

    for i, anchor in enumerate(views):
        sample, partner = i % B, (i + B) % (2 * B)
        below = sum(alike(anchor, other) for j, other in enumerate(views) if j != i)
        for k in range(negatives.shape[1]):
            if not masked[sample, k]:
                below += alike(anchor, negatives[sample, k])
        total -= math.log(alike(anchor, views[partner]) / below)
    return total / len(views)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("copies", [0, 1, K])
def test_a_naive_loop_gives_the_same(copies, temperature):
    parts = drawn(copies)
    assert nt_xent(*parts, temperature).item() == pytest.approx(naive(*parts, temperature), rel=1e-9)


@pytest.mark.parametrize("copies", [0, K])
def test_without_negatives_it_is_lightlys(copies):
    first, second, negatives, masked = drawn(copies, torch.float32)
    expected = NTXentLoss(0.2)(first, second)
    assert nt_xent(first, second, negatives, torch.ones_like(masked), 0.2).item() == pytest.approx(expected.item())


def test_without_a_mask_all_copies_are_negatives():
    first, second, negatives, masked = drawn()
    every = nt_xent(first, second, negatives, torch.zeros_like(masked), 0.2)
    assert nt_xent(first, second, negatives, None, 0.2).item() == pytest.approx(every.item())


def test_an_own_negative_is_pushed_from_its_anchor_and_from_no_other():
    first, second, negatives, _ = drawn(1)
    masked = torch.tensor([[False], [True], [True], [True], [True]])
    negatives.requires_grad_()
    nt_xent(first, second, negatives, masked, 0.2).backward()
    assert negatives.grad[0].norm() > 0
    assert negatives.grad[1:].norm() == 0
    toward = torch.nn.functional.normalize(first[0] / first[0].norm() + second[0] / second[0].norm(), dim=0)
    assert (negatives.grad[0, 0] @ toward).item() > 0  # the loss grows as the copy comes nearer


def test_gradients_are_right():
    first, second, negatives, masked = drawn()
    inputs = [each.requires_grad_() for each in (first, second, negatives)]
    assert torch.autograd.gradcheck(lambda a, b, n: nt_xent(a, b, n, masked, 0.3), inputs)
