"""Single changes of a picture at fixed strengths, for asking how much a network minds each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ssl_pcb.augment.draws import signs
from ssl_pcb.augment.operations.apply import change
from ssl_pcb.augment.views import ViewMaker, plain_view
from ssl_pcb.config.augment import AS_IT_IS, ONLY_SYMMETRIES, SUPERVISED_VIEW, ViewConfig
from ssl_pcb.config.operations import STRONGEST, Operation

TIMES = (0.5, 1.0, 2.0)
"""Strengths of the parts of the standard view, as multiples of its own."""

LEVELS = (1, 3, 10)
"""Levels of the operations of AugMix and RandAugment, in both directions."""

UNGRADED = ("autocontrast", "equalize")
"""Operations that have no strength."""


@dataclass(frozen=True)
class SingleChange:
    """One change.

    Attributes:
        of: Whether it is a part of the standard ``view``, drawn up to its strength, or an ``operation`` at its level.
        name: Key of the view, or operation.
        strength: Largest strength, or level; ``None`` where there is none.
        usual: Whether it is a part of the standard view in its full strength. Such a change makes no label wrong, and a
            verdict should not depend on it.
        make: Stored pixels (B, C, H, H) uint8 to changed pictures (B, C, S, S) in [0, 1].
    """

    of: Literal["view", "operation"]
    name: str
    strength: float | None
    usual: bool
    make: Callable[[Tensor, torch.Generator], Tensor]

    def __str__(self) -> str:
        if self.strength is None:
            return self.name
        return f"{self.name} {'up to' if self.of == 'view' else 'at level'} {self.strength:g}"


def single_changes(size: int, channels: int) -> Iterator[SingleChange]:
    """Each part of the standard view of supervised training, and each operation, at a few strengths.

    Args:
        size: Side of a sample in pixels.
        channels: Of the pictures; grey ones have no colour to change.
    """
    yield SingleChange("view", "symmetries", None, True, ViewMaker(ONLY_SYMMETRIES, size))
    for group in ("geometry", "photometry"):
        for name, strength in getattr(SUPERVISED_VIEW, group):
            if isinstance(strength, float):
                for times in TIMES:
                    make = ViewMaker(_only(group, name, times * strength), size)
                    yield SingleChange("view", name, times * strength, times == 1, make)
    for name in get_args(Operation):
        if name == "color" and channels % 3:
            continue
        for level in [None] if name in UNGRADED else LEVELS:
            yield SingleChange("operation", name, level, False, _operation(name, level or 0, size))


def _only(group: str, name: str, strength: float) -> ViewConfig:
    part = getattr(AS_IT_IS, group).model_copy(update={name: strength})
    return AS_IT_IS.model_copy(update={group: part})


def _operation(name: str, level: float, size: int) -> Callable[[Tensor, torch.Generator], Tensor]:
    def make(pixels: Tensor, generator: torch.Generator) -> Tensor:
        strengths = signs(len(pixels), generator) * level / STRONGEST
        return change(plain_view(pixels, size), strengths, name)[0]

    return make
