"""The one training loop: bit-equal after a resume, loud when it diverges, and ended where the caller stops it."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from ssl_pcb.config.optim import (
    AdamConfig,
    AdamWConfig,
    AdaptiveClipConfig,
    ConstantConfig,
    CosineConfig,
    LARSConfig,
    NoClipConfig,
    NormClipConfig,
    SGDConfig,
    StepConfig,
    TrainingConfig,
)  # fmt: skip
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.loaders import ArrayDataset, batches
from ssl_pcb.errors import UserError
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.training.averaging import average_of
from ssl_pcb.training.checkpoint import load_state
from ssl_pcb.training.loop import fit
from ssl_pcb.training.optim import build_optimizer
from ssl_pcb.training.processes import make_fabric

OPTIMIZERS = {
    "adamw": AdamWConfig(lr=1e-2), "adam": AdamConfig(lr=1e-2), "sgd": SGDConfig(lr=1e-1), "lars": LARSConfig(lr=3.0),
}  # fmt: skip
CLIPS = {"none": NoClipConfig(), "norm": NormClipConfig(max_norm=0.1), "adaptive": AdaptiveClipConfig()}
SCHEDULES = {"cosine": CosineConfig(), "step": StepConfig(), "constant": ConstantConfig()}


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


def train(
    dataset, folder=None, *, epochs=4, precision="fp32", optimizer="adamw", clip="none", schedule="cosine", ema=None,
    after_epoch=None, objective=None, **keys,
):  # fmt: skip
    torch.manual_seed(5)
    objective = objective or Objective()
    config = TrainingConfig(epochs=epochs, batch_size=8, clip=CLIPS[clip], schedule=SCHEDULES[schedule])
    average = average_of(objective, ema)
    progress = fit(
        objective, build_optimizer(OPTIMIZERS[optimizer], objective, 8), config,
        lambda epoch: batches(dataset, np.random.default_rng(epoch).permutation(24), 8, drop_last=True),
        make_fabric(RuntimeConfig(device="cpu", precision=precision, threads=1)),
        seed=keys.pop("seed", 7), average=average, state_folder=folder, after_epoch=after_epoch, quiet=True, **keys,
    )  # fmt: skip
    return objective if average is None else nn.ModuleList([objective, average.module]), progress


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


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("clip", CLIPS)
def test_so_does_one_with_clipping_and_a_moving_average(dataset, tmp_path, clip, schedule):
    keys = {"clip": clip, "schedule": schedule, "ema": 0.9, "optimizer": "sgd"}
    straight, _ = train(dataset, **keys)

    def kill(progress, logs):
        if progress.epoch == 3:  # behind the first drop of the schedule
            raise Killed

    with pytest.raises(Killed):
        train(dataset, tmp_path, after_epoch=kill, **keys)
    resumed, _ = train(dataset, tmp_path, **keys)
    assert same(bits(straight), bits(resumed))
    assert not same(bits(straight[0]), bits(straight[1]))


def test_it_ends_where_the_caller_stops_it_and_is_not_taken_up_again(dataset, tmp_path):
    def stop(progress, logs):
        progress.stopped = progress.epoch == 2

    two, _ = train(dataset, tmp_path, after_epoch=stop)
    again, progress = train(dataset, tmp_path, after_epoch=lambda *_: pytest.fail("trained again"))
    assert (progress.epoch, progress.stopped) == (2, True)
    assert same(bits(two), bits(again))


def test_a_stopped_training_followed_the_curve_of_all_epochs(dataset):
    rates = {}
    for last in (2, 4):

        def after_epoch(progress, logs, last=last):
            progress.stopped = progress.epoch == last
            rates.setdefault(last, []).append(logs["lr"])

        train(dataset, after_epoch=after_epoch)
    assert rates[2] == rates[4][:2]


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


def test_the_gradients_norm_is_logged_where_it_is_clipped(dataset):
    logged = {}
    for clip in CLIPS:
        train(dataset, clip=clip, epochs=1, after_epoch=lambda progress, logs, clip=clip: logged.update({clip: logs}))
    assert logged["norm"]["gradient_norm"] > 0.1  # before it is clipped
    assert "gradient_norm" not in logged["none"] | logged["adaptive"]


def test_gradients_are_clipped_before_they_move_anything(dataset):
    """Plain SGD at a rate of 1 moves all weights together by the norm of what is left of their gradients."""
    moved = {}
    for clip in ("none", "norm"):
        torch.manual_seed(5)
        objective = Objective()
        before = nn.utils.parameters_to_vector(objective.parameters()).detach()
        fit(
            objective, build_optimizer(SGDConfig(lr=1, momentum=0, nesterov=False, weight_decay=0), objective, 8),
            TrainingConfig(epochs=1, batch_size=8, warmup=0, schedule=ConstantConfig(), clip=CLIPS[clip]),
            lambda epoch: batches(dataset, np.arange(8), 8, drop_last=True),
            make_fabric(RuntimeConfig(device="cpu", precision="fp32")), seed=0, quiet=True,
        )  # fmt: skip
        moved[clip] = (nn.utils.parameters_to_vector(objective.parameters()).detach() - before).norm().item()
    assert moved["none"] > 0.2
    assert moved["norm"] == pytest.approx(0.1, rel=1e-3)


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
