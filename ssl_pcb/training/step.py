"""One step of a training."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import record_function

from ssl_pcb.config.optim import TrainingConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.training.clipping import Clipping
from ssl_pcb.training.schedule import set_learning_rate


class Step:
    """Learning rate, forward, backward, clipping, update, moving average.

    Attributes:
        lr: Highest learning rate of the last step.
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: Optimizer,
        config: TrainingConfig,
        fabric: Fabric,
        average: ModelEmaV3 | None,
    ) -> None:
        """Set it up.

        Args:
            objective: Called with (batch, generator), returns a ``StepOutput``; on its device.
            optimizer: Over the objective's parameters.
            config: Schedule and clipping.
            fabric: Device, precision and processes.
            average: Follows the objective; ``None`` = nothing does.
        """
        # Fabric hands back the same module inside a wrapper that applies the precision.
        self.module: Any
        self.module, self.optimizer = fabric.setup(objective, optimizer)
        self.objective, self.config, self.fabric, self.average = objective, config, fabric, average
        self.clipping = Clipping(config.clip, objective)
        self.lr = 0.0

    def __call__(self, batch: Batch, generator: torch.Generator, number: int, steps: int) -> dict[str, Tensor]:
        """Take step ``number`` (from 0) of ``steps``.

        Returns:
            Scalars to log, the loss first.
        """
        self.lr = set_learning_rate(self.optimizer, self.config, number, steps)
        with record_function("forward"):
            output = self.module(batch, generator)
        with record_function("backward"):
            self.fabric.backward(output.loss)
        clipped = self.clipping(self.module, self.optimizer, self.fabric)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.objective, number + 1)
        return {"loss": output.loss.detach(), **output.logs, **clipped}
