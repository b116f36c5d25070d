"""The moving average is that of the weights that training went through."""

import numpy as np
import pytest
import torch
from torch import nn

from ssl_pcb.config.optim import SGDConfig, TrainingConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.loaders import ArrayDataset, batches
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.training.averaging import average_of
from ssl_pcb.training.loop import fit
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.processes import make_fabric


def table(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


class Recorded(nn.Module):
    """Notes its state whenever it is called."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 36, 2))
        self.net[0].requires_grad_(False)
        self.states = []

    def forward(self, batch, generator):
        self.states.append(table(self))
        loss = nn.functional.cross_entropy(self.net(batch.inputs.float() / 255), batch.labels)
        return StepOutput(loss)


def trained(decay, epochs=2):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    dataset = ArrayDataset(rng.integers(0, 256, (24, 8, 8, 1), np.uint8), rng.integers(0, 2, 24), np.arange(24))
    objective = Recorded()
    average = average_of(objective, decay)
    fit(
        objective, build_optimizer(SGDConfig(lr=0.5), objective, 8), TrainingConfig(epochs=epochs, batch_size=8),
        lambda epoch: batches(dataset, np.arange(24), 8, drop_last=True),
        make_fabric(RuntimeConfig(device="cpu", precision="fp32")), seed=0, average=average, quiet=True,
    )  # fmt: skip
    return average.module, [*objective.states[1:], table(objective)]


@pytest.mark.parametrize("decay", [0.3, 0.5, 0.999])
def test_it_is_the_naive_average_of_the_weights_after_each_step(decay):
    found, states = trained(decay)
    assert len(states) == 6
    expected = {name: tensor.double() for name, tensor in states[0].items()}
    for step, state in enumerate(states[1:], 2):
        kept = min(decay, 1 - step ** (-2 / 3))
        expected = {name: kept * expected[name] + (1 - kept) * state[name].double() for name in expected}
    for name, tensor in found.state_dict().items():
        if tensor.is_floating_point():  # running statistics, too
            assert torch.allclose(tensor.double(), expected[name], atol=1e-6), name
            assert name == "net.0.weight" or name == "net.0.bias" or not torch.equal(tensor, states[-1][name])
        else:
            assert torch.equal(tensor, states[-1][name])


def test_frozen_weights_are_bit_equal_in_the_average():
    found, states = trained(0.9)
    assert torch.equal(found.net[0].weight, states[0]["net.0.weight"])


def test_without_a_decay_there_is_none():
    assert average_of(nn.Linear(1, 1), None) is None
