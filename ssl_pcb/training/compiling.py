"""Networks compiled where they stand."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone

PASSES = ("forward", "forward_features", "forward_intermediates")
"""Ways in which a backbone runs its network."""


def refuse_missing_compiler() -> None:
    """Refuse to compile where there is no C++ compiler, before anything else is done."""
    if not any(map(shutil.which, [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++", "cl"])):
        raise UserError("compile: torch.compile needs a C++ compiler and finds none; install g++, or set compile=false")


def compile_networks(objective: nn.Module, device: torch.device) -> None:
    """Compile the forward passes of all backbones in ``objective``; their weights keep their names.

    On a GPU they become CUDA graphs, which spare it the launch of each kernel (written for it, and not tried on one).
    """
    mode = "reduce-overhead" if device.type == "cuda" else None
    for module in objective.modules():
        if isinstance(module, Backbone):
            for name in PASSES:
                if hasattr(module.network, name):
                    setattr(module.network, name, torch.compile(getattr(module.network, name), mode=mode))
