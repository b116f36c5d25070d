"""Networks compiled where they stand."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone


def compile_networks(objective: nn.Module, device: torch.device) -> None:
    """Compile the forward passes of all backbones in ``objective``; their weights keep their names.

    On a GPU they become CUDA graphs, which spare it the launch of each kernel.

    Raises:
        UserError: If there is no C++ compiler.
    """
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++", "cl"))):
        raise UserError("compile: torch.compile needs a C++ compiler and finds none; install g++, or set compile=false")
    mode = "reduce-overhead" if device.type == "cuda" else None
    for module in objective.modules():
        if isinstance(module, Backbone):
            for name in ("forward", "forward_intermediates"):
                if hasattr(module.network, name):
                    setattr(module.network, name, torch.compile(getattr(module.network, name), mode=mode))
