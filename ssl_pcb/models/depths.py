"""How deep in a network a weight lies, as timm's own grouping tells it: what is frozen, and what learns slowly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from timm.models._manipulate import group_with_matcher
from timm.utils.model import freeze
from torch import nn

from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone


def freeze_stages(backbone: Backbone, names: Collection[str]) -> None:
    """Keep the weights of some stages, and the running statistics of their batch norms, as they are.

    Args:
        backbone: Its frozen batch norms are replaced by timm's ``FrozenBatchNorm2d``, which has the same weights.
        names: ``stem``, ``stage1`` and so on; the last stage includes what lies behind it.

    Raises:
        UserError: If there is no stage of a name, or timm does not know the network's stages.
    """
    if not names:
        return
    stages = _stages(backbone)
    for name in names:
        if name not in stages:
            raise UserError(f"freeze: '{backbone.name}' has no {name}, only {', '.join(stages)}")
        for parameter in stages[name]:
            parameter.requires_grad_(False)
    norms = [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.BatchNorm2d) and module.affine and not module.weight.requires_grad
    ]
    if norms:  # of an empty list timm freezes everything
        freeze(backbone, norms)  # type: ignore[no-untyped-call]


def layer_scales(backbone: Backbone, decay: float) -> dict[nn.Parameter, float]:
    """By which share of the head's learning rate each weight of the network learns: ``decay`` less a layer.

    As in BEiT (Bao et al. 2022, arXiv 2106.08254) and timm's ``param_groups_layer_decay``, which wants the head inside
    the network. A neck learns like the head.

    Args:
        backbone: Its parameters are the keys.
        decay: In (0, 1]; of 1 nothing is scaled.

    Raises:
        UserError: If timm does not know the network's layers.
    """
    if decay == 1:
        return {}
    numbers, head = _numbered(backbone, "layer_decay", coarse=False)
    return {each: decay ** (head - numbers[name]) for name, each in backbone.network.named_parameters()}


def _stages(backbone: Backbone) -> dict[str, list[nn.Parameter]]:
    """Parameters by stage, from the input on."""
    numbers, head = _numbered(backbone, "freeze", coarse=True)
    last = max((number for number in numbers.values() if number < head), default=0)
    stages = defaultdict(list)
    for name, number in sorted(numbers.items(), key=lambda item: item[1]):
        stages[f"stage{min(number, last)}" if number else "stem"].append(backbone.network.get_parameter(name))
    return dict(stages)


def _numbered(backbone: Backbone, key: str, *, coarse: bool) -> tuple[dict[str, int], int]:
    """The number of the layer, or stage, of each parameter of the network, the stem's 0; and that of the classifier."""
    network: Any = backbone.network
    if not hasattr(network, "group_matcher"):
        raise UserError(f"{key}: timm does not say what the layers of '{backbone.name}' are; choose another --backbone")
    # The networks here have no classifier; what timm groups with it (a last norm) is known by its name alone.
    found = network.pretrained_cfg.get("classifier") or "head"
    classifier = f"{found if isinstance(found, str) else found[0]}.weight"
    named = [*network.named_parameters(), (classifier, None)]
    numbers: dict[str, int] = group_with_matcher(iter(named), network.group_matcher(coarse=coarse), reverse=True)
    return numbers, numbers.pop(classifier)
