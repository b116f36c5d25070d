"""The run folder when there is no room for its records."""

import json
import logging
from contextlib import suppress

import pytest

from ssl_pcb.errors import UserError
from ssl_pcb.reports.run import open_run, read_run

log = logging.getLogger("ssl_pcb.reports.run")


def fill(folder):
    """Use up the disk to the last byte; returns the file to remove."""
    file = folder / "other"
    with suppress(OSError), file.open("wb", buffering=0) as opened:
        while True:
            opened.write(bytes(1024))
    return file


def test_records_that_cannot_be_written_are_named(disk):
    folder = disk("256k")

    def write_until_full():
        with open_run("pretrain", folder / "run", resume=False) as run:
            run.log_metrics({"epoch": 1})
            fill(folder)
            run.log_metrics({"epoch": 2, "note": "x" * 9000})

    with pytest.raises(UserError, match=r"metrics\.jsonl: cannot be written \(No space.*; free some") as refused:
        write_until_full()
    assert str(refused.value).endswith(f"in {folder / 'run'}")
    assert not list(folder.rglob("*.part"))
    (folder / "other").unlink()
    assert json.loads((folder / "run" / "metrics.jsonl").read_text()) == {"epoch": 1}
    assert read_run(folder / "run")["status"] == "running"  # and so --resume takes it up
    with open_run("pretrain", folder / "run", resume=True) as run:
        run.log_metrics({"epoch": 2})
    assert read_run(folder / "run")["status"] == "finished"


def test_what_ended_the_run_is_told_and_not_that_this_cannot_be_written(disk, capsys):
    folder = disk("256k")

    def fail():
        with open_run("pretrain", folder / "run", resume=False):
            fill(folder)
            for _ in range(99):
                log.info("there is no room for this line " * 99)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_that_cannot_begin_can_be_begun_again(disk):
    folder = disk("256k")
    (folder / "run").mkdir()
    other = fill(folder)
    run = open_run("pretrain", folder / "run", resume=False)
    with pytest.raises(UserError, match=r"run\.json: cannot be written"), run:
        pass
    other.unlink()
    again = open_run("pretrain", folder / "run" / "again", resume=False)
    with again:
        pass
    assert not run._lock.is_locked
    assert read_run(again.folder)["status"] == "finished"
