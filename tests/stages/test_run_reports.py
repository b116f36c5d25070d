"""What the report tells of each stage, and what it refuses; without a browser."""

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import SMALL, data_of

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.operating import operate
from ssl_pcb.reports.saved import read_saved

DIFFERENCE = r'<b>([+-][^<]+)</b><span class="interval">([^<]+)</span></td><td class="after">([^<]+)<'
KEYS = SMALL | {"resamples": 100, "checkpoint": "none"}


@pytest.fixture(scope="module")
def runs(workplace):
    """``fine`` and ``other`` (another seed), ``pre`` and ``probe`` on it, ``folds``; all on one manifest."""
    run_stage("finetune", None, KEYS | {"runtime.out": "fine"}, resume=False)
    run_stage("finetune", None, KEYS | {"runtime.out": "other", "runtime.seed": 1}, resume=False)
    pretrain = {"method.hidden_dim": 16, "method.output_dim": 8, "runtime.out": "pre"}
    run_stage("pretrain", None, SMALL | pretrain, resume=False)
    run_stage(
        "linear-eval", None, {**KEYS, "checkpoint": "pre", "runtime.out": "probe", "fractions": [1.0]}, resume=False
    )
    run_stage("crossval", None, KEYS | {"runtime.out": "folds", "folds": 2}, resume=False)
    return workplace


def report(cli, *runs, out):
    ended = cli("report", *runs, "-o", out, "--device", "cpu", "--resamples", 100)
    assert ended.code == 0, ended.err
    return data_of(Path(out)), Path(out).read_text(encoding="utf-8")


def test_each_stage_ends_by_naming_its_report(workplace, ssl_pcb_cli):
    sets = [f"--set={key}={value}" for key, value in (SMALL | {"training.epochs": 1}).items() if key != "data.manifest"]
    ended = ssl_pcb_cli("pretrain", "--data", "m.csv", "--out", "a run", *sets, "--set=method.hidden_dim=8")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "look at it: ssl-pcb report 'a run' -o 'a run/report.html'"


def test_a_finetuning_shows_its_errors_worst_first_with_heat_maps_and_neighbours(runs, ssl_pcb_cli):
    data, text = report(ssl_pcb_cli, "fine", out="fine.html")
    (run,) = data["runs"]
    saved = read_saved(Path("fine"))
    val = saved.frame[saved.frame["split"].eq("val")]
    judged = {each["row"]: each for each in run["samples"] if "score" in each}
    assert {row: each["score"] for row, each in judged.items()} == dict(zip(val["row"], val["score"], strict=True))
    defective, called = val["label"].eq("Defective"), val["score"].ge(saved.threshold)
    expected = {
        "misses": val[defective & ~called].sort_values("score")["row"].tolist(),
        "false_calls": val[~defective & called].sort_values("score", ascending=False)["row"].tolist(),
        "caught": val[defective & called].sort_values("score")["row"].tolist(),
    }
    told = {kind: [run["samples"][number]["row"] for number in numbers] for kind, numbers in run["told"].items()}
    assert told == expected
    frame = Manifest.read("m.csv").frame
    for number in (number for numbers in run["told"].values() for number in numbers):
        sample = run["samples"][number]
        assert sample["heat"].startswith("data:image/webp")
        near = [run["samples"][each]["row"] for each in sample["near"]]
        assert len(near) == 5
        assert frame.loc[near, "split"].eq("train").all()
    assert "What training made of the images" in text
    assert "never on both sides of a split" in text


def test_boxes_lie_where_the_manifest_has_them(runs, ssl_pcb_cli):
    data, _ = report(ssl_pcb_cli, "fine", out="boxes.html")
    manifest = Manifest.read("m.csv")
    boxed = [each for each in data["runs"][0]["samples"] if each["boxes"]]
    assert boxed
    for each in boxed:
        ((x1, y1, x2, y2), *_) = manifest.sample(each["row"]).boxes  # of images of 32 px, shown at 32 px
        assert each["boxes"][0] == pytest.approx([x1 / 32, y1 / 32, (x2 - x1) / 32, (y2 - y1) / 32], abs=1e-3)


def test_the_bounds_it_holds_are_those_of_evaluate(runs, ssl_pcb_cli):
    data, _ = report(ssl_pcb_cli, "fine", out="bounds.html")
    saved = read_saved(Path("fine"))
    val = saved.split("val").frame
    for threshold in np.quantile(val["score"], (0, 0.3, 0.7, 1)):
        found = operate(val, ThreeWay(threshold, threshold), "image", 0.5, resamples=100)
        for unit in data["runs"][0]["operating"]["units"]:
            escape, false_call = found.rates[unit["name"]]
            assert len(unit["defective"]) == escape.samples
            assert sum(score < threshold for score in unit["defective"]) == escape.errors
            assert unit["bounds"][1][escape.errors] == pytest.approx(escape.bound, abs=1e-6)
            assert unit["bounds"][0][false_call.errors] == pytest.approx(false_call.bound, abs=1e-6)


def test_other_stages_show_what_they_have(runs, ssl_pcb_cli):
    data, text = report(ssl_pcb_cli, "pre", out="pre.html")
    (run,) = data["runs"]
    assert run["operating"] is None
    assert run["curves"][0]["title"] == "Loss"
    assert {each["split"] for each in run["samples"]} == {"train", "holdout", "val"}  # never of test boards
    assert all("xy" in each for each in run["samples"])
    data, text = report(ssl_pcb_cli, "probe", out="probe.html")
    assert data["runs"][0]["operating"]["units"][0]["name"] == "image"
    assert "Every probe, on validation" in text
    data, text = report(ssl_pcb_cli, "folds", out="folds.html")
    assert "Each fold" in text
    assert "each fold of a cross-validation has a network of its own" in text
    told = [number for numbers in data["runs"][0]["told"].values() for number in numbers]
    assert all("heat" in data["runs"][0]["samples"][number] for number in told)


def test_differences_are_those_of_compare(runs, ssl_pcb_cli):
    _, text = report(ssl_pcb_cli, "fine", "other", "pre", out="both.html")
    assert "within the noise" in text  # of two seeds on twelve images
    assert ssl_pcb_cli("compare", "fine", "other", "--out", "c.json", "--resamples", 100).code == 0
    said = {each[0]: each[1:] for each in re.findall(DIFFERENCE, html.unescape(text))}
    for each in json.loads(Path("c.json").read_text())["differences"].values():
        interval = f"{each['low']:+.3f} to {each['high']:+.3f}"
        sure = "more than chance" if each["low"] > 0 or each["high"] < 0 else "within the noise"
        assert said[f"{each['value']:+.3f}"] == (interval, sure)


def test_operating_points_and_audits_that_were_made_are_shown(runs, ssl_pcb_cli):
    shutil.copytree("fine", "audited")
    budget = ("--max-escape", 0.4, "--out", "audited/evaluation-1")
    assert ssl_pcb_cli("evaluate", "audited", *budget).code == 0
    assert ssl_pcb_cli("audit", "robustness", "audited", "--out", "audited/robustness", "--device", "cpu").code in (
        0,
        1,
    )
    data, text = report(ssl_pcb_cli, "audited", out="audited.html")
    chosen = [(each["name"], each["low"]) for each in data["runs"][0]["operating"]["chosen"]]
    found = json.loads(Path("audited/evaluation-1/evaluation.json").read_text())
    own = read_saved(Path("fine")).threshold
    assert chosen == [("at most 40 % escape (evaluation-1)", found["low"]), ("the run's own threshold", own)]
    assert "Audit: robustness" in text
    assert "Audit: robustness" not in report(ssl_pcb_cli, "other", out="o.html")[1]  # another run's


def test_what_happens_to_the_images_is_said_once(runs, ssl_pcb_cli):
    ended = ssl_pcb_cli("report", "fine", "other", "-o", "once.html", "--device", "cpu", "--resamples", 100)
    assert ended.code == 0, ended.err
    assert ended.out.count("using the packed pixels") == 1
    assert ended.out.count("samples are") == 1


def test_without_its_pictures_it_still_tells_the_figures(runs, ssl_pcb_cli):
    shutil.copytree("fine", "moved")
    config = Path("moved/config.yaml")
    config.write_text(config.read_text().replace("m.csv", "gone.csv"))
    data, text = report(ssl_pcb_cli, "moved", out="moved.html")
    assert data["runs"][0]["samples"] == []
    assert "No pictures: gone.csv" in text
    assert data["runs"][0]["operating"]["units"][0]["good"]


def test_what_makes_no_sense_is_refused_in_one_line_and_nothing_written(runs, ssl_pcb_cli):
    for name in ("bare", "unfinished"):
        shutil.copytree("fine", name)
    Path("bare/predictions.csv").unlink()
    record = json.loads(Path("unfinished/run.json").read_text())
    Path("unfinished/run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    manifest = Manifest.read("m.csv")
    labels = manifest.frame["label"].where(manifest.frame.index != 0, "NonDefective")
    labels = labels.where(manifest.frame.index != 1, "Defective")
    fewer = manifest.frame.assign(label=labels).drop(index=[2, 3])
    Manifest.build(fewer, manifest.root).write("fewer.csv")
    run_stage("finetune", None, KEYS | {"runtime.out": "strange", "data.manifest": "fewer.csv"}, resume=False)
    for arguments, line in (
        (("nowhere",), "nowhere: is no folder of a finished run"),
        (("unfinished",), "unfinished: is no folder of a finished run"),
        (("bare",), "bare: holds no predictions"),
        (("fine", "bare"), "bare: holds no predictions"),
        (("fine", "strange"), "strange: was judged on other data than fine"),
        (("pre", "strange"), "strange: is of other data than pre"),
        (("fine", "folds"), "was judged on other data than fine"),
        (("fine", "fine"), "names a run twice"),
    ):
        ended = ssl_pcb_cli("report", *arguments, "-o", "refused.html")
        assert ended.code == 2
        assert line in ended.err
        assert len(ended.err.splitlines()) == 1
        assert not Path("refused.html").exists()


def test_review_refuses_what_is_no_audit_of_labels(runs, ssl_pcb_cli):
    empty = Path("no-audit")
    empty.mkdir()
    ended = ssl_pcb_cli("review", empty, "-o", "review.html")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "ssl-pcb: error: no-audit: is no folder of 'ssl-pcb audit labels'; name one that holds audit.json and "
        "suspects.csv"
    ]
    (empty / "audit.json").write_text(json.dumps({"audit": "labels", "facts": {"run": "folds"}, "data": {}}))
    columns = "row,path,crop,label_before,label,suggested_label,suspicion,probability,neighbour_disagreement"
    pd.DataFrame(columns=[*columns.split(","), "neighbour_rows"]).to_csv(empty / "suspects.csv", index=False)
    ended = ssl_pcb_cli("review", empty, "-o", "review.html")
    assert ended.code == 2
    assert "suspects no label; there is nothing to review" in ended.err
    assert not Path("review.html").exists()
