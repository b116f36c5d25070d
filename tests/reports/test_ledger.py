import csv
import subprocess
import sys

import pytest

from ssl_pcb.errors import UserError
from ssl_pcb.reports import ledger
from ssl_pcb.reports.ledger import COLUMNS, record_test_touch

ROW = {"command": "linear-eval", "run": "runs/a", "auroc": "0.91", "boards": "44000 77000"}


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_rows_are_appended_to_every_ledger_under_one_header(tmp_path):
    ledgers = [tmp_path / "run" / "test_ledger.csv", tmp_path / "results" / "test_ledger.csv"]
    record_test_touch(ledgers, ROW)
    record_test_touch(ledgers, {**ROW, "run": "runs/b", "time": "2030-01-01T00:00:00+00:00"})
    for path in ledgers:
        first, second = read(path)
        assert tuple(first) == COLUMNS
        assert first["run"] == "runs/a"
        assert first["time"].endswith("+00:00")
        assert (second["run"], second["time"]) == ("runs/b", "2030-01-01T00:00:00+00:00")
        assert first["purpose"] == ""
        assert [file.name for file in path.parent.iterdir()] == ["test_ledger.csv"]


def test_untrusted_text_stays_one_row_and_no_formula(tmp_path):
    path = tmp_path / "l.csv"
    purpose = '=HYPERLINK("http://x")\n2,"y'
    record_test_touch([path], {"purpose": purpose, "data": "-1+1", "auroc": "-0.5", "split": "\ud800"})
    (row,) = read(path)
    assert row["purpose"] == '\'=HYPERLINK("http://x") 2,"y'
    assert row["data"] == "'-1+1"
    assert row["auroc"] == "-0.5"
    assert len(path.read_bytes().splitlines()) == 2


def test_runs_that_write_at_once_lose_and_tear_nothing(tmp_path):
    path = tmp_path / "l.csv"
    code = (
        "import sys; from pathlib import Path; from ssl_pcb.reports.ledger import record_test_touch\n"
        "for n in range(50):\n"
        "    record_test_touch([Path(sys.argv[1])], {'run': f'{sys.argv[2]}-{n}' + 'x' * 3000})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)]) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    rows = read(path)
    assert {row["run"].rstrip("x") for row in rows} == {f"{w}-{n}" for w in range(3) for n in range(50)}
    assert len(rows) == 150
    assert all(row["time"] for row in rows)


def test_another_file_is_not_written_into(tmp_path):
    other = tmp_path / "notes.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"notes\.csv"):
        record_test_touch([other], ROW)
    assert other.read_text() == "a,b\n1,2\n"


def test_a_ledger_that_cannot_be_made_and_an_unknown_column_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        record_test_touch([tmp_path / "file" / "l.csv"], ROW)
    with pytest.raises(ValueError, match="accuracy"):
        record_test_touch([tmp_path / "l.csv"], {"accuracy": "1"})


def test_a_run_that_saw_no_ledger_a_moment_too_long_keeps_the_other_ones_row(tmp_path):
    record_test_touch([tmp_path / "l.csv"], ROW)
    ledger._create(tmp_path / "l.csv")
    assert [row["run"] for row in read(tmp_path / "l.csv")] == ["runs/a"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_system_without_hard_links_gets_its_ledger_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(ledger.os, "link", refuse)
    record_test_touch([tmp_path / "l.csv"], ROW)
    ledger._create(tmp_path / "l.csv")
    assert [row["run"] for row in read(tmp_path / "l.csv")] == ["runs/a"]
