"""Which audits and operating points are of a run."""

import json
import os

import pytest
from PIL import Image

from ssl_pcb.stages.reporting.found import audits, evaluations, sheets

RECORD = {"data": {"fingerprint": "abc"}}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def audit(folder, name, data=None, of=None, **more):
    folder.mkdir(parents=True)
    facts = {"said": ["it holds"]} | ({"run": str(of)} if of else {})
    found = {"audit": name, "data": {"fingerprint": data}, "passed": True, "findings": [], "facts": facts} | more
    (folder / "audit.json").write_text(json.dumps(found))


def test_audits_of_the_run_or_its_data_are_found_and_others_are_not(run):
    audit(run / "evaluation-1" / "robustness", "robustness", of=run)
    audit(run.parent / "a", "shortcuts", data="abc")
    audit(run.parent / "b", "duplicates", data="other")
    audit(run.parent / "c", "labels", data="abc", of=run.parent / "other run")
    (run.parent / "d").mkdir()
    (run.parent / "d" / "audit.json").write_text("{ damaged")
    assert sorted(each["name"] for each in audits(run, RECORD)) == ["robustness", "shortcuts"]


def test_a_finding_says_what_mends_it_and_its_picture_is_shown(run):
    finding = {"what": "copies", "measure": "share", "value": 0.25, "mend": "split anew"}
    audit(run / "x", "duplicates", passed=False, findings=[finding])
    Image.new("RGB", (30, 20)).save(run / "x" / "pairs.png")
    (found,) = audits(run, RECORD)
    assert not found["passed"]
    assert found["lines"] == ["it holds", "copies: share 0.25. To mend it: split anew"]
    assert found["image"].startswith("data:image/webp")


def test_operating_points_are_named_by_what_they_are_for(run):
    rules = [
        (None, None), ({"name": "EscapeBudget", "limit": 0.01}, None), ({"name": "BestF1"}, None),
        ({"name": "EscapeBudget", "limit": 0.01}, {"name": "FalseCallBudget", "limit": 0.02}),
    ]  # fmt: skip
    for number, (rule, review) in enumerate(rules):
        (run / f"evaluation-{number}").mkdir()
        found = {"rule": rule, "review": review, "low": number, "high": number + 1, "defect_rate": 0.1 * number}
        (run / f"evaluation-{number}" / "evaluation.json").write_text(json.dumps(found))
    assert {each["named"]: each["low"] for each in evaluations(run)} == {
        "the run's own threshold": 0, "at most 1 % escape": 1, "best F1": 2,
        "at most 1 % escape, NG at most 2 % false calls": 3,
    }  # fmt: skip


def test_operating_points_are_the_newest_first_and_of_two_alike_the_newer(run):
    escape, best = {"name": "EscapeBudget", "limit": 0.01}, {"name": "BestF1"}
    for number, rule in enumerate([escape, best, None, escape, None]):
        folder = run / f"evaluation-{number}"
        folder.mkdir()
        found = {"rule": rule, "review": None, "low": number, "high": number, "defect_rate": 0.3}
        (folder / "evaluation.json").write_text(json.dumps(found))
        os.utime(folder / "evaluation.json", (number, number))
    (run / "evaluation-5").mkdir()
    (run / "evaluation-5" / "evaluation.json").write_text("{ damaged")
    assert [each["folder"] for each in evaluations(run)] == ["evaluation-4", "evaluation-3", "evaluation-1"]


def test_sheets_of_the_folder_are_shown(run):
    assert sheets(run) == []
    Image.new("RGB", (30, 20)).save(run / "reconstructions.png")
    assert [each["title"] for each in sheets(run)] == ["Reconstructions"]
