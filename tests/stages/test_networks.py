"""Heads, the auxiliary classifier and anti-aliasing from the command line's keys to a run folder, and back from it."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from ssl_pcb.augment.views import plain_view
from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.load import load_config
from ssl_pcb.config.stages import STAGES
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.models.heads import build_head
from ssl_pcb.models.trunks import input_dim
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.stages.embed import open_coder
from ssl_pcb.stages.reporting.facts import facts
from ssl_pcb.training import loop
from ssl_pcb.training.checkpoint import load_state

BASE = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu",
}  # fmt: skip
TUNE = {"checkpoint": "none", "resamples": 100}
MLP, ATTENTION = {"head.name": "mlp", "head.drop_rate": 0.3}, {"head.name": "attention"}
AUXILIARY = {"auxiliary.stride": 8, "auxiliary.weight": 0.5}


def tune(out, keys=None, *, resume=False):
    asked = {} if resume else BASE | TUNE | (keys or {})
    return run_stage("finetune", None, asked | {"runtime.out": out}, resume=resume)


def rebuilt_scores(folder):
    """Scores of the validation boards, from what the run folder holds and nothing else."""
    config, coder = read_config(Path(folder), "finetune"), open_coder(Path(folder), "cpu")
    head = build_head(config.head, config.loss, input_dim(config.head, coder.network), 2)
    head.load_state_dict(load_file(Path(folder) / "head.safetensors"))
    samples, _ = load_samples(config.data)
    rows = samples.supervised("val")
    images = plain_view(samples.pixels(rows).__getitems__(range(len(rows))).inputs, config.data.image_size)
    network = coder.network.eval()
    with torch.no_grad():
        logits = head.eval()(network.feature_map(images) if head.on_map else network(images))
    return (logits[:, 1] - logits[:, 0]).tolist()


RUNS = {
    "linear": {},
    "mlp": MLP,
    "attention": ATTENTION,
    "attention on a finer map": ATTENTION | {"backbone.strides": [8]},
    "attention behind a downsizer": ATTENTION | {"downsizer.stride": 4, "data.image_size": 128},
    "auxiliary": AUXILIARY,
    "attention and auxiliary": ATTENTION | AUXILIARY | {"backbone.name": "test_convnext"},
    "antialias": {"backbone.antialias": True},
    "over symmetries": {"backbone.tta": "symmetries"},
    "over symmetries, downsized": {"backbone.tta": "symmetries", "downsizer.stride": 4, "data.image_size": 128},
    "normaliser-free": MLP | AUXILIARY | {"backbone.name": "test_nfnet"},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_folder_gives_its_predictions_again(workplace, name):
    folder = tune(name, RUNS[name])
    said = pd.read_csv(folder / "predictions.csv").query("split == 'val'")["score"]
    assert rebuilt_scores(folder) == pytest.approx(said.tolist(), abs=1e-4)
    assert said.nunique() > 10
    kept = {*load_file(folder / "head.safetensors"), *load_file(folder / "backbone.safetensors")}
    assert not [key for key in kept if "auxiliary" in key]


def test_judging_by_eight_views_trains_the_network_of_one(workplace):
    keys = {"head_start": "probe", "training.epochs": 2}
    folders = [tune(f"views-{tta}", keys | {"backbone.tta": tta}) for tta in ("none", "symmetries")]
    for name in ("head", "backbone"):
        one, over = (load_file(folder / f"{name}.safetensors") for folder in folders)
        assert all(torch.equal(one[key], over[key]) for key in one)
    one, over = (pd.read_csv(folder / "predictions.csv")["score"] for folder in folders)
    assert (one - over).abs().max() > 1e-3
    assert "judges by eight views" in run_facts(folders[1])
    assert "judges by eight views" not in run_facts(folders[0])


def test_a_probe_of_a_random_network_is_told_to_be_one(workplace, caplog):
    tune("probe-of-random", {"head_start": "probe", "checkpoint": "none", "training.epochs": 1})
    assert "head_start: a probe of a random network's features fits nothing once these move" in caplog.text
    caplog.clear()
    tune("probe-of-trained", {"head_start": "probe", "checkpoint": "probe-of-random", "training.epochs": 1})
    assert "head_start:" not in caplog.text


def run_facts(folder):
    return str(facts(read_run(folder), read_config(folder, "finetune")))


def test_the_auxiliary_classifier_goes_on_where_it_was(workplace, monkeypatch):
    def stop(folder, **parts):
        saved(folder, **parts)
        raise KeyboardInterrupt

    saved, keys = loop.save_state, AUXILIARY | ATTENTION | {"training.epochs": 2}
    straight = tune("aux-straight", keys)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", stop)
        with pytest.raises(KeyboardInterrupt):
            tune("aux-cut", keys)
    state = load_state(Path("aux-cut"))
    assert [key for key in state["objective"] if key.startswith("auxiliary.")]
    cut = tune("aux-cut", resume=True)
    for name in ("head", "backbone"):
        one, other = (load_file(folder / f"{name}.safetensors") for folder in (straight, cut))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_auto_takes_no_run_with_other_downsampling(workplace):
    small = {"method.hidden_dim": 16, "method.output_dim": 8}
    run_stage("pretrain", None, BASE | small | {"runtime.out": "runs/plain"}, resume=False)
    found = {each: tune(f"auto-{each}", {"checkpoint": "auto", "backbone.antialias": each}) for each in (False, True)}
    kept = {each: read_config(folder, "finetune").checkpoint for each, folder in found.items()}
    assert kept == {False: "runs/plain", True: "none"}
    blurred = BASE | small | {"runtime.out": "runs/blurred", "backbone.antialias": True}
    run_stage("pretrain", None, blurred, resume=False)
    again = tune("auto-again", {"checkpoint": "auto", "backbone.antialias": True})
    assert read_config(again, "finetune").checkpoint == "runs/blurred"
    with pytest.raises(UserError, match=r"^runs/blurred/.*: was trained with backbone\.antialias=true.*set backbone"):
        tune("other", {"checkpoint": "runs/blurred"})
    assert not Path("other").exists()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (MLP | {"head_start": "probe"}, "head_start: a probe is a linear layer, which mlp is not; set head.name"),
        (ATTENTION | {"head_start": "probe"}, "head_start: a probe is a linear layer, which attention is not"),
        (ATTENTION | {"backbone.tta": "symmetries"}, "backbone.tta: averages features, and an attention head looks"),
        (ATTENTION | {"backbone.strides": [8, 16]}, "head.name: attention looks at one map; give backbone.strides one"),
        (AUXILIARY | {"backbone.strides": [8]}, "auxiliary: it sees a stage on the way to the network's own end"),
        (AUXILIARY | {"downsizer.stride": 4}, "auxiliary: it sees a stage"),
        ({"head.name": "mlp", "head.heads": 4}, "head.heads: belongs to head.name=attention, not to the one in force"),
        ({"auxiliary.weight": 0}, "auxiliary.weight: input should be greater than 0"),
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_go_together_is_refused_when_the_config_is_read(keys, line):
    with pytest.raises(UserError) as refused:
        load_config(STAGES["finetune"], None, keys)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_an_autoencoder_codes_one_view():
    keys = {"method.name": "autoencoder", "backbone.tta": "symmetries"}
    with pytest.raises(UserError, match=r"^backbone\.tta: an autoencoder codes the picture as it lies; set"):
        load_config(STAGES["pretrain"], None, keys)


def test_what_the_network_lacks_is_refused_before_anything_is_written(workplace, ssl_pcb_cli):
    for keys, line in (
        ({"auxiliary.stride": 64}, "auxiliary.stride: 'test_resnet' has no map of stride 64, only of 2, 4, 8, 16, 32"),
        ({"head.name": "attention", "head.heads": 7}, "head.heads: 7 do not divide the 96 channels"),
        ({"head.name": "attention", "backbone.name": "test_vit"}, "backbone.name: 'test_vit' ends in no feature map"),
        ({"backbone.antialias": "true", "backbone.name": "test_vit"}, "backbone.antialias: timm offers no"),
    ):
        sets = [text for key, value in (BASE | TUNE | keys).items() for text in ("--set", f"{key}={value}")]
        ended = ssl_pcb_cli("finetune", *sets, "--out", "refused")
        assert ended.code == 2
        assert ended.err.startswith(f"ssl-pcb: error: {line}")
        assert len(ended.err.splitlines()) == 1
        assert not Path("refused").exists()
