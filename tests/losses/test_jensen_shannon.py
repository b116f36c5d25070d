"""The Jensen-Shannon loss against float64, and its ends."""

import numpy as np
import pytest
import torch

from ssl_pcb.losses.jensen_shannon import jensen_shannon


def naive(logits):
    """Mean over pictures of the mean Kullback-Leibler divergence of each copy from all copies' mean, in float64."""
    logits = logits.double().numpy()
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    total = 0.0
    for picture in range(logits.shape[1]):
        mean = shares[:, picture].mean(0)
        for copy in shares[:, picture]:
            total += sum(p * np.log(p / m) for p, m in zip(copy, mean, strict=True) if p > 0) / len(shares)
    return total / logits.shape[1]


@pytest.mark.parametrize("copies", [2, 3, 5])
@pytest.mark.parametrize("scale", [0.1, 1, 10])
def test_it_equals_the_naive_version(copies, scale):
    logits = scale * torch.randn(copies, 12, 2, generator=torch.Generator().manual_seed(0))
    assert jensen_shannon(logits).item() == pytest.approx(naive(logits), rel=1e-4, abs=1e-7)


def test_equal_copies_are_not_apart():
    logits = torch.randn(1, 9, 2, generator=torch.Generator().manual_seed(1)).expand(3, -1, -1)
    assert jensen_shannon(logits).item() == pytest.approx(0, abs=1e-7)


def test_copies_that_are_sure_of_opposite_classes_are_log_2_apart():
    logits = torch.tensor([[[50.0, -50.0]], [[-50.0, 50.0]]])
    assert jensen_shannon(logits).item() == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_stay_finite(dtype):
    logits = torch.tensor([[[1e4, -1e4]], [[-1e4, 1e4]], [[0.0, 0.0]]], dtype=dtype).requires_grad_()
    loss = jensen_shannon(logits)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_its_gradient_is_that_of_its_value():
    logits = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(jensen_shannon, (logits,))
