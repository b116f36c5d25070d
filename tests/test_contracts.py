"""Contracts of interchangeable parts. The unions and folders are walked, so that neither drifts from the other."""

from itertools import product
from pathlib import Path
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ValidationError
from torch import nn
from torch.func import functional_call

import ssl_pcb.losses
from ssl_pcb.config.loss import (
    ClassRatioConfig,
    CrossEntropyConfig,
    FocalConfig,
    LogitAdjustedConfig,
    LossConfig,
    SupConConfig,
)
from ssl_pcb.config.margin_losses import (
    L2ConstrainedSoftmaxConfig,
    LargeMarginSoftmaxConfig,
    LDAMConfig,
    TemperatureConfig,
)
from ssl_pcb.config.model import LinearHeadConfig
from ssl_pcb.config.sampler import SamplerConfig
from ssl_pcb.data.loaders import ArrayDataset, Share, batches
from ssl_pcb.data.samplers import Endless, build_sampler, class_counts
from ssl_pcb.losses.build import build_loss
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.models.heads import build_head
from ssl_pcb.models.layers import build_layer
from ssl_pcb.objectives.classification import FeatureClassifier


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
BATCH = 10
REPEATING = {"oversample", "oversample_hflip", "weighted", "balanced_batch"}


def build(variant, labels, seed=3, **keys):
    return build_sampler(variant(**keys), labels, seed, BATCH)


def expected_counts(name, labels):
    """Samples of each class that an epoch shows; ``None`` = left to chance."""
    counts = np.bincount(labels)
    least, most = counts.min(), counts.max()
    match name:
        case "natural":
            return counts.tolist()
        case "dataset_undersample" | "epoch_undersample":
            return [least, least]
        case "oversample" | "oversample_hflip":
            return [most, most]
        case "balanced_batch":
            return [most // (BATCH // 2) * (BATCH // 2)] * 2
        case "weighted":
            return None
        case _:
            raise NotImplementedError(f"say what an epoch of {name} shows")


@pytest.mark.parametrize("variant", SAMPLERS, ids=lambda variant: variant.__name__)
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
class TestSampler:
    def test_class_counts(self, variant, labels):
        sampler, count = build(variant, labels), len(labels)
        expected = expected_counts(variant().name, labels)
        shown = [np.bincount(labels[sampler.epoch(epoch) % count], minlength=2) for epoch in range(30)]
        if expected is None:
            assert {len(sampler.epoch(epoch)) for epoch in range(4)} == {count}
            mean = np.mean(shown, axis=0) / count
            assert np.abs(mean - 0.5).max() < 4 * 0.5 / np.sqrt(30 * count)  # four standard errors
        else:
            assert all(each.tolist() == expected for each in shown)
        assert class_counts(sampler, labels, 2).tolist() == shown[0].tolist()

    def test_only_samplers_that_say_so_show_a_sample_twice_and_then_evenly(self, variant, labels):
        sampler, name = build(variant, labels), variant().name
        minority = np.flatnonzero(labels == np.bincount(labels).argmin())
        for epoch in range(4):
            shown = sampler.epoch(epoch)
            assert shown.min() >= 0
            assert shown.max() < 2 * len(labels) if name == "oversample_hflip" else shown.max() < len(labels)
            times = np.bincount(shown % len(labels), minlength=len(labels))
            if name == "weighted":
                continue
            assert times[minority].min() >= 1
            assert times[minority].max() - times[minority].min() <= 1
            others = np.delete(times, minority)
            assert others.max() <= 1
            if name not in REPEATING:
                assert times.max() == 1

    def test_epochs_of_one_length_go_through_the_samplers_own_without_a_break(self, variant, labels):
        inner = build(variant, labels)
        length = 5 * len(inner.epoch(0)) // 2  # two passes and a half
        shown = np.concatenate([Endless(inner, length).epoch(epoch) for epoch in range(4)])
        assert len(shown) == 4 * length
        whole = np.concatenate([inner.epoch(epoch) for epoch in range(11)])
        assert np.array_equal(shown, whole[: 4 * length])
        short = np.concatenate([Endless(inner, 3).epoch(epoch) for epoch in range(4)])
        assert np.array_equal(short, whole[:12])

    def test_an_epoch_depends_on_seed_and_number_alone(self, variant, labels):
        first, second = (build(variant, labels) for _ in range(2))
        ahead = [first.epoch(epoch) for epoch in range(3)]
        assert np.array_equal(second.epoch(2), ahead[2])  # as after --resume: 0 and 1 were not asked for
        assert not np.array_equal(build(variant, labels, seed=4).epoch(0), ahead[0])

    def test_epochs_differ_in_order_and_classes_are_mixed(self, variant, labels):
        sampler = build(variant, labels)
        assert not np.array_equal(sampler.epoch(0), sampler.epoch(1))
        shown = labels[sampler.epoch(0) % len(labels)]
        assert 0 < shown[: len(shown) // 2].mean() < 1

    def test_coverage_over_epochs(self, variant, labels):
        sampler = build(variant, labels)
        seen = set().union(*((sampler.epoch(epoch) % len(labels)).tolist() for epoch in range(60)))
        fixed = variant().name == "dataset_undersample"
        assert len(seen) == (len(sampler.epoch(0)) if fixed else len(labels))

    def test_two_ranks_share_each_batch_and_no_position_of_it(self, variant, labels):
        order = build(variant, labels).epoch(0)
        dataset = ArrayDataset(np.arange(2 * len(labels))[:, None], labels, np.arange(len(labels)))
        parts = [
            [
                list(chunk)
                for chunk in batches(dataset, order, BATCH, drop_last=True, share=Share(rank, 2)).batch_sampler
            ]
            for rank in range(2)
        ]
        for number, (one, other) in enumerate(zip(*parts, strict=True)):
            chunk = order[number * BATCH : (number + 1) * BATCH].tolist()
            assert sorted(one + other) == sorted(chunk)
            assert len(one) == len(other) == BATCH // 2


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_a_balanced_batch_is_balanced(labels):
    (variant,) = [each for each in SAMPLERS if each().name == "balanced_batch"]
    shown = [labels[build(variant, labels).epoch(epoch)].reshape(-1, BATCH) for epoch in range(30)]
    assert all((each.sum(1) == BATCH // 2).all() for each in shown)
    assert set(np.concatenate(shown)[:, 0]) == {0, 1}  # classes stand in no fixed places


@pytest.mark.parametrize("labels", [LABELS["few defective"], LABELS["few good"]], ids=["few defective", "few good"])
def test_only_repeats_of_the_minority_are_mirrored(labels):
    (variant,) = [each for each in SAMPLERS if each().name == "oversample_hflip"]
    shown, count = build(variant, labels).epoch(0), len(labels)
    plain, mirrored = shown[shown < count], shown[shown >= count] - count
    assert sorted(plain.tolist()) == list(range(count))
    assert set(labels[mirrored]) == {np.bincount(labels).argmin()}
    assert len(mirrored) == 45


def test_a_mirrored_position_is_the_sample_left_to_right():
    pixels = np.arange(3 * 4 * 4 * 2, dtype=np.uint8).reshape(3, 4, 4, 2)
    dataset = ArrayDataset(pixels, np.array([0, 1, 1]), np.array([2, 0]))
    batch = dataset.__getitems__([1, 3, 2])  # rows 0, 0 mirrored, 2 mirrored
    assert batch.labels.tolist() == [0, 0, 1]
    expected = [pixels[0], pixels[0, :, ::-1], pixels[2, :, ::-1]]
    assert np.array_equal(batch.inputs.permute(0, 2, 3, 1).numpy(), np.stack(expected))
    paired = ArrayDataset(pixels, np.array([0, 1, 1]), np.array([2, 0]), references=pixels + 100)
    assert np.array_equal(paired.__getitems__([3]).inputs[0, 2:].permute(1, 2, 0).numpy(), pixels[0, :, ::-1] + 100)


def test_a_fixed_subset_differs_by_seed():
    labels = LABELS["few defective"]
    (config,) = [variant() for variant in SAMPLERS if variant().name == "dataset_undersample"]
    subsets = {frozenset(build_sampler(config, labels, seed, BATCH).epoch(0).tolist()) for seed in range(3)}
    assert len(subsets) == 3


@pytest.mark.parametrize("variant", [v for v in SAMPLERS if "ratio" in v.model_fields], ids=lambda v: v.__name__)
@pytest.mark.parametrize(
    ("ratio", "under", "over"), [(2, [30, 15], [60, 30]), (3.5, [52, 15], [60, 17]), (100, [60, 15], [60, 15])]
)
def test_ratio(variant, ratio, under, over):
    sampler = build(variant, LABELS["few defective"], ratio=ratio)
    expected = under if "undersample" in variant().name else over
    assert class_counts(sampler, LABELS["few defective"], 2).tolist() == expected


# Losses -----------------------------------------------------------------------------------------------------

DIM = 5
MARGIN_ALONE = {"lambda_start": 0.01, "lambda_end": 0.01}
LOSSES = [config for variant in variants(LossConfig) for config in settings(variant)]
LOSSES += [
    *(each.model_copy(update={"label_smoothing": 0.1}) for each in settings(CrossEntropyConfig)),
    CrossEntropyConfig(class_weights="effective_number", beta=0.9),
    FocalConfig(gamma=0), FocalConfig(gamma=1), FocalConfig(alpha=0.25), LogitAdjustedConfig(tau=0.5),
    ClassRatioConfig(swapped=True), ClassRatioConfig(posthoc=False), L2ConstrainedSoftmaxConfig(alpha=4),
    TemperatureConfig(learned=True), TemperatureConfig(temperature=0.5), LDAMConfig(reweight_after=0),
    LDAMConfig(max_margin=0.2, scale=10, reweight_after=0, beta=0.9), LargeMarginSoftmaxConfig(anneal_steps=10),
    *(each.model_copy(update=MARGIN_ALONE) for each in settings(LargeMarginSoftmaxConfig)),
    *(SupConConfig(mode="joint", views=views, weight=0.2, temperature=0.5, output_dim=16) for views in (1, 2)),
]  # fmt: skip


def built(config):
    """The loss as it stands at the beginning of a training, which the call of it does not change."""
    torch.manual_seed(0)
    return build_loss(config, DIM).eval()


def log_shares(logits):
    """(B, K) log probabilities."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def arrays(inputs):
    return inputs.logits.double().numpy(), inputs.targets.numpy(), inputs.class_counts.double().numpy()


def lengths_of(inputs):
    """Features, weights, and the length of each row."""
    features, weight = inputs.features.double().numpy(), inputs.weight.double().numpy()
    return features, weight, np.linalg.norm(features, axis=1), np.linalg.norm(weight, axis=1)


def mean_cross_entropy(logits, targets, weights=(1.0, 1.0)):
    losses = [-weights[k] * row[k] for row, k in zip(log_shares(logits), targets, strict=True)]
    return sum(losses) / sum(weights[k] for k in targets)


def naive_cross_entropy(config, inputs, state):
    logits, targets, counts = arrays(inputs)
    weight = {
        "none": lambda n: 1.0,
        "balanced": lambda n: counts.sum() / (len(counts) * n),
        "effective_number": lambda n: (1 - config.beta) / (1 - config.beta**n),
    }[config.class_weights]
    total, weights = 0.0, 0.0
    for row, target in zip(log_shares(logits), targets, strict=True):
        for k, log_share in enumerate(row):
            label = (1 - config.label_smoothing) * (k == target) + config.label_smoothing / len(row)
            total -= label * weight(counts[k]) * log_share
        weights += weight(counts[target])
    return total / weights


def naive_focal(config, inputs, state):
    logits, targets, _ = arrays(inputs)
    each = []
    for row, target in zip(log_shares(logits), targets, strict=True):
        weight = 1.0 if config.alpha is None else (1 - config.alpha, config.alpha)[target]
        each.append(-weight * (1 - np.exp(row[target])) ** config.gamma * row[target])
    return np.mean(each)


def naive_logit_adjusted(config, inputs, state):
    logits, targets, counts = arrays(inputs)
    return mean_cross_entropy(logits + config.tau * np.log(counts / counts.sum()), targets)


def naive_class_ratio(config, inputs, state):
    logits, targets, counts = arrays(inputs)
    ratios = [counts.sum() / (2 * n) for n in counts]
    if config.swapped:
        ratios.reverse()
    common = total = 0.0
    for row, target in zip(np.exp(log_shares(logits)), targets, strict=True):
        for k, predicted in enumerate(row):
            common += ratios[k] * predicted * (k == target)
            total += ratios[k] * predicted + ratios[k] * (k == target)
    return 1 - 2 * common / total


def naive_large_margin_softmax(config, inputs, state):
    logits, targets, _ = arrays(inputs)
    features, weight, longs, wides = lengths_of(inputs)
    m, share = config.margin, config.lambda_start  # of the first step
    logits = logits.copy()
    for row, target in enumerate(targets):
        angle = np.arccos(features[row] @ weight[target] / (longs[row] * wides[target]))
        k = int(angle // (np.pi / m))
        asked = (-1) ** k * np.cos(m * angle) - 2 * k
        logits[row, target] = longs[row] * wides[target] * (share * np.cos(angle) + asked) / (share + 1)
    return mean_cross_entropy(logits, targets)


def naive_l2_constrained_softmax(config, inputs, state):
    features, weight, longs, _ = lengths_of(inputs)
    return mean_cross_entropy(config.alpha * features / longs[:, None] @ weight.T, inputs.targets.numpy())


def naive_temperature(config, inputs, state):
    features, weight, _, _ = lengths_of(inputs)
    return mean_cross_entropy(features @ weight.T / config.temperature, inputs.targets.numpy())


def naive_ldam(config, inputs, state):
    _, targets, counts = arrays(inputs)
    features, weight, longs, wides = lengths_of(inputs)
    cosines = features @ weight.T / np.outer(longs, wides)
    margins = config.max_margin * counts**-0.25 / max(counts**-0.25)
    for row, target in enumerate(targets):
        cosines[row, target] -= margins[target]
    weights = [1.0, 1.0] if config.reweight_after is None else (1 - config.beta) / (1 - config.beta**counts)
    return mean_cross_entropy(config.scale * cosines, targets, weights)


def naive_supcon(config, inputs, state):
    logits, targets, _ = arrays(inputs)
    first, last = ({part: state[f"projector.layers.{i}.{part}"] for part in ("weight", "bias")} for i in (0, 2))
    hidden = np.maximum(inputs.features.double().numpy() @ first["weight"].T + first["bias"], 0)
    z = hidden @ last["weight"].T + last["bias"]
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    each = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        near = {j: np.exp(z[i] @ z[j] / config.temperature) for j in others}
        each.append(-np.mean([np.log(near[j] / sum(near.values())) for j in others if targets[j] == targets[i]]))
    contrast, classes = np.mean(each), mean_cross_entropy(logits, targets)
    if config.mode == "two_stage":
        return contrast + classes
    return config.weight * contrast + (1 - config.weight) * classes


NAIVE = {
    "cross_entropy": naive_cross_entropy, "focal": naive_focal, "logit_adjusted": naive_logit_adjusted,
    "class_ratio": naive_class_ratio, "large_margin_softmax": naive_large_margin_softmax,
    "l2_constrained_softmax": naive_l2_constrained_softmax, "temperature": naive_temperature, "ldam": naive_ldam,
    "supcon": naive_supcon,
}  # fmt: skip
BOUNDED = {"class_ratio"}  # losses of at most 1
BY_LAYER = {"l2_constrained_softmax", "temperature"}  # cross entropy behind a layer of their own


def layer_of(config, weight):
    """The last layer that the loss is made for, in double precision, without offset."""
    layer = build_layer(config, DIM, 2).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def some_inputs(config=None, dtype=torch.float32, counts=(90, 10), batch=12):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(batch, DIM, generator=generator, dtype=torch.float64)
    weight = torch.randn(2, DIM, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 2, (batch,), generator=generator)
    logits = layer_of(config or CrossEntropyConfig(), weight)(features).detach()
    return LossInputs(features.to(dtype), weight.to(dtype), logits.to(dtype), targets, torch.tensor(counts))


OTHERS = {"__init__", "inputs", "build", "supervised", "class_weights", "whole_batch", "precision"}
PICTURES = {"reconstruction", "nt_xent", "jensen_shannon"}  # compare these, not classes


def test_every_loss_file_is_a_variant_and_every_variant_a_file():
    files = {file.stem for file in Path(ssl_pcb.losses.__file__).parent.glob("*.py")} - OTHERS - PICTURES
    assert files | BY_LAYER == {variant().name for variant in variants(LossConfig)} == set(NAIVE)
    assert not files & BY_LAYER


@pytest.mark.parametrize("variant", variants(LossConfig), ids=lambda variant: variant.__name__)
def test_every_setting_of_a_loss_is_tried_at_two_values(variant):
    """One that the loss does not read would pass all else at its default."""
    tried = [config for config in LOSSES if isinstance(config, variant)]
    once = {key for key in variant.model_fields if len({getattr(config, key) for config in tried}) < 2}
    assert once <= {"name"}


def test_what_hangs_on_the_counts_says_so():
    for config in LOSSES:
        inputs, loss = some_inputs(config), built(config)
        even = LossInputs(inputs.features, inputs.weight, inputs.logits, inputs.targets, torch.tensor([50, 50]))
        assert (loss(inputs).item() != loss(even).item()) == config.by_counts, config


@pytest.mark.parametrize("config", LOSSES, ids=name_of)
class TestLoss:
    def test_it_equals_the_naive_version(self, config):
        inputs, loss = some_inputs(config), built(config)
        value = loss(inputs)
        assert value.shape == ()
        assert value.dtype == torch.float32
        state = {name: tensor.double().numpy() for name, tensor in loss.state_dict().items()}
        assert value.item() == pytest.approx(NAIVE[config.name](config, inputs, state), rel=1e-5)

    def test_its_gradient_is_that_of_its_value(self, config):
        inputs, loss = some_inputs(config, torch.float64, batch=6), built(config).double()
        layer = layer_of(config, inputs.weight)

        def value(features, weight):
            logits = functional_call(layer, {"weight": weight}, features)
            return loss(LossInputs(features, weight, logits, inputs.targets, inputs.class_counts))

        variables = (inputs.features.requires_grad_(), inputs.weight.requires_grad_())
        assert torch.autograd.gradcheck(value, variables)

    @pytest.mark.parametrize("sign", [1, -1], ids=["right", "wrong"])
    def test_extreme_logits_in_bfloat16_stay_finite(self, config, sign):
        if config.name == "large_margin_softmax":
            pytest.skip("it takes no logits: it makes them of features, which the next test has extreme")
        inputs = some_inputs(config, torch.bfloat16)
        right = nn.functional.one_hot(inputs.targets, 2) * 2 - 1
        logits = (sign * 1e4 * right).to(torch.bfloat16).requires_grad_()
        extreme = LossInputs(inputs.features, inputs.weight, logits, inputs.targets, inputs.class_counts)
        loss = built(config).bfloat16()(extreme)
        loss.backward()
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()
        if config.name in BOUNDED:
            assert (loss > 0.99) == (sign < 0)
        else:
            assert (loss > 1500) == (sign < 0)  # smoothed labels make a perfect prediction cost a little

    def test_extreme_features_in_bfloat16_stay_finite(self, config):
        inputs, losses = some_inputs(config, torch.bfloat16), []
        towards = 1e4 * (inputs.weight[inputs.targets] - inputs.weight[1 - inputs.targets])
        for features in (towards.requires_grad_(), (-towards).detach().requires_grad_()):
            features.retain_grad()
            layer, loss = layer_of(config, inputs.weight).bfloat16(), built(config).bfloat16()
            logits = layer(features)
            value = loss(LossInputs(features, layer.weight, logits, inputs.targets, inputs.class_counts))
            value.backward()
            losses.append(value.item())
            assert torch.isfinite(features.grad).all()
            assert torch.isfinite(layer.weight.grad).all()
        assert np.isfinite(losses).all()
        assert losses[0] < losses[1]  # features towards the own class, and away from it

    def test_it_teaches_a_layer_to_tell_the_classes_apart(self, config):
        torch.manual_seed(0)
        targets = torch.tensor([0] * 30 + [1] * 10)
        features = torch.randn(40, DIM) + 3 * targets[:, None] - 1.5
        head = build_head(LinearHeadConfig(), config, DIM, 2)
        model = FeatureClassifier(head, build_loss(config, DIM), targets.bincount())
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(40):
            optimizer.zero_grad()
            model.step(features, targets).loss.backward()
            optimizer.step()
        scores = model.eval().scores(features)
        assert scores[targets == 1].min() > scores[targets == 0].max()

    def test_a_class_that_is_never_shown_breaks_nothing(self, config):
        assert torch.isfinite(built(config)(some_inputs(config, counts=(100, 0))))


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
    sampler = build_sampler(variants(SamplerConfig)[0](), labels, 0, BATCH)
    counts = torch.from_numpy(class_counts(sampler, labels, 2))
    logits = torch.zeros(2, 2, requires_grad=True)
    loss(LossInputs(torch.zeros(2, 3), torch.zeros(2, 3), logits, torch.tensor([0, 1]), counts)).backward()
    return logits.grad.abs().sum(1).tolist()


# How much harder the rarer class is pulled where it is a quarter of the other: 60 against 15 samples.
PULLS = {
    "balanced": (CrossEntropyConfig(class_weights="balanced"), 4),
    "effective number": (CrossEntropyConfig(class_weights="effective_number", beta=0.99),
                         (1 - 0.99**60) / (1 - 0.99**15)),
    # An undecided network is pulled by the probability that the shares give to the other class.
    "logit adjusted": (LogitAdjustedConfig(), 4),
    # With ratios 5/8 and 5/2, twice the common part is half of the whole.
    "class ratio": (ClassRatioConfig(), (3 * 5 / 2 + 5 / 8) / (3 * 5 / 8 + 5 / 2)),
    # It is pulled by the probability that the margins, in the ratio of the fourth root of 4, give to the other class.
    "ldam": (LDAMConfig(scale=1), (1 + np.exp(-0.5 * 4**-0.25)) / (1 + np.exp(-0.5))),
    "ldam, re-weighted": (LDAMConfig(max_margin=0, reweight_after=0, beta=0.99), (1 - 0.99**60) / (1 - 0.99**15)),
}  # fmt: skip


@pytest.mark.parametrize("labels", [LABELS["few defective"], LABELS["few good"]], ids=["few defective", "few good"])
@pytest.mark.parametrize(("config", "times"), PULLS.values(), ids=PULLS.keys())
def test_what_knows_the_counts_pulls_harder_on_the_rarer_class(config, times, labels):
    rare = int(np.bincount(labels).argmin())
    pulls = pull(built(config), labels)
    assert pulls[rare] == pytest.approx(times * pulls[1 - rare], rel=1e-4)
    planted = pull(SwappedCounts(built(config)), labels)
    assert planted[rare] < planted[1 - rare]


@pytest.mark.parametrize("labels", [LABELS["few defective"], LABELS["few good"]], ids=["few defective", "few good"])
@pytest.mark.parametrize("swapped", [False, True])
def test_class_ratios_favour_the_rarer_class_unless_swapped_to_compare(swapped, labels):
    rare = int(np.bincount(labels).argmin())
    loss = built(ClassRatioConfig(swapped=swapped) if swapped else ClassRatioConfig())
    pulls = pull(loss, labels)
    assert (pulls[rare] < pulls[1 - rare]) is swapped
    correction = loss.correction(torch.from_numpy(np.bincount(labels)))
    assert (correction[rare] - correction[1 - rare]).item() == pytest.approx(np.log(4) * (-1 if swapped else 1))


def test_a_loss_at_its_neutral_setting_is_cross_entropy():
    inputs = some_inputs()
    expected = built(CrossEntropyConfig())(inputs).item()
    neutral = [FocalConfig(gamma=0), LogitAdjustedConfig(tau=0)]
    assert [built(each)(inputs).item() for each in neutral] == pytest.approx([expected] * 2, rel=1e-6)
    level = some_inputs(counts=(50, 50))
    assert built(LogitAdjustedConfig())(level).item() == pytest.approx(expected, rel=1e-6)
    for config in (
        LargeMarginSoftmaxConfig(margin=1, lambda_start=0.01, lambda_end=0.01),
        TemperatureConfig(temperature=1),
    ):
        assert built(config)(some_inputs(config)).item() == pytest.approx(expected, rel=1e-6)


def test_focal_alpha_is_the_weight_of_defective():
    labels = LABELS["alike"]
    pulls = pull(built(FocalConfig(alpha=0.8)), labels)
    assert pulls[1] == pytest.approx(4 * pulls[0], rel=1e-5)


def test_focal_between_zero_and_one_is_refused():
    with pytest.raises(ValidationError, match="no gradient where a prediction is perfect"):
        FocalConfig(gamma=0.5)
