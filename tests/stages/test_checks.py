"""What is refused, or said, before a stage begins."""

import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from pydantic import TypeAdapter

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.loss import LossConfig
from ssl_pcb.config.method import BYOLConfig, DefectPretextConfig, MoCoConfig, SimCLRConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.stages.checks import (
    refuse_full_disk,
    refuse_missing_weights,
    refuse_small,
    warn_of_few,
    warn_of_head_norm,
    warn_of_idle_loss,
    warn_of_queue,
)
from ssl_pcb.stages.costs import PATIENCE, _least_seconds


@pytest.mark.parametrize(("keys", "said"), [(4096, "about 4 times"), (1000, "about 1 times"), (999, "")])
def test_a_queue_that_holds_all_samples_is_said(keys, said, caplog):
    warn_of_queue(keys, 1000, "tile")
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)


def test_a_class_with_hardly_any_training_sample_is_named(caplog):
    warn_of_few(np.repeat([0, 1, -1], [10, 9, 50]))
    assert [record.getMessage().split(" say")[0] for record in caplog.records] == ["Defective: 9 training samples"]


MAPPED = {"name": "test_nfnet", "strides": (8, 16), "neck": 10, "pool": "max"}


@pytest.mark.parametrize(
    ("backbone", "method", "said"),
    [
        ({"name": "test_nfnet"}, SimCLRConfig(), True),
        ({"name": "test_nfnet"}, SimCLRConfig(head_batch_norm=False), False),
        ({"name": "test_resnet", "norm": "group"}, SimCLRConfig(), True),
        ({"name": "test_resnet"}, SimCLRConfig(), False),
        ({"name": "test_nfnet"}, MoCoConfig(), False),
        ({"name": "test_nfnet"}, BYOLConfig(), False),  # whose heads have no such key
        (MAPPED, DefectPretextConfig(), False),  # nor a projection head
        (MAPPED, DefectPretextConfig(nt_xent_weight=0.1), True),
    ],
    ids=str,
)
def test_a_head_with_the_batch_norm_that_the_backbone_does_without_is_said(backbone, method, said, caplog):
    config = PretrainConfig(backbone=BackboneConfig(**backbone), method=method)
    network = Backbone(config.backbone, 1)
    warn_of_head_norm(config, build_objective(method, network, ViewMaker(config.view, 32)), network)
    assert ("method.head_batch_norm: test_" in caplog.text) == said


@pytest.mark.parametrize(
    ("available", "processes", "mend"),
    [
        (10, 1, "lower --batch-size to at most 10"),
        (11, 2, "lower --batch-size to at most 10"),
        (5, 4, "with 2 of --devices or fewer, --batch-size 4 is possible"),
        (1, 1, "add images"),
        (1, 2, "add images"),
    ],
)
def test_the_mend_for_few_samples_is_one_that_works(available, processes, mend):
    with pytest.raises(UserError, match=mend):
        refuse_small("boards.csv", available, 32, processes)


def test_as_many_samples_as_a_batch_are_enough():
    refuse_small("boards.csv", 32, 32, 2)


@pytest.mark.parametrize(
    "config",
    [
        PretrainConfig(checkpoint="runs/none-such"),
        FinetuneConfig(checkpoint="runs/none-such"),
        FinetuneConfig(downsizer=DownsizerConfig(checkpoint="runs/none-such")),
    ],
)
def test_weights_that_are_not_there_are_refused_first(config):
    with pytest.raises(UserError, match="runs/none-such: holds no backbone"):
        refuse_missing_weights(config)


def test_weights_to_be_found_later_or_none_are_fine():
    refuse_missing_weights(FinetuneConfig(checkpoint="auto", downsizer=DownsizerConfig(checkpoint="none")))


def test_a_begun_run_is_to_be_finished(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"")
    with pytest.raises(UserError, match="finish its run with --resume"):
        refuse_missing_weights(FinetuneConfig(checkpoint=str(tmp_path)))


@pytest.mark.parametrize(
    ("free", "resumed", "refused"), [(1999, False, True), (2000, False, False), (999, True, True), (1000, True, False)]
)
def test_a_disk_without_room_for_checkpoints_is_refused(free, resumed, refused, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(Path(path)) or SimpleNamespace(free=free))
    run = SimpleNamespace(folder=tmp_path / "runs" / "new", resumed=resumed)
    with pytest.raises(UserError, match="new: checkpoints need") if refused else nullcontext():
        refuse_full_disk(2000, run, Fabric(accelerator="cpu", devices=1))
    assert asked == [tmp_path]  # the nearest folder that is there


def test_a_trial_is_as_long_on_every_process():
    """A slow process runs as many steps as the first one says, or the others would wait for it in one for ever."""
    runs = []

    def slow():
        runs.append(time.sleep(PATIENCE * 1.1))

    _least_seconds(slow, SimpleNamespace(broadcast=lambda _: 3, device=torch.device("cpu")))
    assert len(runs) == 4
    runs.clear()
    _least_seconds(slow, Fabric(accelerator="cpu", devices=1))
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("loss", "counts", "said"),
    [
        ({"name": "cross_entropy", "class_weights": "balanced"}, (50, 50), "loss.class_weights: the sampler shows 50"),
        ({"name": "cross_entropy", "class_weights": "balanced"}, (80, 20), None),
        ({"name": "cross_entropy"}, (50, 50), None),
        ({"name": "ldam"}, (52, 50), "so that ldam treats them alike"),
        ({"name": "focal"}, (50, 50), None),
        ({"name": "large_margin_softmax", "anneal_steps": 11}, (80, 20), "10 steps of training end before the margin"),
        ({"name": "large_margin_softmax", "anneal_steps": 10}, (80, 20), None),
    ],
)
def test_a_loss_that_cannot_act_is_told_of(caplog, loss, counts, said):
    config = TypeAdapter(LossConfig).validate_python(loss)
    with caplog.at_level("WARNING"):
        warn_of_idle_loss(config, np.array(counts), steps=10)
    assert (said in caplog.text) if said else not caplog.records
