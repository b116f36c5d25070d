"""SimCLR's step: NT-Xent as the paper writes it, both views in one pass, the loss in float32."""

import numpy as np
import pytest
import torch
from lightly.loss import NTXentLoss
from torch.utils._python_dispatch import TorchDispatchMode

from ssl_pcb.augment.geometric import draw_maps, warp
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import GeometryConfig, ViewConfig
from ssl_pcb.config.method import SimCLRConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.simclr import SimCLR
from ssl_pcb.training.processes import alone
from ssl_pcb.training.runtime import make_generator

B, SIZE = 6, 32


def naive_nt_xent(projections, temperature):
    """Equation 1 of arXiv 2002.05709 over all 2B anchors; rows i and i + B are views of one sample."""
    z = projections.detach().double().numpy()
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    count, total = len(z), 0.0
    for anchor in range(count):
        partner = (anchor + count // 2) % count
        others = sum(np.exp(z[anchor] @ z[k] / temperature) for k in range(count) if k != anchor)
        total -= np.log(np.exp(z[anchor] @ z[partner] / temperature) / others)
    return total / count


class Waits(TorchDispatchMode):
    """Counts what makes a GPU's queue run dry: numbers read by Python, and rows chosen by a boolean mask."""

    names = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "is_nonzero", "equal")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = name == "index" and any(each is not None and each.dtype == torch.bool for each in args[1])
        if name in self.names or masks:
            self.found.append(name)
        return func(*args, **kwargs or {})


class Recorded:
    """Views as they are made, kept for the test to look at."""

    def __init__(self):
        self.make, self.made = ViewMaker(ViewConfig(), SIZE), []

    def __call__(self, pixels, generator):
        self.made.append(self.make(pixels, generator))
        return self.made[-1]


@pytest.fixture
def objective():
    torch.manual_seed(0)
    config = SimCLRConfig(hidden_dim=16, output_dim=8)
    return SimCLR(config, Backbone(BackboneConfig(name="test_resnet"), 1), Recorded())


@pytest.fixture
def batch():
    pixels = torch.randint(0, 256, (B, 1, SIZE + 8, SIZE + 8), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )
    return Batch(pixels, torch.full((B,), -1))


def generator(seed=0):
    return make_generator(torch.device("cpu"), seed)


def project(objective, images):
    with torch.no_grad():
        return objective.project(images)


def test_the_loss_is_nt_xent_over_one_pass_of_both_views(objective, batch):
    loss = objective(batch, generator()).loss
    first, second = objective.views.made
    together = project(objective, torch.cat([first, second]))
    assert loss.item() == pytest.approx(naive_nt_xent(together, 0.2), rel=1e-5)
    # One pass a view has other batch statistics, and so another loss.
    apart = torch.cat([project(objective, first), project(objective, second)])
    assert loss.item() != pytest.approx(naive_nt_xent(apart, 0.2), rel=1e-3)


def test_the_network_runs_once_a_step(objective, batch):
    shapes = []
    objective.backbone.register_forward_hook(lambda module, inputs, output: shapes.append(inputs[0].shape))
    objective(batch, generator())
    assert shapes == [(2 * B, 1, SIZE, SIZE)]


def test_the_temperature_is_the_configured_one(batch):
    def loss(temperature):
        torch.manual_seed(0)
        backbone = Backbone(BackboneConfig(name="test_resnet"), 1)
        objective = SimCLR(SimCLRConfig(temperature=temperature), backbone, ViewMaker(ViewConfig(), SIZE))
        return objective, objective(batch, generator()).loss.item()

    for temperature in (0.1, 0.5):
        objective, found = loss(temperature)
        views = objective.views
        drawn = generator()
        images = torch.cat([views(batch.inputs, drawn), views(batch.inputs, drawn)])
        assert found == pytest.approx(naive_nt_xent(project(objective, images), temperature), rel=1e-5)


def test_the_two_views_differ_and_come_from_the_generator(objective, batch):
    losses = [objective(batch, generator(seed)).loss.item() for seed in (3, 3, 4)]
    made = objective.views.made
    assert not torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])
    assert losses[0] == losses[1] != losses[2]


def test_under_bf16_the_loss_is_computed_in_float32(objective, batch):
    fabric = alone(RuntimeConfig(device="cpu", precision="bf16"))
    outputs = []
    objective.head.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with fabric.autocast():
        loss = objective(batch, generator()).loss
    assert outputs[0].dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(naive_nt_xent(outputs[0].float(), 0.2), rel=1e-5)
    rounded = torch.tensor(naive_nt_xent(outputs[0].float(), 0.2)).to(torch.bfloat16).item()
    assert loss.item() != rounded
    assert {view.dtype for view in objective.views.made} == {torch.float32}


def test_gradients_reach_head_and_backbone_and_the_batch_stays(objective, batch):
    before = batch.inputs.clone()
    objective(batch, generator()).loss.backward()
    assert torch.equal(batch.inputs, before)
    assert all(p.grad is not None for p in objective.parameters())
    # timm starts the last norm of each block at zero, so only what lies around the blocks moves at first.
    moving = [name for name, p in objective.named_parameters() if p.grad.any()]
    assert {"backbone.network.conv1.0.weight", "head.layers.0.weight"} <= set(moving)


def test_a_head_without_batch_norm(batch):
    config = SimCLRConfig(hidden_dim=16, output_dim=8, head_batch_norm=False)
    objective = SimCLR(config, Backbone(BackboneConfig(name="test_resnet"), 1), ViewMaker(ViewConfig(), SIZE))
    assert not [m for m in objective.head.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert torch.isfinite(objective(batch, generator()).loss)


def test_no_step_makes_a_gpu_wait(objective, batch):
    """But for the noise, which a CPU draws in a way of its own."""
    views = [torch.rand(B, 1, SIZE, SIZE) for _ in range(2)]
    objective.views = lambda pixels, generator: views[0]
    optimizer = torch.optim.AdamW(objective.parameters(), fused=True)
    draw_maps(GeometryConfig(), B, generator())  # the table of symmetries is copied once
    with Waits() as waits:
        warp(batch.inputs.float(), draw_maps(GeometryConfig(), B, generator()), SIZE)
        objective(batch, generator()).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert waits.found == []
    with Waits() as waits:  # a planted fault: it is seen
        NTXentLoss(0.2)(*(torch.rand(B, 8) for _ in range(2)))
    assert "index" in waits.found
