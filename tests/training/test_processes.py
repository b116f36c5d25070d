"""How many processes there are, and what each of them does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.loaders import ArrayDataset, Share, batches
from ssl_pcb.errors import UserError
from ssl_pcb.training.processes import alone, count_processes, gather_shares, make_fabric, refuse_uneven, together

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3", "RANK": "0", "LOCAL_RANK": "0"}


def test_one_process_unless_asked_for_more():
    assert count_processes(RuntimeConfig()) == (1, 1)
    assert count_processes(RuntimeConfig(devices=3, nodes=2)) == (3, 2)


def test_torchrun_says_how_many(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert count_processes(RuntimeConfig()) == (3, 2)
    assert count_processes(RuntimeConfig(devices=3)) == (3, 2)
    with pytest.raises(UserError, match=r"runtime\.devices: is 2, but .* one of 3; leave it out"):
        count_processes(RuntimeConfig(devices=2))


def test_slurm_says_how_many(monkeypatch):
    for name, value in {"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"--ntasks-per-node=N"):
        count_processes(RuntimeConfig())
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "4")
    assert count_processes(RuntimeConfig()) == (4, 2)
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")  # a shell on a node starts its processes itself
    assert count_processes(RuntimeConfig()) == (1, 1)


@pytest.mark.parametrize(("batch", "devices", "fits"), [(15, 2, 14), (2, 2, 4), (30, 4, 28), (1, 1, 2)])
def test_a_batch_that_does_not_divide_is_refused_with_one_that_does(batch, devices, fits):
    with pytest.raises(
        UserError, match=rf"training\.batch_size: {batch} .* try --batch-size {fits}, or fewer --devices$"
    ):
        refuse_uneven(batch, RuntimeConfig(devices=devices))
    refuse_uneven(fits, RuntimeConfig(devices=devices))


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("drop_last", [True, False])
def test_shares_of_the_batches_are_disjoint_and_together_whole(world, drop_last):
    dataset = ArrayDataset(np.arange(50, dtype=np.float32)[:, None], np.arange(50), np.arange(50))
    order = np.random.default_rng(0).permutation(50)
    whole = [batch.labels for batch in batches(dataset, order, 12, drop_last=drop_last)]
    shares = [
        [batch.labels for batch in batches(dataset, order, 12, drop_last=drop_last, share=Share(rank, world))]
        for rank in range(world)
    ]
    assert {len(share) for share in shares} == {len(whole)}
    for step, batch in enumerate(whole):
        parts = torch.cat([share[step] for share in shares])
        assert sorted(parts.tolist()) == sorted(batch.tolist())  # each exactly once


def test_one_process_needs_no_gathering():
    found = torch.rand(5, 2)
    assert gather_shares(found, 5, alone(RuntimeConfig(device="cpu"))) is found


def test_other_faults_are_not_taken_for_a_lost_process():
    with pytest.raises(RuntimeError, match="connection closed"), together(Fabric(accelerator="cpu", devices=1)):
        raise RuntimeError("connection closed")  # there was nobody to lose


@pytest.mark.parametrize(
    "said",
    [
        "Connection closed by peer [127.0.0.1]:4242",
        "Socket closed ",
        "Application timeout caused pair closure",
        "Timed out waiting 15000ms for send operation to complete",
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] something new",
    ],
)
def test_a_lost_process_is_known_by_any_of_gloos_wordings(said):
    fabric = Fabric(accelerator="cpu", devices=2)  # not launched: it only counts
    with pytest.raises(UserError, match="process 0 of 2: another process of this run died or hangs"), together(fabric):
        raise RuntimeError(said)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_fabric_computes_in_the_asked_precision(precision, dtype):
    fabric = make_fabric(RuntimeConfig(device="cpu", precision=precision))
    with fabric.autocast():
        assert nn.Linear(2, 2)(torch.rand(1, 2)).dtype == dtype


PAIR = """
import sys, torch
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.training.fastest import Workload
from ssl_pcb.training.processes import gather_shares, make_fabric, resolve_together, share_of
import numpy as np
config = RuntimeConfig(device="cpu", devices=2, precision="fp32", layout="contiguous", threads=1, timeout=30)
fabric = make_fabric(config)
runtime = resolve_together(config, fabric, Workload("conv", torch.nn.Conv2d(1, 1, 1), 1, 32))
fabric = make_fabric(runtime)  # the second one finds the processes running
for total in (1, 2, 5, 8):
    own = share_of(fabric).of(np.arange(total))
    found = gather_shares(torch.as_tensor(own)[:, None] * torch.tensor([1, 10]), total, fabric)
    assert found.tolist() == [[i, 10 * i] for i in range(total)], (fabric.global_rank, total, found)
assert (runtime.devices, runtime.nodes, runtime.threads) == (2, 1, 1), runtime
print("fine", fabric.global_rank, fabric.world_size)
"""


def test_what_two_processes_found_is_brought_together_in_order(tmp_path):
    (tmp_path / "pair.py").write_text(PAIR)
    done = subprocess.run(
        [sys.executable, "pair.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n"))[1:] == ["fine 0 2", "fine 1 2"], done.stdout
