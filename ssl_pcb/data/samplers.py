"""Which training samples an epoch shows, and in which order."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.config.sampler import (
    BalancedBatchConfig,
    DatasetUndersampleConfig,
    EpochUndersampleConfig,
    NaturalConfig,
    OversampleConfig,
    OversampleHflipConfig,
    SamplerConfig,
    WeightedConfig,
)

Indices = NDArray[np.int64]


class Sampler(Protocol):
    """An order of samples for every epoch."""

    def epoch(self, epoch: int) -> Indices:
        """Positions of the samples that ``epoch`` shows, shuffled; the same for the same seed and epoch.

        Of N samples, position N + i is sample i mirrored left to right.
        """
        ...


class Natural:
    """Every sample once an epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed

    def epoch(self, epoch: int) -> Indices:
        """All positions, shuffled."""
        return np.random.default_rng([self.seed, epoch]).permutation(self.count)


class Undersample:
    """The minority class and ``ratio`` times as many samples of the majority.

    With ``fixed`` the subset of the majority is drawn once, so that an experiment sees the same smaller data
    set throughout; otherwise anew each epoch, so that in time all of the majority is seen.
    """

    def __init__(self, labels: NDArray[np.int64], seed: int, ratio: float, *, fixed: bool) -> None:
        self.minority, self.majority = _parted(labels)
        self.keep = min(len(self.majority), round(ratio * len(self.minority)))
        self.seed, self.fixed = seed, fixed

    def epoch(self, epoch: int) -> Indices:
        """Positions of the minority and the kept part of the majority, shuffled."""
        subset = np.random.default_rng([self.seed, 0 if self.fixed else epoch, 1])
        kept = subset.choice(self.majority, self.keep, replace=False)
        return np.random.default_rng([self.seed, epoch]).permutation(np.concatenate([self.minority, kept]))


class Oversample:
    """Every sample, and the minority repeated until the majority has ``ratio`` times as many.

    Repeats go through the minority in shuffled passes, so that each of its samples is shown about as often. With
    ``mirror`` they are mirrored left to right, so that no repeat is the same picture twice over.
    """

    def __init__(self, labels: NDArray[np.int64], seed: int, ratio: float, *, mirror: bool) -> None:
        self.minority, self.majority = _parted(labels)
        self.repeats = max(0, round(len(self.majority) / ratio) - len(self.minority))
        self.seed, self.offset = seed, len(labels) if mirror else 0

    def epoch(self, epoch: int) -> Indices:
        """All positions and the repeats, shuffled."""
        rng = np.random.default_rng([self.seed, epoch])
        repeated = _passes(self.minority, self.repeats, rng) + self.offset
        return rng.permutation(np.concatenate([self.majority, self.minority, repeated]))


class Weighted:
    """As many draws as there are samples, with replacement; both classes are equally likely at each."""

    def __init__(self, labels: NDArray[np.int64], seed: int) -> None:
        _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self.chances, self.seed = 1 / (len(counts) * counts[classes]), seed

    def epoch(self, epoch: int) -> Indices:
        """Drawn positions."""
        rng = np.random.default_rng([self.seed, epoch])
        return rng.choice(len(self.chances), len(self.chances), p=self.chances)


class BalancedBatch:
    """Batches of which either class has half, in as many batches as the majority fills; the minority is repeated."""

    def __init__(self, labels: NDArray[np.int64], seed: int, batch_size: int) -> None:
        self.classes, self.half, self.seed = _parted(labels), batch_size // 2, seed
        self.batches = max(1, len(self.classes[1]) // self.half)

    def epoch(self, epoch: int) -> Indices:
        """Positions in the order of the batches (which several processes share), shuffled within each."""
        rng = np.random.default_rng([self.seed, epoch])
        halves = [_passes(each, self.batches * self.half, rng).reshape(self.batches, -1) for each in self.classes]
        return rng.permuted(np.concatenate(halves, 1), axis=1).ravel()


class Endless:
    """Epochs of another length than ``inner``'s, which are of one too and follow each other without a break."""

    def __init__(self, inner: Sampler, length: int) -> None:
        self.inner, self.length = inner, length

    def epoch(self, epoch: int) -> Indices:
        """The next ``length`` positions of the inner sampler's epochs."""
        each, begin = len(self.inner.epoch(0)), epoch * self.length
        first, last = begin // each, (begin + self.length - 1) // each
        passes = np.concatenate([self.inner.epoch(number) for number in range(first, last + 1)])
        return passes[begin - first * each :][: self.length]


def _parted(labels: NDArray[np.int64]) -> tuple[Indices, Indices]:
    """Positions of the minority, and of the others; of classes of one size the lower one is the minority."""
    classes, counts = np.unique(labels, return_counts=True)
    rarer = labels == classes[counts.argmin()]
    return np.flatnonzero(rarer), np.flatnonzero(~rarer)


def _passes(positions: Indices, length: int, rng: np.random.Generator) -> Indices:
    """``length`` of ``positions``, in shuffled passes one after another."""
    passes = -(-length // len(positions))
    return np.concatenate([rng.permutation(positions) for _ in range(passes)] or [positions[:0]])[:length]


def build_sampler(config: SamplerConfig, labels: NDArray[np.int64], seed: int, batch_size: int) -> Sampler:
    """The sampler that ``config`` names.

    Args:
        config: Its settings.
        labels: (N,) class indices of the samples.
        seed: Seed of all that it draws.
        batch_size: Samples a step, over all processes; even for ``balanced_batch``.
    """
    match config:
        case NaturalConfig():
            return Natural(len(labels), seed)
        case DatasetUndersampleConfig():
            return Undersample(labels, seed, config.ratio, fixed=True)
        case EpochUndersampleConfig():
            return Undersample(labels, seed, config.ratio, fixed=False)
        case OversampleConfig():
            return Oversample(labels, seed, config.ratio, mirror=False)
        case OversampleHflipConfig():
            return Oversample(labels, seed, config.ratio, mirror=True)
        case WeightedConfig():
            return Weighted(labels, seed)
        case BalancedBatchConfig():
            return BalancedBatch(labels, seed, batch_size)


def class_counts(sampler: Sampler, labels: NDArray[np.int64], classes: int) -> Indices:
    """(classes,) samples of each class in the first epoch, as shown."""
    return np.bincount(labels[sampler.epoch(0) % len(labels)], minlength=classes)
