"""Two processes on the halves of each batch against one on the whole: same losses, gradients, queues.

It holds for every method as long as no layer takes statistics of the batch: with group norm or frozen batch norm in
the backbone and, where lightly's heads have batch norm, with that at its running statistics. With batch norm in
training it cannot hold, because each process has the statistics of its own samples (on CPUs there is no
SyncBatchNorm); the last test shows that, and that these comparisons notice it.
"""

import itertools
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from lightly.loss import BarlowTwinsLoss
from pydantic import TypeAdapter
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.method import MethodConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.losses.build import build_loss
from ssl_pcb.losses.inputs import LossInputs
from ssl_pcb.losses.nt_xent import nt_xent
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective

WORLD, STEPS, B, SIZE = 2, 3, 8, 32
METHODS = {
    "simclr": {"head_batch_norm": False},
    "dcl": {"head_batch_norm": False},
    "moco": {"queue": 2 * B, "momentum": 0.5},
    "barlow_twins": {},
    "vicreg": {},
    "simsiam": {},
    "byol": {"momentum": 0.5},
}
NORMS = ("group", "frozen")
BATCH_LOSSES = {
    "class_ratio": {},
    "supcon": {},
    "cross_entropy": {"class_weights": "balanced", "label_smoothing": 0.1},
    "ldam": {"reweight_after": 0},
}


class FixedViews:
    """Views that depend on the sample alone, not on who makes them: as it is, then mirrored."""

    def __init__(self):
        self.calls = itertools.count()

    def __call__(self, pixels, generator):
        images = pixels.float() / 255
        return images.flip(-1) if next(self.calls) % 2 else images


def make_objective(method, norm, keys):
    torch.manual_seed(0)
    config = TypeAdapter(MethodConfig).validate_python({"name": method, "hidden_dim": 16, "output_dim": 8, **keys})
    backbone = Backbone(BackboneConfig(name="test_resnet", norm=norm), 1)
    for name, value in backbone.named_buffers():  # statistics and weights as frozen batch norm has after training
        if name.endswith(("running_mean", "running_var", "weight", "bias")):
            value.uniform_(0.5, 1.5)
    for name, value in backbone.named_parameters():  # residual branches start at zero
        if value.ndim == 1 and name.endswith("weight"):
            nn.init.uniform_(value, 0.5, 1.5)
    return build_objective(config, backbone, FixedViews())


def train(method, norm, keys, rank=0, world=1, batch_norm=False):
    """Losses of STEPS steps, the gradients of the first, and the state after the last."""
    objective = make_objective(method, norm, keys).train()
    if not batch_norm:
        for module in objective.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
    module = objective if world == 1 else DistributedDataParallel(objective)
    trained = {name: p for name, p in objective.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(trained.values(), lr=1)
    losses, gradients = [], []
    for step in range(STEPS):
        pixels = torch.randint(0, 256, (B, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(step))
        mine = pixels.to(torch.uint8)[rank::world]
        optimizer.zero_grad()
        loss = module(Batch(mine, torch.full((len(mine),), -1)), torch.Generator()).loss
        loss.backward()
        losses.append(loss.item())
        gradients.append({name: p.grad.clone() for name, p in trained.items()})
        nn.utils.clip_grad_norm_(trained.values(), 0.02)  # longer steps would blow rounding errors up
        optimizer.step()
    return {"losses": losses, "gradients": gradients[0], "state": objective.state_dict()}


def lightlys_barlow_twins(rank=0, world=1):
    """The loss as lightly gathers it."""
    first, second = torch.randn(2, B, 4, generator=torch.Generator().manual_seed(0))
    return BarlowTwinsLoss(gather_distributed=True)(first[rank::world], second[rank::world]).item()


def hard_nt_xent(rank=0, world=1):
    """The loss of projections with own negatives, and its gradients."""
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(*shape, generator=generator)[rank::world] for shape in ((B, 4), (B, 4), (B, 2, 4))]
    inputs = [part.clone().requires_grad_() for part in parts]
    masked = (torch.rand(B, 2, generator=generator) < 0.4)[rank::world]
    loss = nt_xent(*inputs, masked, 0.2)
    loss.backward()
    return {"loss": loss.item(), "gradients": [each.grad for each in inputs]}


def supervised(name, rank=0, world=1):
    """A loss of classes that looks at the whole batch, and its gradients; half of the classes differ between ranks."""
    torch.manual_seed(0)
    config = TypeAdapter(LossConfig).validate_python({"name": name, **BATCH_LOSSES[name]})
    loss, weight = build_loss(config, 4), torch.randn(2, 4)
    features = torch.randn(B, 4)[rank::world].requires_grad_()
    targets = torch.tensor([0, 0, 0, 1, 1, 1, 0, 0])[rank::world]
    value = loss(LossInputs(features, weight, features @ weight.T, targets, torch.tensor([5, 3])))
    value.backward()
    return {"loss": value.item(), "gradient": features.grad}


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", timedelta(seconds=60), world_size=WORLD, rank=rank)
    try:
        found = {
            (method, norm): train(method, norm, keys, rank, WORLD)
            for (method, keys), norm in itertools.product(METHODS.items(), NORMS)
        }
        found["batch norm"] = train("simclr", "group", {}, rank, WORLD, batch_norm=True)
        found["own negatives"] = hard_nt_xent(rank, WORLD)
        found |= {name: supervised(name, rank, WORLD) for name in BATCH_LOSSES}
        found["lightly's"] = lightlys_barlow_twins(rank, WORLD)
        torch.save(found, folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(work, (folder,), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


def mean_losses(ranks, case):
    return torch.tensor([rank[case]["losses"] for rank in ranks]).mean(0).tolist()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
class TestTwoAreAsOne:
    def test_losses_and_gradients(self, ranks, method, norm):
        alone = train(method, norm, METHODS[method])
        assert mean_losses(ranks, (method, norm)) == pytest.approx(alone["losses"], rel=1e-4, abs=1e-5)
        scale = max(gradient.abs().max() for gradient in alone["gradients"].values())
        assert scale > 0
        for name, gradient in alone["gradients"].items():
            for rank in ranks:
                torch.testing.assert_close(
                    rank[method, norm]["gradients"][name], gradient, rtol=1e-3, atol=1e-4 * scale.item(), msg=name
                )

    def test_both_end_with_the_same_state(self, ranks, method, norm):
        first, second = (rank[method, norm]["state"] for rank in ranks)
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_own_negatives_and_gathered_views_make_one_loss(ranks):
    alone = hard_nt_xent()
    found = [rank["own negatives"] for rank in ranks]
    assert sum(each["loss"] for each in found) / WORLD == pytest.approx(alone["loss"], rel=1e-5)
    for rank, each in enumerate(found):
        for own, whole in zip(each["gradients"], alone["gradients"], strict=True):
            torch.testing.assert_close(own / WORLD, whole[rank::WORLD])  # averaged, as gradients of weights are


@pytest.mark.parametrize("name", BATCH_LOSSES)
def test_losses_of_a_batch_of_classes_are_those_of_all_processes(ranks, name):
    alone = supervised(name)
    found = [rank[name] for rank in ranks]
    assert sum(each["loss"] for each in found) / WORLD == pytest.approx(alone["loss"], rel=1e-5)
    for rank, each in enumerate(found):
        torch.testing.assert_close(each["gradient"] / WORLD, alone["gradient"][rank::WORLD])


@pytest.mark.parametrize("norm", NORMS)
def test_the_queue_holds_the_keys_of_both(ranks, norm):
    """The last batches' keys, whoever made them; each process lists its own together."""
    alone = train("moco", norm, METHODS["moco"])["state"]["loss.memory_bank.bank"]
    queue = ranks[0]["moco", norm]["state"]["loss.memory_bank.bank"]
    assert len(queue) == 2 * B
    for start in (0, B):
        kept = torch.cat([alone[start : start + B][rank::WORLD] for rank in range(WORLD)])
        torch.testing.assert_close(queue[start : start + B], kept, rtol=1e-4, atol=1e-5)


def test_every_method_that_compares_samples_is_compared():
    names = {schema.model_fields["name"].default for schema in MethodConfig.__origin__.__args__}
    assert names - set(METHODS) <= {"autoencoder", "defect_pretext"}  # they compare no samples with each other


def test_statistics_of_each_process_make_another_loss(ranks):
    alone = train("simclr", "group", {}, batch_norm=True)
    assert mean_losses(ranks, "batch norm")[0] != pytest.approx(alone["losses"][0], rel=1e-3)
    # Why barlow_twins gathers by itself: lightly standardises the features of each process apart.
    assert ranks[0]["lightly's"] == ranks[1]["lightly's"] != pytest.approx(lightlys_barlow_twins(), rel=1e-3)
