"""Seeds, device, and settings that are measured."""

import pytest
import torch
from torch import nn

from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.errors import UserError
from ssl_pcb.training.runtime import (
    derive_seed,
    make_generator,
    memory_format,
    pick_device,
    resolve_runtime,
)


def test_seeds_differ_by_every_part_and_stay_the_same_for_ever():
    parts = [(0, "init"), (1, "init"), (0, "head"), (0, "views", 0), (0, "views", 1), (0, "epoch", 1)]
    assert len({derive_seed(*each) for each in parts}) == len(parts)
    assert derive_seed(0, "init") == derive_seed(0, "init")
    assert all(0 <= derive_seed(*each) < 2**31 for each in parts)
    assert derive_seed(0, "init") == 182554928  # another number would change every published run


def test_generators_repeat_and_leave_the_global_one_alone():
    device = torch.device("cpu")
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, second = (torch.rand(4, generator=make_generator(device, 1, "views", 2)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.rand(1), expected)


def test_auto_device_is_one_that_is_there():
    assert pick_device(RuntimeConfig()) == ("cuda" if torch.cuda.is_available() else "cpu")


def test_cuda_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("this machine has a cuda device")
    with pytest.raises(UserError, match="--device cpu or auto"):
        pick_device(RuntimeConfig(device="cuda"))


def test_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert resolved(precision="fp32", layout="contiguous").threads == 1
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_layouts():
    assert memory_format(RuntimeConfig(layout="channels_last")) == torch.channels_last
    assert memory_format(RuntimeConfig(layout="contiguous")) == torch.contiguous_format


def resolved(**keys):
    return resolve_runtime(RuntimeConfig(device="cpu", threads=1, **keys), lambda: nn.Conv2d(1, 2, 3), 1, 32)


def test_nothing_stays_automatic():
    config = resolved()
    assert config.precision in ("fp32", "bf16")
    assert config.layout in ("contiguous", "channels_last")
    assert config.device == "cpu"


@pytest.mark.parametrize("keys", [{"precision": "bf16"}, {"layout": "channels_last"},
                                  {"precision": "fp32", "layout": "contiguous"}], ids=str)  # fmt: skip
def test_what_is_set_is_kept(keys):
    assert {key: getattr(resolved(**keys), key) for key in keys} == keys


def test_a_slower_layout_is_not_chosen():
    """A layer that waits on one layout stands for a machine that is slow at it."""
    import time

    class Slow(nn.Conv2d):
        def forward(self, images):
            if self.weight.is_contiguous(memory_format=torch.channels_last):
                time.sleep(0.02)
            return super().forward(images)

    config = RuntimeConfig(device="cpu", threads=1, precision="fp32")
    assert resolve_runtime(config, lambda: Slow(3, 4, 3), 3, 32).layout == "contiguous"
