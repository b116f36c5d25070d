"""Learning rates at each step, beside tables written by hand."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ssl_pcb.config.optim import ConstantConfig, StepConfig, TrainingConfig
from ssl_pcb.training.schedule import set_learning_rate


def rates(config, steps, peak=1.0):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    return [set_learning_rate(optimizer, config, step, steps) for step in range(steps)]


def test_linear_warmup_then_half_a_cosine_to_zero():
    """20 steps with a tenth of warm-up: 1/2 and 2/2 of the peak, then cos from step 2 (1) to step 19 (0)."""
    found = rates(TrainingConfig(warmup=0.1), 20, peak=0.4)
    assert found[:3] == pytest.approx([0.2, 0.4, 0.4])
    assert found[2:] == pytest.approx([0.4 * 0.5 * (1 + math.cos(math.pi * i / 17)) for i in range(18)], abs=1e-12)
    assert found[-1] == pytest.approx(0)
    assert max(found) == pytest.approx(0.4)


def test_without_warmup_the_first_step_has_the_peak():
    found = rates(TrainingConfig(warmup=0), 5)
    assert found == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0])


def test_constant_is_the_peak_after_the_warmup():
    config = TrainingConfig(epochs=2, warmup=0.4, schedule=ConstantConfig())
    assert rates(config, 10, peak=2.0) == pytest.approx([0.5, 1, 1.5, 2, 2, 2, 2, 2, 2, 2])


# Epochs, steps of each, milestones, warm-up, and the rate of each epoch's first and last step after the warm-up.
TABLES = {
    "the paper's": (4, 3, (0.5, 0.75), [1, 1, 0.1, 0.01]),
    "at the next whole epoch": (5, 2, (0.5, 0.75), [1, 1, 1, 0.1, 0.01]),  # 2.5 and 3.75 of 5
    "two in one epoch": (2, 4, (0.2, 0.4), [1, 0.01]),
    "thirds": (3, 1, (1 / 3, 2 / 3), [1, 0.1, 0.01]),
    "one": (10, 2, (0.9,), [1] * 9 + [0.1]),
}


@pytest.mark.parametrize(("epochs", "each", "milestones", "table"), TABLES.values(), ids=TABLES.keys())
def test_steps_drop_between_epochs_alone(epochs, each, milestones, table):
    config = TrainingConfig(epochs=epochs, warmup=0, schedule=StepConfig(milestones=milestones))
    assert rates(config, epochs * each, peak=0.1) == pytest.approx(
        [0.1 * share for share in table for _ in range(each)]
    )


def test_no_share_of_a_hundred_epochs_is_late_by_rounding():
    """0.55 * 100 is a little more than 55, 0.29 * 100 a little less than 29."""
    for percent in range(1, 100):
        config = TrainingConfig(epochs=100, warmup=0, schedule=StepConfig(milestones=(float(f"0.{percent:02d}"),)))
        assert rates(config, 100) == pytest.approx([1] * percent + [0.1] * (100 - percent))


def test_warmup_comes_before_the_first_drop():
    config = TrainingConfig(epochs=4, warmup=0.25, schedule=StepConfig(milestones=(0.5,), factor=0.5))
    assert rates(config, 16) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1] + [0.5] * 8)
    with pytest.raises(ValidationError, match=r"warmup=0.6 ends after the first milestone of schedule \(0.5\)"):
        TrainingConfig(warmup=0.6, schedule=StepConfig())


@pytest.mark.parametrize("milestones", [(0.75, 0.5), (0.5, 0.5)])
def test_milestones_ascend(milestones):
    with pytest.raises(ValidationError, match="milestones must ascend"):
        StepConfig(milestones=milestones)


@pytest.mark.parametrize("schedule", [StepConfig(), ConstantConfig(), TrainingConfig().schedule], ids=lambda s: s.name)
def test_each_group_keeps_its_own_peak_also_when_taken_up_again(schedule):
    config = TrainingConfig(epochs=4, schedule=schedule)

    def optimizer():
        groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 1.0)]
        return torch.optim.SGD(groups, lr=1)

    straight, cut, again = optimizer(), optimizer(), optimizer()
    for step in range(15):
        top = set_learning_rate(straight, config, step, 20)
    for step in range(10):
        set_learning_rate(cut, config, step, 20)
    again.load_state_dict(cut.state_dict())
    for step in range(10, 15):
        set_learning_rate(again, config, step, 20)
    for found in (straight, again):
        low, high = (group["lr"] for group in found.param_groups)
        assert high == pytest.approx(10 * low)
        assert high == top
