"""Two runs on the same samples: which errs less, and is it more than chance?"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.balance import Balance
from ssl_pcb.evaluation.mcnemar import mcnemar
from ssl_pcb.evaluation.paired import Difference, Ranking, paired_balanced_accuracy, paired_difference
from ssl_pcb.reports.run import write_json
from ssl_pcb.reports.saved import Saved, Scored, need_both_classes, read_saved, refuse_other_data
from ssl_pcb.stages.evaluating.labels import refuse_relabelled

log = logging.getLogger(__name__)

FILE = "comparison.json"


def compare(
    first: Path, second: Path, split: str, out: Path | None, *, balance: Balance, resamples: int, seed: int
) -> dict[str, Any]:
    """Compare two runs on the samples of a split that both judged, each at its own threshold.

    Args:
        first: Run folder; differences are of the second to it.
        second: Run folder.
        split: ``val``, ``holdout`` or ``test``.
        out: File to write; ``None`` = none.
        balance: Which samples are counted, see :func:`ssl_pcb.evaluation.balance.counted`.
        resamples: Bootstrap draws.
        seed: Of the draws.

    Returns:
        What was found, as written.

    Raises:
        UserError: If a run has no such predictions, the two judged other data, or these are labelled otherwise today.
    """
    if out is not None and out.exists():
        raise UserError(f"{out}: exists already; name a new file with --out")
    runs = read_saved(first), read_saved(second)
    for run in runs:
        refuse_relabelled(run, None, takes_data=False)
    found = paired_figures(runs, split, balance=balance, resamples=resamples, seed=seed)
    _say(runs, found)
    if out is not None:
        write_json(out, found)
        log.info("written: %s", out)
    return found


def paired_figures(
    runs: tuple[Saved, Saved], split: str, *, balance: Balance = "natural", resamples: int, seed: int
) -> dict[str, Any]:
    """The same of runs that are read already, and nothing is said or written.

    Raises:
        UserError: As :func:`compare`.
    """
    refuse_other_data(*runs)
    scored = _paired(runs, split)
    need_both_classes(scored[0], f"{runs[0].run}: split '{split}'")
    scored = scored[0].counted(balance), scored[1].counted(balance)
    labels, groups, images = scored[0].labels, scored[0].groups, scored[0].images
    called = [each.called for each in scored]
    wrong = [each != (labels == 1) for each in called]
    tests = {
        "all": mcnemar(*wrong),
        "escapes": mcnemar(*(each[labels == 1] for each in wrong)),
        "false calls": mcnemar(*(each[labels == 0] for each in wrong)),
    }
    drawn: dict[str, Any] = {"resamples": resamples, "seed": seed}
    gained: dict[str, Difference] = {
        metric: paired_difference(
            scored[1].scores[None], scored[0].scores[None], labels, groups, images, metric, **drawn
        )
        for metric in get_args(Ranking)
    }
    gained["balanced_accuracy"] = paired_balanced_accuracy(called[1], called[0], labels, groups, images, **drawn)
    return {
        "runs": [str(run.run) for run in runs], "data": runs[0].record["data"], "split": split, "samples": len(labels),
        "test_balance": balance, "unit": runs[0].unit, "thresholds": [run.threshold for run in runs],
        "differences": {name: asdict(each) for name, each in gained.items()},
        "mcnemar": {name: asdict(each) for name, each in tests.items()},
    }  # fmt: skip


def _paired(runs: tuple[Saved, Saved], split: str) -> tuple[Scored, Scored]:
    """The split's samples in one order, which both must have judged."""
    key = ["row", "crop", "label"]
    frames = [run.split(split).frame.sort_values("row", kind="stable").reset_index(drop=True) for run in runs]
    for run, frame in zip(runs, frames, strict=True):
        if frame.empty:
            raise UserError(f"{run.run}: has no predictions of split '{split}'; make it with --test, or name another")
    if not pd.DataFrame.equals(frames[0][key], frames[1][key]):
        raise UserError(f"{runs[1].run}: judged other samples of split '{split}' than {runs[0].run}")
    return Scored(frames[0]), Scored(frames[1])


def _say(runs: tuple[Saved, Saved], found: dict[str, Any]) -> None:
    log.info(
        "%s beside %s, on %d %ss of split '%s' (%s classes)",
        runs[1].run, runs[0].run, found["samples"], runs[0].unit, found["split"], found["test_balance"],
    )  # fmt: skip
    for name, each in found["differences"].items():
        noise = "" if each["low"] > 0 or each["high"] < 0 else ": within the noise"
        log.info(
            "    %s %+.4f [%+.4f, %+.4f] over resampled %ss%s",
            name.replace("_", " "), each["value"], each["low"], each["high"], each["over"], noise,
        )  # fmt: skip
    for name, test in found["mcnemar"].items():
        log.info(
            "    wrong (%s): %d %ss in the second alone, %d in the first alone; McNemar's exact p = %.3g",
            name, test["second_alone"], runs[0].unit, test["first_alone"], test["p_value"],
        )  # fmt: skip
    for run in runs:
        for mark in run.marks:
            log.warning("mark: %s: %s", run.run, mark)
