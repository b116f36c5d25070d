"""Precision and layout: measured, remembered, and never against what was asked for."""

import json
import time

import pytest
import torch
from torch import nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.depths import freeze_stages
from ssl_pcb.training import fastest
from ssl_pcb.training.fastest import Workload, resolve_runtime


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """Where this test's measurements are remembered."""
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    yield tmp_path / "cache" / "fastest.json"
    torch.set_num_threads(threads)


class Slow(nn.Conv2d):
    """A layer that waits on one layout or precision stands for a machine that is slow at it."""

    layout: str | None = None
    dtype: torch.dtype | None = None

    def forward(self, images):
        found = super().forward(images)
        last = self.weight.is_contiguous(memory_format=torch.channels_last)
        if self.layout == ("channels_last" if last else "contiguous") or self.dtype == found.dtype:
            time.sleep(0.03)
        return found


def slow(**at):
    layer = Slow(3, 4, 3)
    for name, value in at.items():
        setattr(layer, name, value)
    return layer


def resolved(network=None, *, size=32, training=True, name="net", **keys):
    work = Workload(name, network or slow(), 3, size, training)
    return resolve_runtime(RuntimeConfig(device="cpu", threads=1, **keys), work)


def test_nothing_stays_automatic_and_threads_are_set():
    torch.set_num_threads(2)
    config = resolved()
    assert config.precision in ("fp32", "bf16")
    assert config.layout in ("contiguous", "channels_last")
    assert (config.device, config.threads, torch.get_num_threads()) == ("cpu", 1, 1)


@pytest.mark.parametrize("keys", [{"precision": "bf16"}, {"layout": "channels_last"},
                                  {"precision": "fp32", "layout": "contiguous"}], ids=str)  # fmt: skip
def test_what_is_set_is_kept(keys):
    assert {key: getattr(resolved(**keys), key) for key in keys} == keys


@pytest.mark.parametrize("training", [True, False])
def test_the_slower_way_is_not_chosen(training):
    assert resolved(slow(layout="channels_last"), training=training).layout == "contiguous"
    assert resolved(slow(layout="contiguous"), training=training, name="other").layout == "channels_last"
    assert resolved(slow(dtype=torch.bfloat16), training=training, name="third").precision == "fp32"
    assert resolved(slow(dtype=torch.float32), training=training, name="fourth").precision == "bf16"


def test_without_training_there_is_no_backward_pass_and_the_network_is_in_eval_mode():
    class Watched(nn.Conv2d):
        def forward(self, images):
            assert not torch.is_grad_enabled()
            assert not self.training
            return super().forward(images)

    network = Watched(3, 4, 3)
    resolved(network, training=False)
    assert network.training  # a copy was measured


def test_a_measurement_is_remembered_for_this_network_size_and_use_alone(memory, monkeypatch):
    first = resolved(slow(layout="channels_last"))

    def fail(*_):
        raise AssertionError("measured again")

    measure = fastest._measure
    monkeypatch.setattr(fastest, "_measure", fail)
    assert resolved(slow(layout="contiguous")) == first
    assert resolved(precision="bf16").layout == "contiguous"  # a part of what was measured
    for other in ({"size": 64}, {"training": False}, {"name": "another"}):
        with pytest.raises(AssertionError, match="measured again"):
            resolved(**other)
    monkeypatch.setattr(fastest, "_measure", measure)
    resolved(size=64)
    assert len(json.loads(memory.read_text())) == 2


def test_networks_that_cost_differently_are_told_apart():
    def name(size=32, around=None, **keys):
        backbone = Backbone(BackboneConfig(name="test_resnet", **keys), 3)
        return Workload.of(backbone, size, around=around and around(backbone)).name

    keys = [{}, {"norm": "group"}, {"strides": (16,)}, {"strides": (8, 16)}, {"strides": (8, 16), "pool": "max"},
            {"strides": (8, 16), "neck": 4}, {"strides": (8, 16), "neck": 5}]  # fmt: skip
    around = [lambda it, width=width: nn.Sequential(it, nn.Linear(it.dim, width)) for width in (2, 3)]
    names = [*(name(**each) for each in keys), *(name(around=each) for each in around)]
    assert len(set(names)) == len(names)
    assert name() == name(size=64)


def test_what_is_frozen_costs_less_and_with_all_frozen_there_is_no_backward_pass():
    def work(*stages):
        backbone = Backbone(BackboneConfig(name="test_resnet", norm="group"), 3)
        freeze_stages(backbone, stages)
        return Workload.of(backbone, 32)

    everything = ("stem", "stage1", "stage2", "stage3", "stage4")
    assert len({work().name, work("stem").name, work("stem", "stage1").name}) == 3
    assert work("stem").training
    assert not work(*everything).training
    assert resolve_runtime(RuntimeConfig(device="cpu", threads=1), work(*everything)).precision in ("fp32", "bf16")


class Refusing(Slow):
    """Has no kernel for one precision."""

    def forward(self, images):
        found = super().forward(images)
        if self.dtype in (found.dtype, "all"):
            raise RuntimeError(f"no kernel for {found.dtype}\nand more")
        return found


def test_a_way_in_which_the_network_does_not_run_is_not_chosen(caplog):
    network = Refusing(3, 4, 3)
    network.dtype = torch.bfloat16
    with caplog.at_level("INFO"):
        assert resolved(network).precision == "fp32"
    assert "bf16 contiguous fails, bf16 channels_last fails" in caplog.text


def test_a_network_that_runs_in_no_way_is_refused_in_one_line(memory):
    network = Refusing(3, 4, 3)
    network.dtype = "all"
    with pytest.raises(UserError, match=r"^runtime: net on 32 px runs in no .*\(no kernel for torch.bfloat16\)$"):
        resolved(network)
    assert not memory.exists()


def test_what_a_busy_machine_says_is_obeyed_once_and_not_remembered(memory, monkeypatch, caplog):
    monkeypatch.setattr(fastest, "BUDGET", 0.0)
    with caplog.at_level("INFO"):
        assert resolved(slow(layout="channels_last")).layout == "contiguous"
    assert "measured in 1 rounds, too few to be remembered" in caplog.text
    assert not memory.exists()


def test_a_remembered_choice_names_the_file_that_holds_it(memory, caplog):
    resolved()
    with caplog.at_level("INFO"):
        resolved()
    assert f"remembered in {memory}; delete it to measure again" in caplog.text


def test_slow_steps_are_measured_on_fewer_images():
    counts = []

    class Watched(nn.Conv2d):
        def forward(self, images):
            counts.append(len(images))
            time.sleep(0.1 * len(images))
            return super().forward(images)

    resolved(Watched(3, 4, 3), size=128)
    assert counts[:2] == [2, 16]  # the cold one, and the one that tells how slow they are
    assert set(counts[2:]) <= {2, 3, 4}


def test_threads_beyond_all_reason_are_refused_in_one_line():
    work = Workload("net", slow(), 3, 32)
    with pytest.raises(UserError, match=r"^runtime.threads: 99999999999 threads on \d+ cores .* --threads 0"):
        resolve_runtime(RuntimeConfig(device="cpu", threads=99999999999), work)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"KEY": 3}', '{"KEY": {"fp32 contiguous": "fast"}}',
                                  '{"KEY": {"fp32 contiguous": NaN, "fp32 channels_last": 1.0}}'], ids=str)  # fmt: skip
def test_damaged_memory_is_measured_anew(text, memory):
    resolved()
    memory.write_text(text.replace("KEY", next(iter(json.loads(memory.read_text())))))
    assert resolved(slow(layout="channels_last"), precision="fp32").layout == "contiguous"


def test_a_cache_that_cannot_be_written_stops_nothing(memory):
    memory.parent.write_text("a file where the folder should be")
    assert resolved(slow(layout="channels_last")).layout == "contiguous"
