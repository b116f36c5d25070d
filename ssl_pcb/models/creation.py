"""timm's networks, made as a config says."""

from __future__ import annotations

import difflib
import inspect
import logging
import sys
from typing import Any

import timm
from torch import nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.antialias import create_antialiased

log = logging.getLogger(__name__)


def create_network(config: BackboneConfig, channels: int) -> nn.Module:
    """The timm model without its classifier, for images of ``channels`` channels.

    Raises:
        UserError: If timm has no model of that name, or none of it with anti-aliasing, or cannot get its weights.
    """
    if not timm.is_model(config.name):
        near = difflib.get_close_matches(config.name, timm.list_models(), n=1)
        raise UserError(
            f"backbone.name: timm has no model '{config.name}'" + (f", did you mean {near[0]}?" if near else "")
        )
    keys: dict[str, Any] = {
        "pretrained": config.weights == "timm",
        "in_chans": channels,
        "num_classes": 0,
        "drop_rate": config.drop_rate,
    }
    if config.weights == "timm":
        log.info("weights of '%s': timm looks in its cache, and downloads what is not there", config.name)
    if _takes_any_size(config.name):
        keys["dynamic_img_size"] = True
    create = create_antialiased if config.antialias else timm.create_model
    try:
        return create(config.name, **keys)
    except (OSError, RuntimeError) as error:
        if config.weights == "none":
            raise
        raise UserError(
            f"backbone.weights: timm could not give weights for '{config.name}' "
            f"({str(error).splitlines()[0]}); set backbone.weights=none or pass a file with --checkpoint"
        ) from None


def _takes_any_size(name: str) -> bool:
    """Whether a network that was made for one size of images, such as a ViT, can take any whole number of patches."""
    entry = timm.model_entrypoint(name)
    made = inspect.signature(inspect.unwrap(entry)).return_annotation
    kinds = vars(sys.modules[entry.__module__])
    kind = kinds.get(made) if isinstance(made, str) else made
    return inspect.isclass(kind) and "dynamic_img_size" in inspect.signature(kind.__init__).parameters
