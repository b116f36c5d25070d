"""Autoencoder runs from end to end: pretraining, what takes it up, embed, and the learned downsizer."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from ssl_pcb.augment.views import plain_view
from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.stages.embed import embed, open_coder
from ssl_pcb.training.checkpoint import read_weights

BASE = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu",
}  # fmt: skip
AUTO = {"method.name": "autoencoder", "method.dim": 6, "method.decoder_width": 8, "method.corruption": "defect"}


def start(stage, out, **keys):
    keys = {key.replace("__", "."): value for key, value in keys.items()}
    return run_stage(stage, None, BASE | keys | {"runtime.out": out}, resume=False)


def weights_of(folder):
    """The backbone's tensors, without the record of images beside them."""
    return read_weights(Path(folder) / "backbone.safetensors")[0]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv``, its own cache, and the finished runs ``ae`` and ``tuned``."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest.read(synthetic_boards).write("m.csv")
        start("pretrain", "ae", **AUTO)
        start("finetune", "tuned", checkpoint="none", resamples=100, downsizer__checkpoint="ae")
        embed(Path("ae"), Path("m.csv"), Path("codes"), (), 7, "cpu", {})
        yield folder


def images_of(coder, rows=None):
    samples, _ = load_samples(coder.config.data.model_copy(update={"manifest": Path("m.csv")}))
    rows = samples.store.rows if rows is None else rows
    return samples, plain_view(samples.pixels(rows).__getitems__(list(range(len(rows)))).inputs, 32)


def test_the_run_keeps_backbone_head_and_picture(workplace):
    names = load_file("ae/head.safetensors").keys()
    assert names
    assert not [name for name in names if name.startswith("backbone.")]
    assert {"network.conv1.0.weight"} <= weights_of("ae").keys()
    with Image.open("ae/reconstructions.png") as picture:
        assert picture.width > 8 * 128  # eight samples
        assert picture.height > 4 * 128  # spoilt input, target, reconstruction, difference
    rows = [json.loads(line) for line in Path("ae/metrics.jsonl").read_text().splitlines()]
    assert rows[0]["mse"] == pytest.approx(rows[0]["loss"])


def test_a_run_taken_up_is_the_network_that_was_trained(workplace):
    """Backbone and head meet again: it rebuilds better than with a fresh head, and repeats itself exactly."""
    first, second = open_coder(Path("ae"), "cpu"), open_coder(Path("ae"), "cpu")
    _, images = images_of(first)
    with torch.no_grad():
        rebuilt = [coder.network.eval()(images) for coder in (first, second)]
    assert torch.equal(*rebuilt)
    state = first.network.state_dict()
    saved = load_file("ae/head.safetensors") | {f"backbone.{k}": v for k, v in weights_of("ae").items()}
    assert state.keys() == saved.keys()
    assert all(torch.equal(state[name], saved[name]) for name in saved)


def test_linear_eval_and_finetune_start_from_it(workplace):
    probe = {"cs": [0.1], "ks": [1], "fractions": [1.0], "resamples": 100}
    start("linear-eval", "probe", checkpoint="ae", **probe)
    assert json.loads(Path("probe/summary.json").read_text())["checkpoint"] == "ae"
    theirs, ours = weights_of("ae"), weights_of("probe")
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    start("finetune", "from-ae", checkpoint="ae", resamples=100)
    assert json.loads(Path("from-ae/run.json").read_text())["checkpoint"] == "ae"


# Embed ------------------------------------------------------------------------------------------------------


def test_codes_are_those_of_the_direct_pass(workplace):
    codes, table = np.load("codes/codes.npy"), pd.read_csv("codes/codes.csv", keep_default_na=False)
    coder = open_coder(Path("ae"), "cpu")
    samples, images = images_of(coder)
    with torch.no_grad():
        network = coder.network.eval()
        expected, rebuilt = network.encode(images).numpy(), network(images)
    assert codes.dtype == np.float32
    assert codes == pytest.approx(expected, abs=1e-5)
    assert table["reconstruction_error"].to_numpy() == pytest.approx(
        ((rebuilt - images) ** 2).mean((1, 2, 3)).numpy(), rel=1e-4
    )
    assert table["row"].tolist() == samples.store.rows.tolist()
    frame = samples.manifest.frame
    for column in ("path", "crop", "group", "split"):
        assert table[column].tolist() == frame[column].tolist()
    assert table["label"].tolist() == frame["label"].where(frame["split"] != "test", "").tolist()
    known = {"train": "image", "holdout": "board"}
    assert table["trained_on"].tolist() == [known.get(split, "") for split in frame["split"]]


def test_one_split_alone(workplace, ssl_pcb_cli):
    ended = ssl_pcb_cli("embed", "ae", "m.csv", "--out", "some", "--split", "val", "--split", "holdout")
    assert ended.code == 0, ended.err
    table, whole = pd.read_csv("some/codes.csv"), pd.read_csv("codes/codes.csv")
    expected = whole[whole["split"].isin(["val", "holdout"])]
    assert table["row"].tolist() == expected["row"].tolist()
    assert np.load("some/codes.npy") == pytest.approx(np.load("codes/codes.npy")[expected.index], abs=1e-5)


def test_the_auroc_is_told_of_every_split_but_the_test(workplace, ssl_pcb_cli):
    ended = ssl_pcb_cli("embed", "ae", "m.csv", "--out", "told")
    assert ended.code == 0, ended.err
    table = pd.read_csv("told/codes.csv")
    assert table["label"][table["split"] == "test"].isna().all()  # or a measure of it would be one line away
    val = table.query("split == 'val'")
    auroc = roc_auc_score(val["label"] == "Defective", val["reconstruction_error"])
    found = re.search(rf"split 'val': AUROC {auroc:.3f} \[(.*), (.*)\] of {len(val)} images, (.*) Defective", ended.out)
    assert float(found[1]) <= auroc <= float(found[2])
    assert int(found[3]) == val["label"].eq("Defective").sum()
    assert "split 'test': AUROC" not in ended.out
    assert "the labels of split 'test' were not looked at" in ended.out
    assert not Path("results").exists()


@pytest.mark.parametrize("run", ["probe-run", "tuned"])
def test_other_runs_give_pooled_features(workplace, run):
    if run == "probe-run":
        start("pretrain", run, method__hidden_dim=16, method__output_dim=8)
    embed(Path(run), Path("m.csv"), Path(f"{run}-codes"), (), 64, "cpu", {})
    coder = open_coder(Path(run), "cpu")
    _, images = images_of(coder)
    with torch.no_grad():
        expected = coder.network.eval()(images).numpy()
    assert np.load(f"{run}-codes/codes.npy") == pytest.approx(expected, abs=1e-5)
    assert "reconstruction_error" not in pd.read_csv(f"{run}-codes/codes.csv")


def test_a_failure_leaves_nothing(workplace, monkeypatch):
    from ssl_pcb.stages import embed as module

    def full(*arguments, **keys):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_table", full)
    with pytest.raises(UserError, match="lost: cannot be written"):
        embed(Path("ae"), Path("m.csv"), Path("lost"), (), 64, "cpu", {})
    assert not [name for name in os.listdir() if name.startswith("lost")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "m.csv", "--out", "new"), "nowhere: is no folder of a finished run"),
        (("m.csv", "m.csv", "--out", "new"), "m.csv: is no folder of a finished run"),
        (("ae", "nowhere.csv", "--out", "new"), "nowhere.csv"),
        (("ae", "m.csv", "--out", "codes"), "codes: exists"),
        (("headless", "m.csv", "--out", "new"), "headless: holds no head.safetensors"),
        (("broken", "m.csv", "--out", "new"), "broken/head.safetensors: does not fit the run's config"),
        (("misfit", "m.csv", "--out", "new"), "misfit/head.safetensors: does not fit the run's config"),
        (("ae", "unsplit.csv", "--out", "new", "--split", "val"), "no sample is in split val"),
        (
            ("ae", "m.csv", "--out", "new", "--tta", "symmetries"),
            "backbone.tta: an autoencoder codes the picture as it lies",
        ),
        (("ae", "m.csv"), "--out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_line(workplace, ssl_pcb_cli, arguments, said):
    for name in {"headless", "broken", "misfit"} & set(arguments):
        shutil.copytree("ae", name, dirs_exist_ok=True)
        (Path(name) / "head.safetensors").unlink()
        if name == "broken":
            Path("broken/head.safetensors").write_bytes(b"no tensors")
        if name == "misfit":
            save_file({"other": torch.zeros(1)}, "misfit/head.safetensors")
    frame = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    frame.assign(split="").to_csv("unsplit.csv", index=False)
    ended = ssl_pcb_cli("embed", *arguments)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1, ended.err
    assert said in ended.err
    assert not Path("new").exists()


# The learned downsizer --------------------------------------------------------------------------------------


def test_finetuning_behind_a_downsizer_keeps_the_encoders_stages(workplace):
    tuned, learned = weights_of("tuned"), weights_of("ae")
    taken = [name for name in tuned if name.startswith("downsizer.network.")]
    assert taken
    for name in taken:
        assert torch.equal(tuned[name], learned[name.removeprefix("downsizer.")]), name


def test_it_predicts_without_the_encoders_run(workplace):
    """The run folder is complete: its scores come again from it alone."""
    shutil.move("ae", "ae-away")
    try:
        coder = open_coder(Path("tuned"), "cpu")
    finally:
        shutil.move("ae-away", "ae")
    table = pd.read_csv("tuned/predictions.csv").query("split == 'val'")
    _, images = images_of(coder, table["row"].to_numpy())
    head = load_file("tuned/head.safetensors")
    with torch.no_grad():
        logits = coder.network.eval()(images) @ head["layer.weight"].T + head["layer.bias"]
    assert (logits[:, 1] - logits[:, 0]).numpy() == pytest.approx(table["score"].to_numpy(), abs=1e-4)


def test_an_encoder_that_saw_the_judged_boards_is_refused(workplace):
    frame = pd.read_csv("m.csv", dtype=str, keep_default_na=False)
    swapped = frame["split"].replace({"train": "val", "holdout": "val", "val": "train"})
    Manifest.build(frame.assign(split=swapped), Path.cwd()).write("swapped.csv")
    with pytest.raises(UserError, match="ae: was trained on boards"):
        start("finetune", "leaky", data__manifest="swapped.csv", checkpoint="none", downsizer__checkpoint="ae")
    assert not Path("leaky").exists()


def test_weights_for_images_do_not_go_behind_a_downsizer(workplace):
    with pytest.raises(UserError, match="checkpoint: ae learned on images"):
        start("finetune", "both", checkpoint="ae", downsizer__checkpoint="ae")


def test_other_stages_do_not_take_the_two_networks_for_one(workplace):
    with pytest.raises(UserError, match="holds a test_resnet behind test_resnet at stride 4"):
        start("linear-eval", "wrong", checkpoint="tuned")
