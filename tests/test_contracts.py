"""Contracts of interchangeable parts. The unions and folders are walked, so that neither drifts from the other."""

from itertools import product
from pathlib import Path
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import nn

import ssl_pcb.losses
from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.sampler import SamplerConfig
from ssl_pcb.data.samplers import Endless, build_sampler, class_counts
from ssl_pcb.losses.build import build_loss
from ssl_pcb.losses.inputs import LossInputs


def variants(union):
    """Config classes of ``Annotated[A | B, ...]`` or ``Annotated[A, ...]``."""
    inner = get_args(union)[0]
    return [inner] if isinstance(inner, type) else list(get_args(inner))


def settings(variant: type[BaseModel]):
    """The variant with every combination of its choices."""
    choices = {
        n: get_args(f.annotation) for n, f in variant.model_fields.items() if get_origin(f.annotation) is Literal
    }
    return [variant(**dict(zip(choices, values, strict=True))) for values in product(*choices.values())]


def name_of(config):
    return " ".join(str(value) for value in config.model_dump().values())


# Samplers ---------------------------------------------------------------------------------------------------

SAMPLERS = variants(SamplerConfig)
LABELS = {
    "few defective": np.repeat([0, 1], [60, 15]),
    "few good": np.repeat([1, 0], [60, 15]),
    "alike": np.tile([0, 1], 20),
}
# Name to: majority samples per minority sample (None = all), whether every sample is shown in time.
SAMPLER_FACTS = {"natural": (None, True), "dataset_undersample": (1, False), "epoch_undersample": (1, True)}


@pytest.mark.parametrize("variant", SAMPLERS, ids=lambda variant: variant.__name__)
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
class TestSampler:
    def facts(self, variant, labels):
        ratio, covers = SAMPLER_FACTS[variant().name]
        counts = np.bincount(labels)
        share = counts.max() if ratio is None else min(counts.max(), round(ratio * counts.min()))
        return np.where(np.arange(2) == counts.argmin(), counts.min(), share), covers or share == counts.max()

    def test_class_counts(self, variant, labels):
        sampler = build_sampler(variant(), labels, seed=3)
        expected, _ = self.facts(variant, labels)
        for epoch in range(4):
            assert np.bincount(labels[sampler.epoch(epoch)], minlength=2).tolist() == expected.tolist()
        assert class_counts(sampler, labels, 2).tolist() == expected.tolist()

    def test_no_sample_twice_in_an_epoch_and_the_minority_complete(self, variant, labels):
        sampler = build_sampler(variant(), labels, seed=3)
        minority = np.flatnonzero(labels == np.bincount(labels).argmin())
        for epoch in range(4):
            shown = sampler.epoch(epoch)
            assert len(set(shown.tolist())) == len(shown)
            assert set(shown.tolist()) >= set(minority.tolist())
            assert shown.min() >= 0
            assert shown.max() < len(labels)

    def test_epochs_of_one_length_show_each_sample_about_as_often_and_go_on_anew(self, variant, labels):
        inner = build_sampler(variant(), labels, seed=3)
        length = 5 * len(inner.epoch(0)) // 2  # two passes and a half
        endless = Endless(inner, length)
        first, second = endless.epoch(0), endless.epoch(1)
        assert len(first) == len(second) == length
        assert not np.array_equal(first, second)
        whole = np.concatenate([inner.epoch(0), inner.epoch(1)])
        assert np.array_equal(first[: len(whole)], whole)
        shown = np.concatenate([first, second])
        assert not {*inner.epoch(0), *inner.epoch(1)} - set(shown)
        assert np.array_equal(Endless(inner, length).epoch(1), second)

    def test_an_epoch_depends_on_seed_and_number_alone(self, variant, labels):
        first, second = (build_sampler(variant(), labels, seed=3) for _ in range(2))
        ahead = [first.epoch(epoch) for epoch in range(3)]
        assert np.array_equal(second.epoch(2), ahead[2])  # as after --resume: 0 and 1 were not asked for
        other = build_sampler(variant(), labels, seed=4)
        assert not np.array_equal(other.epoch(0), ahead[0])

    def test_epochs_differ_in_order_and_classes_are_mixed(self, variant, labels):
        sampler = build_sampler(variant(), labels, seed=3)
        assert not np.array_equal(sampler.epoch(0), sampler.epoch(1))
        shown = labels[sampler.epoch(0)]
        assert 0 < shown[: len(shown) // 2].mean() < 1

    def test_coverage_over_epochs(self, variant, labels):
        sampler = build_sampler(variant(), labels, seed=3)
        seen = set().union(*(sampler.epoch(epoch).tolist() for epoch in range(40)))
        _, covers = self.facts(variant, labels)
        assert len(seen) == (len(labels) if covers else len(sampler.epoch(0)))


def test_a_fixed_subset_differs_by_seed():
    labels = LABELS["few defective"]
    (config,) = [variant() for variant in SAMPLERS if variant().name == "dataset_undersample"]
    subsets = {frozenset(build_sampler(config, labels, seed).epoch(0).tolist()) for seed in range(3)}
    assert len(subsets) == 3


@pytest.mark.parametrize("variant", [v for v in SAMPLERS if "ratio" in v.model_fields], ids=lambda v: v.__name__)
@pytest.mark.parametrize(("ratio", "majority"), [(2, 30), (3.5, 52), (100, 60)])
def test_ratio(variant, ratio, majority):
    sampler = build_sampler(variant(ratio=ratio), LABELS["few defective"], seed=0)
    assert class_counts(sampler, LABELS["few defective"], 2).tolist() == [majority, 15]


# Losses -----------------------------------------------------------------------------------------------------

LOSSES = [config for variant in variants(LossConfig) for config in settings(variant)]


def naive_cross_entropy(config, inputs):
    counts, total, weights = inputs.class_counts.double().numpy(), 0.0, 0.0
    for logits, target in zip(inputs.logits.double().numpy(), inputs.targets.tolist(), strict=True):
        shifted = logits - logits.max()
        share = np.exp(shifted[target]) / np.exp(shifted).sum()
        weight = counts.sum() / (len(counts) * counts[target]) if config.class_weights == "balanced" else 1.0
        total, weights = total - weight * np.log(share), weights + weight
    return total / weights


NAIVE = {"cross_entropy": naive_cross_entropy}


def some_inputs(dtype=torch.float32, counts=(90, 10), batch=12):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(batch, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 2, (batch,), generator=generator)
    logits = features @ weight.T
    return LossInputs(features.to(dtype), weight.to(dtype), logits.to(dtype), targets, torch.tensor(counts))


OTHERS = {"__init__", "inputs", "build", "reconstruction", "nt_xent"}  # the last two compare pictures, not classes


def test_every_loss_file_is_a_variant_and_every_variant_a_file():
    files = {file.stem for file in Path(ssl_pcb.losses.__file__).parent.glob("*.py")} - OTHERS
    assert files == {variant().name for variant in variants(LossConfig)} == set(NAIVE)


@pytest.mark.parametrize("config", LOSSES, ids=name_of)
class TestLoss:
    def test_it_equals_the_naive_version(self, config):
        inputs = some_inputs()
        loss = build_loss(config)(inputs)
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(NAIVE[config.name](config, inputs), rel=1e-5)

    def test_its_gradient_is_that_of_its_value(self, config):
        inputs, loss = some_inputs(torch.float64, batch=6), build_loss(config)

        def value(features, weight):
            logits = features @ weight.T
            return loss(LossInputs(features, weight, logits, inputs.targets, inputs.class_counts))

        variables = (inputs.features.requires_grad_(), inputs.weight.requires_grad_())
        # Losses compute in float32, which sets the tolerance.
        assert torch.autograd.gradcheck(value, variables, eps=1e-2, atol=2e-3, rtol=1e-2)

    @pytest.mark.parametrize("sign", [1, -1], ids=["right", "wrong"])
    def test_extreme_logits_in_bfloat16_stay_finite(self, config, sign):
        inputs = some_inputs(torch.bfloat16)
        right = nn.functional.one_hot(inputs.targets, 2) * 2 - 1
        logits = (sign * 1e4 * right).to(torch.bfloat16).requires_grad_()
        extreme = LossInputs(inputs.features, inputs.weight, logits, inputs.targets, inputs.class_counts)
        loss = build_loss(config)(extreme)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()
        assert (loss > 100) == (sign < 0)

    def test_a_class_that_is_never_shown_breaks_nothing(self, config):
        assert torch.isfinite(build_loss(config)(some_inputs(counts=(100, 0))))


class SwappedCounts(nn.Module):
    """A planted fault: class counts given in the wrong order."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, inputs):
        counts = inputs.class_counts.flip(0)
        return self.loss(LossInputs(inputs.features, inputs.weight, inputs.logits, inputs.targets, counts))


def pull(loss, labels):
    """How strongly an undecided sample of each class is pulled, with counts as a stage takes them from ``labels``."""
    sampler = build_sampler(variants(SamplerConfig)[0](), labels, seed=0)
    counts = torch.from_numpy(class_counts(sampler, labels, 2))
    logits = torch.zeros(2, 2, requires_grad=True)
    loss(LossInputs(torch.zeros(2, 3), torch.zeros(2, 3), logits, torch.tensor([0, 1]), counts)).backward()
    return logits.grad.abs().sum(1).tolist()


@pytest.mark.parametrize("labels", [LABELS["few defective"], LABELS["few good"]], ids=["few defective", "few good"])
def test_balanced_weights_pull_harder_on_the_rarer_class(labels):
    balanced = [config for config in LOSSES if getattr(config, "class_weights", "") == "balanced"]
    rare = int(np.bincount(labels).argmin())
    assert balanced
    for config in balanced:
        pulls = pull(build_loss(config), labels)
        assert pulls[rare] == pytest.approx(4 * pulls[1 - rare], rel=1e-5)  # 60 against 15 samples
        planted = pull(SwappedCounts(build_loss(config)), labels)
        assert planted[rare] < planted[1 - rare]
