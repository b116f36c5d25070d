"""Recipes of papers as plain tables of keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.defects import ALONG_THE_PATTERN


@dataclass(frozen=True)
class Preset:
    """Keys that are set together.

    Attributes:
        meaning: One sentence.
        keys: Dotted key to value. They override a file, and are overridden by keys that are given by themselves.
    """

    meaning: str
    keys: Mapping[str, Any]


# The paper does not say which weights decay; its code (github.com/liuzhuang13/DenseNet, train.lua) decays all.
DENSENET = {
    "optimizer.name": "sgd",
    "optimizer.lr": 0.1,
    "optimizer.momentum": 0.9,
    "optimizer.nesterov": True,
    "optimizer.weight_decay": 1e-4,
    "optimizer.decay_all": True,
    "training.warmup": 0.0,
    "training.schedule.name": "step",
    "training.schedule.milestones": [0.5, 0.75],
    "training.schedule.factor": 0.1,
}
"""Huang et al. 2017, arXiv 1608.06993, section 4.2. Their batches are of 64 images."""

FEW_LABELS = {
    "augment.name": "painted",
    "augment.defect.generators": [*ALONG_THE_PATTERN],
    "head_start": "probe",
    "optimizer.lr": 3e-4,
    "training.epochs": 10,
    "training.batch_size": 128,
    "steps_per_epoch": 100,
    "select": "last",
}
"""Painting on of results/README.md, "How few labels", as its finalists are made."""

RECIPE: Mapping[str, Any] = {
    "method.name": "defect_pretext",
    "method.defect.generators": [*ALONG_THE_PATTERN],
    "method.defect.null_share": 0.3,
    "view.geometry.rotation": 0.0,
    "view.geometry.translation": 0.0,
    "view.geometry.shrink": 0.0,
    "backbone.neck": 7,
    "backbone.pool": "max",
}
"""What pretrain does unless a method or a config file is given: painted defects along the pattern, under the symmetries
and light; with the strides of :func:`recipe` the row *exact* of results/few_labels.csv."""

LARGE = 96
"""Pixels from which on a tile's map needs coarser cells: of a defect twice as large a network must see twice as much.

On tiles of 128 px strides of 16 and 32 learned more in 5 epochs than 8 and 16 did in 20, and no more in 20
(results/README.md, "The same tiles at 128 px"); what lies between 64 and 128 px was not measured.
"""


OWN = ("method.defect", "method.positive_weight", "method.kind_weight", "method.trim", "method.nt_xent_weight")
"""Keys of its method, which may be given with it; others are of SimCLR."""


def recipe(side: int) -> Mapping[str, Any]:
    """:data:`RECIPE` and the strides for tiles of which the network sees ``side`` x ``side`` pixels."""
    return {**RECIPE, "backbone.strides": [16, 32] if side >= LARGE else [8, 16]}


def recipe_for(stage: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the user has left open of :func:`recipe`, if ``stage`` is pretrain and he has chosen no other way.

    Args:
        stage: Name of the stage.
        asked: Dotted keys that the user gives, in a file or by flags.
    """
    keys = {key for key in asked if key.startswith("method.") and key != "method.name"}
    own = all(key.startswith(OWN) for key in keys)
    named = asked.get("method.name", RECIPE["method.name"] if own else "")
    goes_on = asked.get("checkpoint", "none") != "none"
    if stage != "pretrain" or named != RECIPE["method.name"] or goes_on:
        return {}
    size, context = (
        _number(asked.get(f"data.{key}"), DataConfig.model_fields[key].default) for key in ("image_size", "context")
    )
    whole = recipe(size - 2 * context)
    # The name stays, though it is asked for: without it the keys of its variant would have none to go to.
    return {key: value for key, value in whole.items() if key not in asked or key == "method.name"}


def _number(asked: Any, default: int) -> int:
    """As the configuration will read it; what it will refuse counts as not asked for."""
    try:
        return TypeAdapter(int).validate_python(asked)
    except ValidationError:
        return default


PRESETS = {
    "densenet_paper": Preset(
        "SGD with Nesterov momentum 0.9, weight decay 1e-4 on all weights, rate 0.1 divided by 10 after 50 % and 75 % "
        "of the epochs (its initialisation is backbone.init=he)",
        DENSENET,
    ),
    "few_labels": Preset(
        "1,000 steps of 128 from a pretrained network, however few the labels, with painted defects among the real "
        "ones, the head from its linear probe, the last epoch kept",
        FEW_LABELS,
    ),
}
"""Preset by name; of finetune and crossval."""
