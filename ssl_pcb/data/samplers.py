"""Which training samples an epoch shows, and in which order."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.config.sampler import (
    DatasetUndersampleConfig,
    EpochUndersampleConfig,
    NaturalConfig,
    SamplerConfig,
)

Indices = NDArray[np.int64]


class Sampler(Protocol):
    """An order of samples for every epoch."""

    def epoch(self, epoch: int) -> Indices:
        """Positions of the samples that ``epoch`` shows, shuffled; the same for the same seed and epoch."""
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
        classes, counts = np.unique(labels, return_counts=True)
        minority = classes[counts.argmin()]
        self.minority = np.flatnonzero(labels == minority)
        self.majority = np.flatnonzero(labels != minority)
        self.keep = min(len(self.majority), round(ratio * len(self.minority)))
        self.seed, self.fixed = seed, fixed

    def epoch(self, epoch: int) -> Indices:
        """Positions of the minority and the kept part of the majority, shuffled."""
        subset = np.random.default_rng([self.seed, 0 if self.fixed else epoch, 1])
        kept = subset.choice(self.majority, self.keep, replace=False)
        return np.random.default_rng([self.seed, epoch]).permutation(np.concatenate([self.minority, kept]))


class Endless:
    """Epochs of one length, whatever ``inner``'s: its own follow one another without a break."""

    def __init__(self, inner: Sampler, length: int) -> None:
        self.inner, self.length = inner, length
        self.passes = -(-length // len(inner.epoch(0)))

    def epoch(self, epoch: int) -> Indices:
        """The first ``length`` positions of as many of the inner sampler's epochs as that takes."""
        first = epoch * self.passes
        return np.concatenate([self.inner.epoch(first + each) for each in range(self.passes)])[: self.length]


def build_sampler(config: SamplerConfig, labels: NDArray[np.int64], seed: int) -> Sampler:
    """The sampler that ``config`` names, over samples with the class indices ``labels`` (N,)."""
    match config:
        case NaturalConfig():
            return Natural(len(labels), seed)
        case DatasetUndersampleConfig():
            return Undersample(labels, seed, config.ratio, fixed=True)
        case EpochUndersampleConfig():
            return Undersample(labels, seed, config.ratio, fixed=False)


def class_counts(sampler: Sampler, labels: NDArray[np.int64], classes: int) -> Indices:
    """(classes,) samples of each class in the first epoch, as shown."""
    return np.bincount(labels[sampler.epoch(0)], minlength=classes)
