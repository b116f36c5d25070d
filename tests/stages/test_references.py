"""Golden images from the manifest to each stage, on boards whose golden image is their clean twin."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.pool import training_rows
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.stages.embed import embed
from ssl_pcb.stages.robustness import measure_robustness
from ssl_pcb.stages.validation import Validation

SMALL = {
    "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8, "training.epochs": 2,
    "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous", "runtime.device": "cpu",
    "data.references": True,
}  # fmt: skip


def start(stage, out, **keys):
    asked = SMALL | {"data.manifest": "m.csv", "runtime.out": out}
    return run_stage(stage, None, asked | {key.replace("__", "."): value for key, value in keys.items()}, resume=False)


def test_both_pictures_lie_in_one_batch_and_went_through_the_same_encoding(paired):
    samples, _ = load_samples(DataConfig(manifest=Path("m.csv"), image_size=32, references=True))
    colours = samples.store.spec.channels
    assert samples.channels == 2 * colours
    rows = samples.rows("train")
    batch = samples.pixels(rows).__getitems__(range(len(rows)))
    for side, column in ((batch.inputs[:, :colours], "path"), (batch.inputs[:, colours:], "reference")):
        for position in (0, len(rows) - 1):
            file = samples.manifest.root / samples.column(column, rows)[position]
            with Image.open(file) as opened:
                original = np.asarray(opened.convert("RGB" if colours == 3 else "L")).reshape(32, 32, colours)
            found = side[position].permute(1, 2, 0).numpy()
            assert np.abs(found.astype(int) - original).mean() < 8  # the same picture, after JPEG
            assert not np.array_equal(found, original)
    plain, _ = load_samples(DataConfig(manifest=Path("m.csv"), image_size=32))
    assert plain.store.folder != samples.store.folder
    assert samples.without_references.pixels(rows).__getitems__([0]).inputs.shape[1] == colours


def test_linear_eval_adds_the_plain_difference_which_finds_the_defects_of_clean_twins(paired):
    run = start("linear-eval", "probes", checkpoint="none", resamples=100, training__epochs=1)
    table = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    [found] = [row for row in table if row["probe"] == "reference_difference" and row["split"] == "val"]
    assert found["auroc"] > 0.95
    assert found["labels"] == 0
    assert found["backbone"] == "none"
    assert "reference_difference" in json.loads((run / "summary.json").read_text())["label_free_reports"]
    assert len(pd.read_csv(run / "reference_difference_predictions.csv")) > 0


def test_pretraining_compares_both_and_leaves_a_network_for_one_image(paired):
    keys = {
        "backbone__strides": [8, 16],
        "backbone__pool": "avg_max",
        "method__hidden_dim": 16,
        "method__output_dim": 8,
    }
    run = start("pretrain", "contrast", **keys)
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["difference_auroc"] > 0.5
    assert last["differing"] > 0
    probed = start("linear-eval", "contrast-probes", checkpoint=str(run), resamples=100, training__epochs=1,
                   backbone__strides=[8, 16], backbone__pool="avg_max", data__references=False)  # fmt: skip
    assert json.loads((probed / "summary.json").read_text())["checkpoint"] == str(run)


def test_finetuning_sees_both_as_channels(paired):
    run = start("finetune", "two", checkpoint="none", resamples=100)
    record = json.loads((run / "run.json").read_text())
    assert record["backbone"]["channels"] == 6
    embed(run, Path("m.csv"), Path("two-codes"), (), None, "cpu", {})
    assert len(np.load("two-codes/codes.npy")) == 72


def test_a_network_that_sees_both_is_asked_about_a_camera_that_spoils_one(paired):
    run = start("finetune", "spoilt", checkpoint="none", resamples=100, training__epochs=1)
    found, _ = measure_robustness(Validation.open(run, None, samples=8, seed=0, device="cpu"), Path("robust"))
    assert (found.judged, len(found.hardships)) == (8, 12)
    assert (Path("robust") / "robustness.png").exists()


def test_a_network_that_compared_both_embeds_images_without_any(paired):
    embed(Path("contrast"), Path("m.csv"), Path("codes"), (), None, "cpu", {})
    assert len(np.load("codes/codes.npy")) == 72


PAINTED = {"backbone__strides": [8, 16], "backbone__pool": "max", "backbone__neck": 10}


def test_painted_defects_beside_golden_images_from_pretraining_to_verdicts(paired, ssl_pcb_cli):
    """Frozen and finetuned networks see both pictures, found by name or by 'auto'; what shows them one is refused."""
    run = start("pretrain", "runs/both", method__name="defect_pretext", **PAINTED)
    assert json.loads((run / "run.json").read_text())["backbone"]["channels"] == 6
    with Image.open(run / "defect_maps.png") as picture:
        assert picture.height == 4 * 154 + 24  # images, golden images, what was painted, what is suspected
    for name in ("auto", str(run)):
        probed = start("linear-eval", f"both-{name[:4]}", checkpoint=name, resamples=100, training__epochs=1, **PAINTED)
        assert json.loads((probed / "summary.json").read_text())["checkpoint"] == "runs/both"
        table = [json.loads(line) for line in (probed / "metrics.jsonl").read_text().splitlines()]
        assert "defect_map" in {row["probe"] for row in table}
    tuned = start("finetune", "both-tuned", checkpoint=str(run), resamples=100, training__epochs=1,
                  head_start="probe", augment__name="painted", **PAINTED)  # fmt: skip
    assert json.loads((tuned / "run.json").read_text())["backbone"]["channels"] == 6
    with pytest.raises(UserError, match=r"its network sees golden images too; give --references, or another"):
        start("linear-eval", "refused", checkpoint=str(run), data__references=False, **PAINTED)
    ended = ssl_pcb_cli("embed", run, "m.csv", "--split", "val", "--out", "suspected")
    assert "suspicion as a score of Defective, split 'val': AUROC" in ended.out
    judged = pd.read_csv(probed / "defect_map_predictions.csv").query("split == 'val'")
    assert pd.read_csv("suspected/codes.csv")["suspicion"].to_numpy() == pytest.approx(
        judged["score"].to_numpy(), abs=1e-4
    )
    assert Path("suspected/suspects.png").exists()
    plain = Manifest.read("m.csv")
    twice = plain.frame.iloc[[0, 0]].assign(crop=["0 0 24 24", "0 0 20 20"], label=["Defective", "NonDefective"])
    Manifest(twice.assign(split="val"), plain.root).write("one.csv")
    ended = ssl_pcb_cli("embed", run, "one.csv", "--out", "one")
    assert "(one source image only: there is nothing to resample) of 2" in ended.out
    Manifest(plain.frame.drop(columns="reference"), plain.root).write("alone.csv")
    refused = ssl_pcb_cli("embed", run, "alone.csv", "--out", "none")
    assert (refused.code, Path("none").exists()) == (2, False)
    assert "reference" in refused.err
    for ended in (ssl_pcb_cli("report", run, "-o", "both.html"), ssl_pcb_cli("report", probed, "-o", "probed.html")):
        assert ended.code == 0, ended.err
    refused = ssl_pcb_cli("audit", "next", "m.csv", "--run", run, "-n", 3, "--out", "next")
    assert (refused.code, Path("next").exists()) == (2, False)
    assert "its network sees golden images too, and this command brings none" in refused.err
    for references, said in ((False, "golden images too; give --references"), (True, "images alone; leave out")):
        folder = run if not references else start("pretrain", "runs/alone", data__references=False, training__epochs=1)
        with pytest.raises(UserError, match=said):
            start("crossval", "cv", checkpoint=str(folder), data__references=references)
        assert not Path("cv").exists()


def test_what_learned_from_images_alone_is_found_with_and_without_golden_images(paired):
    maps = {"backbone__strides": [4, 8], "backbone__pool": "avg_max"}
    start("pretrain", "runs/alike", method__name="simclr", training__epochs=1, **maps)
    for references in (False, True):
        probed = start("linear-eval", f"probed-{references}", checkpoint="auto", data__references=references,
                       resamples=100, training__epochs=1, fractions=[1.0], **maps)  # fmt: skip
        assert json.loads((probed / "summary.json").read_text())["checkpoint"] == "runs/alike"


def test_rows_whose_golden_image_cannot_be_read_are_left_out_everywhere(paired):
    manifest = Manifest.read("m.csv")
    frame = manifest.frame.copy()
    lost = [frame.index[frame["split"].eq(split)][0] for split in ("train", "val")]
    frame.loc[lost, "reference"] = "gone.png"
    Manifest(frame, manifest.root).write("gone.csv")
    with pytest.raises(UserError, match=r"gone\.png"):
        start("linear-eval", "refused", data__manifest="gone.csv")
    config = DataConfig(manifest=Path("gone.csv"), image_size=32, references=True, skip_bad=True)
    samples, _ = load_samples(config)
    for kept in (samples, samples.without_references):
        assert not set(lost) & set(kept.rows("train", "val").tolist())
    assert not set(lost) & set(training_rows(samples, use_unsplit=False).tolist())
    assert list(samples.store.bad) == ["gone.png"]
    run = start("linear-eval", "skipping", data__manifest="gone.csv", data__skip_bad=True, checkpoint="none",
                resamples=100, training__epochs=1, fractions=[1.0])  # fmt: skip
    assert "1 unreadable files left out" in json.loads((run / "summary.json").read_text())["marks"]


def test_a_golden_image_of_another_size_is_refused_by_its_row(paired, tmp_path):
    manifest = Manifest.read("m.csv")
    frame = manifest.frame.copy()
    Image.new("RGB", (40, 32)).save(tmp_path / "wide.png")
    frame.loc[4, "reference"] = str(tmp_path / "wide.png")
    Manifest(frame, manifest.root).write("wide.csv")
    with pytest.raises(UserError, match=r"^wide.csv: row 5: an image of 32x32 px and a golden image of 40x32 px"):
        start("linear-eval", "refused", data__manifest="wide.csv")


def test_other_golden_images_are_other_data(paired):
    config = DataConfig(manifest=Path("m.csv"), image_size=32, references=True)
    before = load_samples(config)[0]
    manifest = Manifest.read("m.csv")
    frame = manifest.frame.assign(reference=manifest.frame["path"])
    Manifest(frame, manifest.root).write("own.csv")
    after = load_samples(config.model_copy(update={"manifest": Path("own.csv")}))[0]
    assert before.fingerprint(labels=False) != after.fingerprint(labels=False)
    same = [each.without_references.fingerprint(labels=False) for each in (before, after)]
    assert same[0] == same[1]


def test_a_look_at_the_test_boards_names_every_score(paired):
    run = start("linear-eval", "tested", test=True, checkpoint="none", resamples=100, training__epochs=1,
                fractions=[1.0])  # fmt: skip
    [look] = pd.read_csv(run / "test_ledger.csv").to_dict("records")
    assert look["purpose"].startswith("3 probes x 1 label fractions and distance, reference_difference on")


@pytest.mark.parametrize(
    ("stage", "keys", "said"),
    [
        (
            "pretrain",
            {"method__name": "byol"},
            r"^data.references: golden images are for painted defects",
        ),
        ("pretrain", {"method__hard_negatives": "synthetic"}, r"^data.references: .* without hard negatives"),
        ("pretrain", {"shards": "x.tar"}, r"^data.references: shards hold no golden images"),
    ],
    ids=str,
)
def test_what_has_no_use_for_golden_images_says_so(paired, stage, keys, said):
    with pytest.raises(UserError, match=said):
        start(stage, "refused", **keys)


def test_rows_without_a_golden_image_are_counted(paired):
    manifest = Manifest.read("m.csv")
    frame = manifest.frame.copy()
    frame.loc[:2, "reference"] = ""
    Manifest(frame, manifest.root).write("lacking.csv")
    with pytest.raises(UserError, match=r"^lacking.csv: 3 of 72 rows name no golden image in column 'reference'; fill"):
        start("linear-eval", "refused", data__manifest="lacking.csv")
    Manifest(frame.drop(columns="reference"), manifest.root).write("none.csv")
    with pytest.raises(UserError, match="72 of 72 rows"):
        start("linear-eval", "refused", data__manifest="none.csv")
