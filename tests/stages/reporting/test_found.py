"""Which audits and operating points are of a run."""

import json
import os

import pytest
from PIL import Image

from ssl_pcb.reports.audit_result import Finding, write_audit
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


def test_a_finding_is_told_as_the_audit_tells_it_and_its_picture_is_shown(run):
    finding = Finding("copies", "share", 0.25, 0.2, 0.3, 0.0, ("a.png",), "split anew")
    (run / "x").mkdir()
    write_audit(run / "x", "duplicates", {}, [finding], {"said": ["it holds"]}, "pairs.png")
    Image.new("RGB", (30, 20)).save(run / "x" / "pairs.png")
    (found,) = audits(run, RECORD)
    assert not found["passed"]
    assert found["lines"] == ["it holds", "finding: copies (share 0.25 [0.2, 0.3], limit 0); to mend: split anew"]
    assert found["image"].startswith("data:image/webp")


def test_what_is_in_another_form_is_no_audit_and_no_picture_of_elsewhere_is_shown(run):
    audit(run / "x", "duplicates", findings=[{"what": "copies"}])
    audit(run / "y", "labels", findings="none")
    audit(run / "w", "labels", facts=None)
    audit(run / "v", "labels", picture="no.png")
    (run / "v" / "no.png").write_text("none")
    audit(run / "z", "next", picture="../elsewhere.png")
    Image.new("RGB", (30, 20)).save(run / "elsewhere.png")
    (found,) = audits(run, RECORD)
    assert (found["name"], found["image"]) == ("next", "")


def test_operating_points_are_named_by_what_they_are_for(run):
    rules = [
        (None, None), ({"name": "EscapeBudget", "limit": 0.01}, None), ({"name": "BestF1"}, None),
        ({"name": "EscapeBudget", "limit": 0.01}, {"name": "FalseCallBudget", "limit": 0.02}),
    ]  # fmt: skip
    for number, (rule, review) in enumerate(rules):
        (run / f"evaluation-{number}").mkdir()
        found = {
            "rule": rule,
            "review": review,
            "low": number,
            "high": number + 1,
            "defect_rate": 0.1 * number,
            **RECORD,
        }
        (run / f"evaluation-{number}" / "evaluation.json").write_text(json.dumps(found))
    assert {each["named"]: each["low"] for each in evaluations(run, "abc")} == {
        "the run's own threshold": 0, "at most 1 % escape": 1, "best F1": 2,
        "at most 1 % escape, NG at most 2 % false calls": 3,
    }  # fmt: skip


def test_operating_points_are_the_newest_first_and_of_two_alike_the_newer(run):
    escape, best = {"name": "EscapeBudget", "limit": 0.01}, {"name": "BestF1"}
    for number, rule in enumerate([escape, best, None, escape, None]):
        folder = run / f"evaluation-{number}"
        folder.mkdir()
        found = {"rule": rule, "review": None, "low": number, "high": number, "defect_rate": 0.3, **RECORD}
        (folder / "evaluation.json").write_text(json.dumps(found))
        os.utime(folder / "evaluation.json", (number, number))
    (run / "evaluation-5").mkdir()
    (run / "evaluation-5" / "evaluation.json").write_text("{ damaged")
    others = [{"low": "<b>"}, {"rule": [1]}, {"defect_rate": None}, {"data": {"fingerprint": "of others"}}, {"data": 1}]
    for number, other in enumerate(others, 6):
        (run / f"evaluation-{number}").mkdir()
        (run / f"evaluation-{number}" / "evaluation.json").write_text(json.dumps(found | other))
    assert [each["folder"] for each in evaluations(run, "abc")] == ["evaluation-4", "evaluation-3", "evaluation-1"]


def test_sheets_of_the_folder_are_shown(run):
    assert sheets(run) == []
    Image.new("RGB", (30, 20)).save(run / "reconstructions.png")
    assert [each["title"] for each in sheets(run)] == ["Reconstructions"]
