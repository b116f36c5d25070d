"""The one training loop: bit-equal after a resume, loud when it diverges, and a curve computed by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from ssl_pcb.config.optim import AdamWConfig, LARSConfig, TrainingConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.loaders import ArrayDataset, batches
from ssl_pcb.errors import UserError
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.training.checkpoint import load_state
from ssl_pcb.training.loop import fit
from ssl_pcb.training.optim import build_optimizer, set_learning_rate
from ssl_pcb.training.processes import make_fabric

OPTIMIZERS = {"adamw": AdamWConfig(lr=1e-2), "lars": LARSConfig(lr=3.0)}


class Objective(nn.Module):
    """Dropout draws from the global generator, the noise on the input from the one that is handed in."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.4), nn.LazyLinear(2)
        )
        self.net(torch.zeros(2, 1, 8, 8))
        self.dtypes = set()

    def forward(self, batch, generator):
        images = batch.inputs.float() / 255
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        logits = self.net(images + 0.1 * noise)
        self.dtypes.add(logits.dtype)
        loss = nn.functional.cross_entropy(logits.float(), batch.labels)
        return StepOutput(loss, {"accuracy": (logits.argmax(1) == batch.labels).float().mean()})


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    return ArrayDataset(rng.integers(0, 256, (24, 8, 8, 1), np.uint8), rng.integers(0, 2, 24), np.arange(24))


def train(dataset, folder=None, *, epochs=4, precision="fp32", optimizer="adamw", after_epoch=None, **keys):
    torch.manual_seed(5)
    objective = Objective()
    config = TrainingConfig(epochs=epochs, batch_size=8)
    progress = fit(
        objective, build_optimizer(OPTIMIZERS[optimizer], objective, 8), config,
        lambda epoch: batches(dataset, np.random.default_rng(epoch).permutation(24), 8, drop_last=True),
        make_fabric(RuntimeConfig(device="cpu", precision=precision, threads=1)),
        seed=keys.pop("seed", 7), state_folder=folder, after_epoch=after_epoch, quiet=True, **keys,
    )  # fmt: skip
    return objective, progress


def bits(objective):
    return [(name, tensor.clone()) for name, tensor in objective.state_dict().items()]


def same(first, second):
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in zip(first, second, strict=True))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_training_ends_bit_equal_to_a_straight_one(dataset, tmp_path, precision, optimizer, layout):
    keys = {"precision": precision, "optimizer": optimizer, "layout": layout}
    straight, _ = train(dataset, **keys)

    def kill(progress, logs):
        progress.kept = {"epoch": progress.epoch, "score": logs["loss"]}
        if progress.epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        train(dataset, tmp_path, after_epoch=kill, **keys)
    torch.manual_seed(999)
    torch.rand(100)  # whatever the new process drew before
    began = []
    resumed, progress = train(dataset, tmp_path, after_epoch=lambda p, logs: began.append(p.epoch), **keys)
    assert began == [3, 4]
    assert progress.kept["epoch"] == 2
    assert same(bits(straight), bits(resumed))
    assert straight.dtypes == {torch.bfloat16 if precision == "bf16" else torch.float32}


def test_the_seed_decides_the_weights(dataset):
    assert same(bits(train(dataset)[0]), bits(train(dataset)[0]))
    assert not same(bits(train(dataset)[0]), bits(train(dataset, seed=8)[0]))


def test_bf16_keeps_its_weights_in_float32(dataset, tmp_path):
    objective, _ = train(dataset, tmp_path, precision="bf16", epochs=1)
    assert {p.dtype for p in objective.parameters()} == {torch.float32}


def test_a_finished_training_is_not_trained_again(dataset, tmp_path):
    first, _ = train(dataset, tmp_path)
    again, progress = train(dataset, tmp_path, after_epoch=lambda *_: pytest.fail("trained again"))
    assert progress.epoch == 4
    assert same(bits(first), bits(again))


def test_it_learns(dataset):
    losses = []
    train(dataset, epochs=40, after_epoch=lambda progress, logs: losses.append(logs["loss"]))
    assert losses[-1] < 0.7 * losses[0]


def test_logs_are_means_over_the_steps(dataset):
    seen, logged = [], []

    class Counting(Objective):
        def forward(self, batch, generator):
            output = super().forward(batch, generator)
            seen.append((output.loss.item(), output.logs["accuracy"].item()))
            return output

    objective = Counting()
    fit(
        objective, build_optimizer(AdamWConfig(), objective, 8), TrainingConfig(epochs=1, batch_size=8),
        lambda epoch: batches(dataset, np.arange(24), 8, drop_last=True),
        make_fabric(RuntimeConfig(device="cpu", precision="fp32")),
        seed=0, after_epoch=lambda progress, logs: logged.append(logs), quiet=True,
    )  # fmt: skip
    assert len(seen) == 3
    assert logged[0]["loss"] == pytest.approx(np.mean([loss for loss, _ in seen]), rel=1e-5)
    assert logged[0]["accuracy"] == pytest.approx(np.mean([accuracy for _, accuracy in seen]))


@pytest.mark.parametrize("bad_step", [0, 1, 2])
def test_a_diverged_loss_is_refused_and_not_saved(dataset, tmp_path, bad_step):
    steps = itertools.count()

    class Diverging(Objective):
        def forward(self, batch, generator):
            output = super().forward(batch, generator)
            return StepOutput(output.loss * math.nan) if next(steps) == 3 + bad_step else output

    torch.manual_seed(0)
    objective = Diverging()
    with pytest.raises(UserError, match=r"diverged in epoch 2.*optimizer\.lr") as refused:
        fit(
            objective, build_optimizer(AdamWConfig(), objective, 8), TrainingConfig(epochs=3, batch_size=8),
            lambda epoch: batches(dataset, np.arange(24), 8, drop_last=True),
            make_fabric(RuntimeConfig(device="cpu", precision="fp32")),
            seed=0, state_folder=tmp_path, quiet=True,
        )  # fmt: skip
    assert "\n" not in str(refused.value)
    assert load_state(tmp_path)["epoch"] == 1


# The learning-rate curve ------------------------------------------------------------------------------------


def curve(config, steps, peak=1.0):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    return [set_learning_rate(optimizer, config, step, steps) for step in range(steps)], optimizer


def test_linear_warmup_then_half_a_cosine_to_zero():
    """20 steps with a tenth of warm-up: 1/2 and 2/2 of the peak, then cos from step 2 (1) to step 19 (0)."""
    rates, _ = curve(TrainingConfig(warmup=0.1), 20, peak=0.4)
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.4])
    assert rates[2:] == pytest.approx([0.4 * 0.5 * (1 + math.cos(math.pi * i / 17)) for i in range(18)], abs=1e-12)
    assert rates[-1] == pytest.approx(0)
    assert max(rates) == pytest.approx(0.4)


def test_without_warmup_the_first_step_has_the_peak():
    rates, _ = curve(TrainingConfig(warmup=0), 5)
    assert rates == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0])


def test_each_group_keeps_its_own_peak():
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 1.0)]
    optimizer = torch.optim.SGD(groups, lr=1)
    for step in range(10):
        set_learning_rate(optimizer, TrainingConfig(), step, 20)
    assert optimizer.param_groups[1]["lr"] == pytest.approx(10 * optimizer.param_groups[0]["lr"])


def test_weight_decay_spares_biases_and_norms():
    objective = Objective()
    optimizer = build_optimizer(AdamWConfig(weight_decay=0.1), objective, 8)
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, p in objective.named_parameters() if id(p) in decayed}
    assert names == {"net.0.weight", "net.5.weight"}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(objective.parameters()))


def test_lars_rate_grows_with_the_batch():
    rates = [build_optimizer(LARSConfig(lr=0.3), Objective(), size).param_groups[0]["lr"] for size in (256, 1024)]
    assert rates == pytest.approx([0.3, 1.2])
