"""From a finished run to an operating point and a comparison, through the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import LABELS, Manifest, format_boxes
from ssl_pcb.data.synthetic.generate import synthesize
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.operating import operate
from ssl_pcb.imaging.tiling import box_share, tile_grid

KEYS = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 2, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu", "resamples": 100, "checkpoint": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(workplace):
    """Two finetunings that differ in their seed, one of which looked at the test split, and one on tiles."""
    run_stage("finetune", None, KEYS | {"runtime.out": "one"}, resume=False)
    run_stage("finetune", None, KEYS | {"runtime.out": "two", "runtime.seed": 1, "test": True}, resume=False)
    tiled(Manifest.read("m.csv")).write("tiles.csv")
    run_stage("finetune", None, KEYS | {"runtime.out": "tiles", "data.manifest": "tiles.csv"}, resume=False)
    return workplace


def read(folder):
    return json.loads((Path(folder) / "evaluation.json").read_text())


def ledger():
    return pd.read_csv("results/test_ledger.csv")


def test_a_budget_gives_a_threshold_bounds_pictures_and_verdicts(runs, ssl_pcb_cli):
    ended = ssl_pcb_cli("evaluate", "one", "--max-escape", 0.4, "--out", "point")
    assert ended.code == 0, ended.err
    found = read("point")
    predictions = pd.read_csv("one/predictions.csv").query("split == 'val'")
    defective = predictions[predictions["label"].eq("Defective")]
    escaped = int((defective["score"] < found["low"]).sum())
    rate = found["operating"]["validation"]["rates"]["image"]["escape"]
    assert (rate["errors"], rate["samples"]) == (escaped, len(defective))
    assert rate["bound"] <= 0.4
    assert found["low"] == found["high"]
    assert found["reported_on"] == "validation"
    assert "was chosen on these samples" in ended.out
    assert f"at threshold {found['low']:.6g} at most" in ended.out
    assert ended.out.splitlines()[-1] == "look at it: ssl-pcb report one -o one/report.html"
    verdicts = pd.read_csv("point/verdicts.csv")
    assert ((verdicts["score"] >= found["low"]) == verdicts["verdict"].eq("NG")).all()
    for name in ("operating_point.png", "reliability.png"):
        with Image.open(f"point/{name}") as picture:
            assert picture.width > 400


def test_two_budgets_leave_a_review_between_them(runs, ssl_pcb_cli):
    budgets = ("--max-escape", 0.01, "--max-false-calls", 0.01, "--as", "point", "--defect-rate", 0.01)
    ended = ssl_pcb_cli("evaluate", "one", *budgets, "--out", "review")
    assert ended.code == 0
    assert "at most 1.00% of the Defective images may escape, as counted; at most 1.00% of the good" in ended.out
    found, verdicts = read("review"), pd.read_csv("review/verdicts.csv")
    assert f"at thresholds {found['low']:.6g} and {found['high']:.6g} at most" in ended.out
    between = verdicts["score"].ge(found["low"]) & verdicts["score"].lt(found["high"])
    assert (between == verdicts["verdict"].eq("REVIEW")).all()
    shares = between.groupby(verdicts["label"]).mean()
    load = 1000 * (0.99 * shares["NonDefective"] + 0.01 * shares["Defective"])
    assert found["operating"]["validation"]["review_per_1000"] == pytest.approx(load)
    assert verdicts["probability"].mean() < 0.2  # at the field's rate, where validation's is a half


def test_a_threshold_that_is_given_was_not_chosen(runs, ssl_pcb_cli):
    ended = ssl_pcb_cli("evaluate", "one", "--threshold", 0.25, "--out", "given")
    assert ended.code == 0, ended.err
    assert "the threshold that was given: threshold 0.25" in ended.out
    assert "chose" not in ended.out
    found = read("given")
    assert (found["chosen_on"], found["low"], found["high"]) == ("given", 0.25, 0.25)


def test_the_test_split_is_scored_once_by_the_run_and_every_look_recorded(runs, ssl_pcb_cli):
    before = len(ledger())
    assert ssl_pcb_cli("evaluate", "one", "--test", "--out", "tested").code == 0
    found = read("tested")
    assert found["reported_on"] == "test"
    assert found["low"] == json.loads(Path("one/summary.json").read_text())["reports"]["val"]["threshold"]
    touches = ledger()
    assert len(touches) == before + 1
    assert touches.iloc[-1][["command", "run", "split"]].tolist() == ["evaluate", "one", "test"]
    assert "operating point" in touches.iloc[-1]["purpose"]
    frame = Manifest.read("m.csv").frame
    assert len(pd.read_csv("tested/verdicts.csv")) == frame["split"].eq("test").sum()
    # What the run scored itself says the same.
    assert ssl_pcb_cli("evaluate", "two", "--test", "--out", "tested-two").code == 0
    saved = pd.read_csv("two/predictions.csv").query("split == 'test'")
    assert pd.read_csv("tested-two/verdicts.csv")["score"].tolist() == saved["score"].tolist()


def test_held_apart_images_of_training_boards_are_reported_and_chose_nothing(runs, ssl_pcb_cli):
    ended = ssl_pcb_cli("evaluate", "one", "--best-f1", "--holdout", "--out", "apart")
    assert ended.code == 0, ended.err
    found, saved = read("apart"), pd.read_csv("one/predictions.csv").query("split == 'holdout'")
    assert found["reported_on"] == "holdout"
    assert ssl_pcb_cli("evaluate", "one", "--best-f1", "--out", "not-apart").code == 0
    assert read("not-apart")["low"] == found["low"]
    escape = found["operating"]["holdout"]["rates"]["image"]["escape"]
    defective = saved["label"].eq("Defective")
    assert (escape["errors"], escape["samples"]) == (
        (defective & (saved["score"] < found["low"])).sum(),
        defective.sum(),
    )
    assert found["calibration"]["measured_on"] == "samples apart"
    assert len(pd.read_csv("apart/verdicts.csv")) == len(saved) > 0
    assert "of boards that it was trained on" in ended.out


def test_scores_of_another_manifest(runs, ssl_pcb_cli):
    manifest = Manifest.read("m.csv")
    test = manifest.frame["split"].eq("test")
    Manifest(manifest.frame[test].assign(split="").reset_index(drop=True), manifest.root).write("field.csv")
    looks = len(ledger())
    assert ssl_pcb_cli("evaluate", "two", "--data", "field.csv", "--out", "field").code == 0
    assert len(ledger()) == looks + 1  # the run's own test images, under another name
    assert ledger().iloc[-1][["data", "samples"]].tolist() == ["field.csv", test.sum()]
    saved = pd.read_csv("two/predictions.csv").query("split == 'test'")
    np.testing.assert_allclose(pd.read_csv("field/verdicts.csv")["score"], saved["score"], atol=1e-4)
    Manifest(manifest.frame.assign(split=""), manifest.root).write("seen.csv")
    ended = ssl_pcb_cli("evaluate", "two", "--data", "seen.csv", "--out", "no")
    assert ended.code == 2
    assert "was trained on boards" in ended.err
    chose = manifest.frame["split"].eq("val")
    Manifest(manifest.frame[chose].assign(split="").reset_index(drop=True), manifest.root).write("chose.csv")
    ended = ssl_pcb_cli("evaluate", "two", "--data", "chose.csv", "--out", "no")
    assert ended.code == 2
    assert f"{chose.sum()} of the {chose.sum()} samples are of images that chose the threshold of two" in ended.err
    assert len(ledger()) == looks + 1
    assert not Path("no").exists()


def test_looks_are_known_where_labels_changed_and_recorded_where_images_are_gone(runs, ssl_pcb_cli):
    manifest, kept = Manifest.read("m.csv"), Path("m.csv").read_bytes()
    for split in ("val", "test"):
        rows = manifest.frame["split"].eq(split)
        part = manifest.frame[rows].assign(split="").reset_index(drop=True)
        Manifest(part, manifest.root).write(f"of-{split}.csv")
    try:
        frame = manifest.frame.copy()
        first = frame.index[frame["split"].eq("train") & frame["label"].eq("Defective")][0]
        frame.loc[first, "label"] = "NonDefective"
        Manifest(frame, manifest.root).write("m.csv")
        ended = ssl_pcb_cli("evaluate", "two", "--data", "of-val.csv", "--out", "no")
        assert "are of images that chose the threshold of two" in ended.err
        Path("m.csv").unlink()
        looks = len(ledger())
        ended = ssl_pcb_cli("evaluate", "two", "--data", "of-test.csv", "--out", "images-gone")
        assert ended.code == 0, ended.err
        assert "samples is not known; the look is recorded" in ended.out
        assert len(ledger()) == looks + 1
    finally:
        Path("m.csv").write_bytes(kept)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda frame: frame.assign(label=frame["label"].str.lower()), "row 1 has a label that is not"),
        (lambda frame: frame.assign(label=""), "row 1 has a label that is not"),
        (lambda frame: pd.concat([frame, frame.tail(1)]), "has a sample that stands there twice"),
        (lambda frame: frame.assign(path="of-others/" + frame["path"], score=-frame["score"]), "labelled otherwise"),
        (lambda frame: frame[frame["label"].eq("NonDefective")], "NonDefective and 0 Defective validation samples"),
    ],
)
def test_predictions_that_are_not_the_runs_own_are_refused(runs, ssl_pcb_cli, spoil, line):
    shutil.rmtree("spoilt", ignore_errors=True)
    shutil.copytree("one", "spoilt")
    spoil(pd.read_csv("one/predictions.csv", keep_default_na=False)).to_csv("spoilt/predictions.csv", index=False)
    ended = ssl_pcb_cli("evaluate", "spoilt", "--out", "no")
    assert ended.code == 2
    assert line in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not Path("no").exists()


@pytest.mark.parametrize(
    ("file", "lost"), [("run.json", "data"), ("summary.json", "reports"), ("summary.json", "marks")]
)
def test_damaged_records_are_refused_in_a_line(runs, ssl_pcb_cli, file, lost):
    shutil.rmtree("damaged", ignore_errors=True)
    shutil.copytree("one", "damaged")
    record = json.loads(Path("damaged", file).read_text())
    del record[lost]
    Path("damaged", file).write_text(json.dumps(record))
    for command in (("evaluate", "damaged", "--out", "no"), ("report", "damaged", "-o", "no.html")):
        ended = ssl_pcb_cli(*command)
        assert ended.code == 2
        assert "damaged: its run.json or summary.json is damaged" in ended.err


def test_a_validation_set_without_defects_is_told_how_many_it_takes(runs, ssl_pcb_cli):
    shutil.copytree("one", "clean")
    predictions = pd.read_csv("one/predictions.csv", keep_default_na=False)
    predictions[predictions["label"].eq("NonDefective")].to_csv("clean/predictions.csv", index=False)
    changed_record("clean", lambda record: record["data"]["splits"]["val"].update(Defective=0))
    ended = ssl_pcb_cli("evaluate", "clean", "--max-escape", 0.01, "--out", "no")
    assert "takes at least 299 Defective images in validation, and there are 0; label more, or pass" in ended.err


def test_a_comparison_has_tests_and_paired_intervals(runs, ssl_pcb_cli):
    assert ssl_pcb_cli("compare", "one", "two", "--out", "compared.json").code == 0
    found = json.loads(Path("compared.json").read_text())
    tables = [pd.read_csv(f"{run}/predictions.csv").query("split == 'val'") for run in ("one", "two")]
    values = [average_precision_score(table["label"].eq("Defective"), table["score"]) for table in tables]
    difference = found["differences"]["average_precision"]
    assert difference["value"] == pytest.approx(values[1] - values[0])
    assert difference["low"] <= difference["value"] <= difference["high"]
    wrong = [(table["verdict"] != table["label"]).to_numpy() for table in tables]
    assert found["mcnemar"]["all"]["first_alone"] == (wrong[0] & ~wrong[1]).sum()
    record = Path("one/run.json").read_bytes()
    ended = ssl_pcb_cli("compare", "one", "two", "--out", "one/run.json")
    assert (ended.code, Path("one/run.json").read_bytes()) == (2, record)
    assert "one/run.json: exists already" in ended.err


def test_a_balanced_report_has_as_many_of_either_class_at_the_same_threshold(runs, ssl_pcb_cli):
    manifest = Manifest.read("m.csv")
    manifest.select(manifest.frame["label"].eq("NonDefective") | (manifest.frame.index % 3 == 0)).write("rare.csv")
    for run, seed in {"rare-one": 0, "rare-two": 1}.items():
        keys = KEYS | {"data.manifest": "rare.csv", "training.epochs": 1, "runtime.seed": seed}
        run_stage("finetune", None, keys | {"runtime.out": run}, resume=False)
    val = pd.read_csv("rare-one/predictions.csv").query("split == 'val'")
    defective = int(val["label"].eq("Defective").sum())
    assert 0 < defective < len(val) / 2
    ended = {
        name: ssl_pcb_cli("evaluate", "rare-one", "--best-f1", "--test-balance", name, "--out", f"rare-{name}")
        for name in ("natural", "balanced")
    }
    natural, balanced = read("rare-natural"), read("rare-balanced")
    assert "(which chose it), balanced classes" in ended["balanced"].out
    assert balanced["low"] == natural["low"]
    assert balanced["calibration"]["parameters"] == natural["calibration"]["parameters"]
    of = balanced["operating"]["validation"]["rates"]["image"]
    assert of["escape"]["samples"] == of["false_call"]["samples"] == defective
    assert natural["operating"]["validation"]["rates"]["image"]["false_call"]["samples"] == len(val) - defective
    ssl_pcb_cli("compare", "rare-one", "rare-two", "--test-balance", "balanced", "--out", "rare.json")
    found = json.loads(Path("rare.json").read_text())
    assert (found["samples"], found["test_balance"]) == (2 * defective, "balanced")


def test_scores_as_log_odds_are_corrected_for_what_the_sampler_showed(runs, ssl_pcb_cli):
    manifest = Manifest.read("m.csv")
    rare = (
        manifest.frame["split"].eq("train") & manifest.frame["label"].eq("Defective") & (manifest.frame.index % 3 > 0)
    )
    manifest.select(~rare).write("rare.csv")
    keys = KEYS | {"runtime.out": "over", "data.manifest": "rare.csv", "sampler.name": "epoch_undersample"}
    run_stage("finetune", None, keys | {"sampler.ratio": 2.0}, resume=False)
    shown = 1 / 3
    flags = ("--calibration", "none", "--defect-rate", 0.1, "--out", "plain")
    assert ssl_pcb_cli("evaluate", "over", *flags).code == 0
    verdicts = pd.read_csv("plain/verdicts.csv")
    odds = np.exp(verdicts["score"]) * (1 - shown) / shown * 0.1 / 0.9
    assert verdicts["probability"].to_numpy() == pytest.approx((odds / (1 + odds)).to_numpy())
    for number, keys in enumerate(
        (
            {"loss.name": "focal"},
            {"loss.class_weights": "balanced"},
            {"augment.name": "mixup"},
            {"augment.name": "augmix"},
        )
    ):
        run_stage("finetune", None, KEYS | keys | {"runtime.out": f"no-odds-{number}"}, resume=False)
        ended = ssl_pcb_cli("evaluate", f"no-odds-{number}", "--calibration", "none", "--out", "no")
        assert "whose scores are no log-odds; choose platt" in ended.err
        assert not Path("no").exists()


def test_what_is_unlike_all_training_images_goes_to_a_person(runs, ssl_pcb_cli):
    middle = pd.read_csv("one/predictions.csv").query("split == 'val'")["score"].max() + 1e-6
    flags = ("--threshold", middle, "--unfamiliar", 0.5, "--out", "unfamiliar")
    assert ssl_pcb_cli("evaluate", "one", *flags).code == 0
    found, verdicts = read("unfamiliar"), pd.read_csv("unfamiliar/verdicts.csv")
    assert verdicts["unfamiliar"].sum() == 6
    expected = np.where(verdicts["score"] >= middle, "NG", np.where(verdicts["unfamiliar"], "REVIEW", "OK"))
    assert verdicts["verdict"].tolist() == expected.tolist()
    defective = verdicts["label"].eq("Defective")
    escape = found["operating"]["validation"]["rates"]["image"]["escape"]
    assert escape["errors"] == (defective & verdicts["verdict"].eq("OK")).sum()
    stopped = found["operating"]["validation"]["rates"]["image"]["false_call"]
    assert stopped["errors"] == (~defective & verdicts["verdict"].eq("NG")).sum()
    assert found["operating"]["validation"]["review_per_1000"] == pytest.approx(500)
    # Pictures of another kind are unlike anything in training.
    rng, rows = np.random.default_rng(0), []
    Path("noise").mkdir(exist_ok=True)
    for number in range(10):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(f"noise/{number}.png")
        rows.append({"path": f"noise/{number}.png", "label": LABELS[number % 2], "group": "noise"})
    Manifest.build(rows, Path.cwd()).write("noise.csv")
    flags = ("--threshold", 1000, "--unfamiliar", 0.1, "--data", "noise.csv", "--out", "noisy")
    assert ssl_pcb_cli("evaluate", "one", *flags).code == 0
    assert pd.read_csv("noisy/verdicts.csv")["verdict"].eq("REVIEW").mean() > 0.5  # of validation it is a tenth


def test_the_gap_to_new_boards_names_what_was_planted(runs, ssl_pcb_cli):
    assert ssl_pcb_cli("evaluate", "one", "--gap", "--out", "gap").code == 0
    found = read("gap")["gap"]
    val = pd.read_csv("one/predictions.csv").query("split == 'val'")
    assert found["auroc"]["val"] == pytest.approx(roc_auc_score(val["label"].eq("Defective"), val["score"]))
    assert found["copied_images"] == 0
    assert found["board_shift"].keys() == {"val"}
    looked = ssl_pcb_cli("evaluate", "one", "--gap", "--test", "--out", "gap-test")
    falls, found = read("gap-test")["gap"]["board_shift"], read("gap-test")["gap"]
    assert falls["test"]["value"] == pytest.approx(found["auroc"][found["shift_from"]] - found["auroc"]["test"])
    assert falls["val"] != falls["test"]
    assert "against test boards): AUROC falls by" in looked.out


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("brighter", lambda picture: picture.point(lambda value: min(255, value + 6))),
        ("turned", lambda picture: picture.transpose(Image.Transpose.ROTATE_90)),
        ("mirrored", lambda picture: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)),
    ],
)
def test_validation_images_that_nearly_equal_training_images_are_leakage(runs, ssl_pcb_cli, name, copy):
    frame = Manifest.read("m.csv").frame
    copies, rows = Path(name), []
    copies.mkdir()
    for number, row in enumerate(frame[frame["split"].eq("train")].head(12).to_dict("records")):
        with Image.open(row["path"]) as picture:
            copy(picture).save(copies / f"{number}.png")
        rows.append({"path": f"{name}/{number}.png", "label": row["label"], "group": "new", "split": "val"})
    kept = frame[frame["split"].ne("val")].to_dict("records")
    Manifest.build([*kept, *rows], Path.cwd()).write(f"{name}.csv")
    run_stage("finetune", None, KEYS | {"runtime.out": f"of-{name}", "data.manifest": f"{name}.csv"}, resume=False)
    ended = ssl_pcb_cli("evaluate", f"of-{name}", "--gap", "--out", f"gap-{name}")
    found = read(f"gap-{name}")["gap"]
    assert found["copied_images"] > 0.8
    assert found["causes"][0] == "leakage"
    assert "likeliest cause: leakage" in ended.out


def test_robustness_stands_in_a_folder_of_its_own(runs, ssl_pcb_cli):
    ended = ssl_pcb_cli("evaluate", "one", "--max-escape", 0.4, "--robustness", "--out", "hard")
    assert ended.code == 0, ended.err
    assert json.loads(Path("hard/robustness/audit.json").read_text())["audit"] == "robustness"
    point, hard = read("hard"), json.loads(Path("hard/robustness/robustness.json").read_text())["settings"]
    assert hard["threshold"] == pytest.approx(point["low"])
    assert point["low"] != pytest.approx(
        json.loads(Path("one/summary.json").read_text())["reports"]["val"]["threshold"]
    )


def tiled(manifest, side=16):
    """Each image of 32 px as four labelled tiles."""
    rows = []
    for sample, row in zip(manifest, manifest.frame.to_dict("records"), strict=True):
        for crop in tile_grid(32, 32, side):
            held = [box for box in sample.boxes if box_share(box, crop) >= 0.5]
            kept = {"label": LABELS[bool(held)], "crop": format_boxes([crop]), "boxes": format_boxes(sample.boxes)}
            rows.append({key: row[key] for key in ("path", "group", "split")} | kept)
    return Manifest.build(rows, manifest.root)


def test_whole_images_are_judged_by_windows_that_leave_nothing_out(runs, ssl_pcb_cli):
    manifest = Manifest.read("m.csv")
    val = manifest.split("val")
    boxes = sum(len(sample.boxes) for sample in val)
    for threshold, missed in ((-1000, 0), (1000, boxes)):
        out = f"panels{threshold}"
        ended = ssl_pcb_cli("evaluate", "tiles", "--threshold", threshold, "--panels", "--out", out)
        assert ended.code == 0, ended.err
        table, figures = pd.read_csv(f"{out}/panels.csv"), read(out)["panels"]
        assert ended.out.splitlines()[-2].endswith(
            "verdicts.csv, panels.csv, operating_point.png and reliability.png beside it"
        )
        assert table["windows"].tolist() == [9] * len(val)
        assert (figures["boxes"], figures["missed"]) == (boxes, missed)
        assert figures["missed_bound_over_images"] == (1.0 if missed else None)
        assert figures["good_images"] == val.frame["label"].eq("NonDefective").sum()
        assert figures["good_images_stopped"] == (figures["good_images"] if threshold < 0 else 0)
    assert "defect boxes are missed" in ended.out
    looks = len(ledger())
    ended = ssl_pcb_cli("evaluate", "one", "--panels", "--test", "--out", "no")
    assert "one: was trained on whole images" in ended.err
    assert (Path("no").exists(), len(ledger())) == (False, looks)


def test_whole_images_are_judged_where_the_run_skipped_a_bad_file(runs, ssl_pcb_cli):
    frame = Manifest.read("tiles.csv").frame
    spoilt = frame["path"][frame["split"].eq("val")].iloc[0]
    Path("spoilt.png").write_bytes(b"no picture")
    frame.assign(path=frame["path"].replace(spoilt, "spoilt.png")).to_csv("some.csv", index=False)
    keys = {"runtime.out": "skipped", "data.manifest": "some.csv", "data.skip_bad": True}
    run_stage("finetune", None, KEYS | keys, resume=False)
    ended = ssl_pcb_cli("evaluate", "skipped", "--panels", "--out", "panels-skipped")
    assert ended.code == 0, ended.err
    judged = set(pd.read_csv("panels-skipped/panels.csv")["path"])
    assert judged == set(frame["path"][frame["split"].eq("val")]) - {spoilt}


def test_boxes_of_dropped_tiles_are_counted_where_the_manifest_has_them(runs, ssl_pcb_cli):
    whole = Manifest.read("m.csv").split("test")
    boxes = dict(zip(whole.frame["path"], whole.frame["boxes"], strict=True))
    count = sum(len(sample.boxes) for sample in whole)
    # As if every tile that shows a box had been dropped; a manifest to judge needs both labels.
    frame = tiled(whole).frame.drop_duplicates("path", ignore_index=True).assign(boxes="", split="")
    frame["label"] = [LABELS[row % 2] for row in range(len(frame))]
    called_good = frame["label"].eq("NonDefective")
    good = (called_good & frame["path"].map(boxes).eq("")).sum()
    for name, more, expected in (
        ("old", {}, (0, 0, None, called_good.sum())),
        ("new", {"untiled_boxes": [boxes[path] for path in frame["path"]]}, (count, count, count, good)),
    ):
        Manifest(frame.assign(**more), whole.root).write(f"{name}.csv")
        flags = ("--threshold", 1000, "--panels", "--data", f"{name}.csv", "--out", f"panels-{name}")
        ended = ssl_pcb_cli("evaluate", "tiles", *flags)
        assert ended.code == 0, ended.err
        figures = read(f"panels-{name}")["panels"]
        assert tuple(figures[key] for key in ("boxes", "missed", "untiled", "good_images")) == expected
        assert (f"{count} of the boxes lie in no tile of the manifest" in ended.out) == bool(more)
        assert ("are not in this manifest, so they are not counted" in ended.out) == (not more)


@pytest.fixture(scope="module")
def new_boards(runs):
    """Whole images of other boards with their boxes, all of no split: 8 of each class."""
    found = Manifest.read(synthesize(Path("new"), boards=4, images_per_board=4, image_size=64, seed=7))
    frame = found.frame.assign(split="", group="new-" + found.frame["group"].astype(str))
    return Manifest(frame, found.root)


def test_whole_images_of_another_manifest_are_judged_by_windows_and_not_as_tiles(runs, new_boards, ssl_pcb_cli):
    frame = new_boards.frame
    good = frame["label"].eq("NonDefective")
    # One Defective image has lost its boxes, one good image its label: neither is known to be good.
    lost = frame.index == (~good).idxmax()
    frame = frame.assign(**{column: frame[column].mask(lost, "") for column in ("boxes", "types")})
    frame["label"] = frame["label"].where(frame.index != good.idxmax(), "")
    Manifest(frame, new_boards.root).write("whole.csv")
    ended = ssl_pcb_cli("evaluate", "tiles", "--data", "whole.csv", "--out", "as-tiles")
    assert (ended.code, Path("as-tiles").exists()) == (2, False)
    assert "whole.csv: holds images, and tiles judges tiles; --panels cuts them into windows" in ended.err
    ended = ssl_pcb_cli(
        "evaluate", "tiles", "--threshold", -1000, "--panels", "--data", "whole.csv", "--out", "as-panels"
    )
    assert ended.code == 0, ended.err
    found = read("as-panels")
    assert (found["reported_on"], found["panels_of"]) == ("validation", "whole.csv")
    assert "the rates per tile are of validation; of whole.csv whole images alone were judged" in ended.out
    assert (found["panels"]["images"], found["panels"]["unplaced_images"]) == (len(frame), 2)
    assert found["panels"]["good_images"] == found["panels"]["good_images_stopped"] == good.sum() - 1
    assert f"2 of the {len(frame)} have no box and are not labelled NonDefective" in ended.out
    tiled(new_boards, side=16).write("new-tiles.csv")
    ended = ssl_pcb_cli("evaluate", "one", "--data", "new-tiles.csv", "--out", "as-images")
    assert "new-tiles.csv: holds tiles, and one judges images" in ended.err


def test_good_panels_alone_tell_how_many_are_stopped(runs, new_boards, ssl_pcb_cli):
    new_boards.select(new_boards.frame["label"].eq("NonDefective")).write("good.csv")
    ended = ssl_pcb_cli("evaluate", "tiles", "--threshold", 1000, "--panels", "--data", "good.csv", "--out", "good")
    assert ended.code == 0, ended.err
    figures = read("good")["panels"]
    assert (figures["images"], figures["good_images_stopped"], figures["boxes"]) == (figures["good_images"], 0, 0)


def test_panels_are_none_that_the_run_was_trained_on(runs, new_boards, ssl_pcb_cli):
    """Those of its own splits are left out; under no split they are refused."""
    own = Manifest.read("m.csv")
    both = pd.concat(
        [
            own.frame.assign(path=[str(own.root / path) for path in own.frame["path"]]),
            new_boards.frame.assign(path=[str(new_boards.root / path) for path in new_boards.frame["path"]]),
        ]
    )
    Manifest(both[both["split"].ne("test")].reset_index(drop=True), Path()).write("both.csv")
    flags = ("--threshold", 0, "--panels", "--data", "both.csv", "--out")
    assert ssl_pcb_cli("evaluate", "tiles", *flags, "both").code == 0
    assert read("both")["panels"]["images"] == len(new_boards.frame)
    Manifest(both.assign(split="").reset_index(drop=True), Path()).write("both.csv")
    ended = ssl_pcb_cli("evaluate", "tiles", *flags, "both-again")
    assert ended.code == 2
    assert "was trained on boards" in ended.err


def test_a_look_at_the_runs_own_test_panels_under_another_name_is_recorded(runs, ssl_pcb_cli):
    own, before = Manifest.read("m.csv").split("test"), len(ledger())
    Manifest(own.frame.assign(split=""), own.root).write("renamed.csv")
    flags = ("--threshold", 0, "--panels", "--data", "renamed.csv", "--out", "renamed")
    assert ssl_pcb_cli("evaluate", "tiles", *flags).code == 0
    touch = ledger().iloc[-1]
    assert len(ledger()) == before + 1
    assert touch["purpose"].startswith("whole images at the operating point")


def test_samples_of_another_size_than_training_knew_are_refused(runs, new_boards, ssl_pcb_cli):
    big = Manifest.read(synthesize(Path("big"), boards=3, images_per_board=4, image_size=96, seed=3))
    Manifest(big.frame.assign(split="", group="big-" + big.frame["group"].astype(str)), big.root).write("big.csv")
    ended = ssl_pcb_cli("evaluate", "one", "--data", "big.csv", "--out", "big-out")
    assert ended.code == 2
    assert (
        "big.csv: has images of 96 to 96 px on a side, and those that one was trained on have 32 to 32 px" in ended.err
    )


def test_a_defect_in_no_tile_makes_its_image_defective():
    frame = pd.DataFrame({
        "score": [-1.0, -1.0, 1.0, -1.0], "label": ["NonDefective", "NonDefective", "Defective", "NonDefective"],
        "path": list("aabc"), "group": list("xxyz"), "types": [""] * 4, "untiled_boxes": ["1 2 3 4", "1 2 3 4", "", ""],
    })  # fmt: skip
    rates = operate(frame, ThreeWay(0.0, 0.0), "tile", 0.1).rates
    counted = {unit: [(rate.errors, rate.samples) for rate in pair] for unit, pair in rates.items()}
    assert counted == {"tile": [(0, 1), (0, 3)], "image": [(1, 2), (0, 1)], "board": [(1, 2), (0, 1)]}


def test_robustness_that_cannot_be_measured_leaves_no_evaluation(runs, ssl_pcb_cli):
    shutil.copytree("one", "no-weights")
    Path("no-weights/backbone.safetensors").unlink()
    ended = ssl_pcb_cli("evaluate", "no-weights", "--robustness", "--out", "no-weights/point")
    assert (ended.code, Path("no-weights/point").exists()) == (2, False)


def changed_record(run, change):
    file = Path(run, "run.json")
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("run", "manifest", "flags"),
    [
        ("one", "m.csv", ("--gap",)),
        ("one", "m.csv", ("--test",)),
        ("one", "m.csv", ("--unfamiliar", 0.1)),
        ("tiles", "tiles.csv", ("--panels",)),
    ],
)
def test_data_that_have_changed_since_are_not_judged_by_old_rows(runs, ssl_pcb_cli, run, manifest, flags):
    kept, changed = Path(manifest).read_bytes(), Manifest.read(manifest)
    Manifest(changed.frame.iloc[1:].reset_index(drop=True), changed.root).write(manifest)
    ended = ssl_pcb_cli("evaluate", run, *flags, "--out", "refused")
    Path(manifest).write_bytes(kept)
    assert ended.code == 2
    assert f"{manifest}: has changed since {run} was made" in ended.err
    assert not Path("refused").exists()


def relabelled_manifest(*splits):
    """``m.csv`` with the first label of each split turned over; returns what it was."""
    kept, manifest = Path("m.csv").read_bytes(), Manifest.read("m.csv")
    labels = manifest.frame["label"].tolist()
    for split in splits:
        row = manifest.frame["split"].tolist().index(split)
        labels[row] = LABELS[labels[row] == LABELS[0]]
    Manifest(manifest.frame.assign(label=labels), manifest.root).write("m.csv")
    return kept


def test_labels_that_have_changed_since_are_not_counted_as_they_were(runs, ssl_pcb_cli):
    judged = len(pd.read_csv("one/predictions.csv"))
    kept = relabelled_manifest("val", "holdout")
    refused = ssl_pcb_cli("evaluate", "one", "--out", "refused")
    manifest = Manifest.read("m.csv")
    manifest.select(manifest.frame["split"].eq("test")).write("elsewhere.csv")
    warned = ssl_pcb_cli("evaluate", "one", "--data", "elsewhere.csv", "--out", "by-others")
    compared = ssl_pcb_cli("compare", "two", "one")
    Path("m.csv").write_bytes(kept)
    assert (refused.code, compared.code) == (2, 2)
    assert "samples that two judged are labelled otherwise today, or gone; make the run anew\n" in compared.err
    assert refused.err == (
        f"ssl-pcb: error: m.csv: 2 of the {judged} samples that one judged are labelled otherwise today, or gone; make "
        "the run anew, or name with --data what to judge by the labels of today\n"
    )
    assert not Path("refused").exists()
    assert warned.code == 0, warned.err
    assert "m.csv: 1 of the 12 validation samples that choose the threshold are labelled otherwise" in warned.out


def test_labels_that_nothing_was_judged_by_may_change_and_rows_may_move(runs, ssl_pcb_cli):
    kept = relabelled_manifest("train")
    manifest = Manifest.read("m.csv")
    moved = manifest.frame.iloc[::-1].reset_index(drop=True)
    moved["path"] = [str(manifest.root / path) for path in moved["path"]]
    moved.to_csv("m.csv", index=False)
    ended = ssl_pcb_cli("evaluate", "one", "--out", "moved")
    Path("m.csv").write_bytes(kept)
    assert ended.code == 0, ended.err


def test_data_that_are_gone_are_missed_but_not_needed(runs, ssl_pcb_cli):
    shutil.copytree("one", "alone")
    changed_record("alone", lambda record: record["data"].update(manifest="gone.csv"))
    ended = ssl_pcb_cli("evaluate", "alone", "--out", "alone-point")
    assert ended.code == 0, ended.err
    assert "gone.csv: is not here, so whether its labels are still those of alone is not known" in ended.out


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("nowhere",), "nowhere: is no folder of a finished"),
        (("one", "--max-escape", 0.01), "at least 299 Defective images"),
        (("one", "--max-escape", 1.5), "--max-escape: 1.5 is no share"),
        (("one", "--cost-escape", 3), "give both"),
        (("one", "--cost-escape", 3, "--cost-false-call", 1), "--defect-rate"),
        (("one", "--defect-rate", 0), "--defect-rate: 0 is no share"),
        (("one", "--best-f1", "--threshold", 1), "each chooses a threshold"),
        (("one", "--threshold", "nan"), "--threshold: nan"),
        (("one", "--data", "m.csv", "--test"), "--data and --test: each names what to report on"),
        (("one", "--holdout", "--test"), "--test and --holdout: each names what to report on"),
        (("single-split", "--holdout"), "has judged no images of training boards that were kept apart"),
        (("nan",), "1 of 12 scores are NaN"),
        (("single",), "no sample is Defective"),
        (("half",), "and 0 Defective validation samples, and the run judged 6 NonDefective and 6 Defective"),
        (("folds", "--test"), "a crossval run has no network to score with; evaluate a finetuning"),
        (("one", "--as", "point"), "--as: says how a budget is meant"),
        (("one", "--gap", "--data", "m.csv"), "--gap: is the fall to the run's own validation and test boards"),
        (("one", "--seed", -1), "-1 is not in the range"),
        (("two", "--test", "--unfamiliar", 1.5), "--unfamiliar: 1.5 is no share"),
        (("probe", "--test", "--unfamiliar", 0.1), "--unfamiliar needs the network of a finetuning"),
        (("probe", "--test", "--gap"), "--gap needs the network of a finetuning"),
        (("probe", "--test", "--calibration", "none"), "--calibration none: probe is no finetuning"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(runs, ssl_pcb_cli, flags, line):
    looks = len(ledger())
    shutil.copytree("two", "probe", dirs_exist_ok=True)
    shutil.copy("two/predictions.csv", "probe/checkpoint_predictions.csv")
    changed_record("probe", lambda record: record.update(stage="linear-eval"))
    for name in ("nan", "single", "single-split", "half", "folds"):
        shutil.copytree("one", name, dirs_exist_ok=True)
    table = pd.read_csv("one/predictions.csv")
    scores = table["score"].where(table.index != table.index[table["split"].eq("val")][0])
    table[table["split"].eq("val")].assign(score=scores).to_csv("nan/predictions.csv", index=False)
    table.query("split == 'val'").to_csv("single-split/predictions.csv", index=False)
    table.assign(label="NonDefective").to_csv("single/predictions.csv", index=False)
    changed_record("single", lambda record: record["data"]["splits"].update(val={"NonDefective": 12, "Defective": 0}))
    table[table["label"].eq("NonDefective")].to_csv("half/predictions.csv", index=False)
    table.assign(threshold=0.0).to_csv("folds/predictions.csv", index=False)
    changed_record("folds", lambda record: record.update(stage="crossval"))
    Path("folds/config.yaml").write_text("data: {manifest: m.csv}\n")
    ended = ssl_pcb_cli("evaluate", *flags, "--out", "refused")
    assert ended.code == 2
    assert line in ended.err
    assert len(ended.err.splitlines()) == 1
    assert (Path("refused").exists(), len(ledger())) == (False, looks)


def test_runs_on_other_data_are_not_compared(runs, ssl_pcb_cli):
    manifest = Manifest.read("m.csv")
    flipped = manifest.frame["label"].where(manifest.frame.index != 0, manifest.frame["label"].iloc[1])
    Manifest(manifest.frame.assign(label=flipped), manifest.root).write("flipped.csv")
    run_stage("finetune", None, KEYS | {"runtime.out": "other", "data.manifest": "flipped.csv"}, resume=False)
    ended = ssl_pcb_cli("compare", "one", "other")
    assert ended.code == 2
    assert "was judged on other data than one" in ended.err
    ended = ssl_pcb_cli("compare", "one", "two", "--split", "test")
    assert "one: has no predictions of split 'test'" in ended.err
