"""``ssl-pcb evaluate``: from a run to an operating point."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ssl_pcb.cli.balance_option import balance_option
from ssl_pcb.cli.seed import SEED
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=PATH)
@click.option("--max-escape", type=float, help="Escape budget: the largest share of the defects that may be missed.")
@click.option(
    "--max-false-calls", type=float,
    help="False-call budget: the largest share of good samples that may be stopped. With --max-escape both hold, and "
    "what lies between goes to REVIEW.",
)  # fmt: skip
@click.option(
    "--as", "meant", type=click.Choice(["bound", "point"]),
    help="Whether a budget is for the one-sided 95 % bound of the rate, or for the rate as counted.  [default: bound]",
)  # fmt: skip
@click.option("--cost-escape", type=float, help="What a missed defect costs; with --cost-false-call and --defect-rate.")
@click.option("--cost-false-call", type=float, help="What it costs to stop a good sample.")
@click.option("--best-f1", is_flag=True, help="The threshold with the best F1 of Defective.")
@click.option("--threshold", type=float, help="This very threshold.")
@click.option(
    "--defect-rate", type=float,
    help="Share of such samples (tiles, if the run's are) that are Defective in the field: for probabilities, costs "
    "and the reviewer's load.  [default: validation's]",
)  # fmt: skip
@click.option(
    "--calibration", type=click.Choice(["temperature", "platt", "isotonic", "none"]), default="platt",
    show_default=True,
    help="How scores become probabilities; none: they are log-odds, which only cross entropy makes.",
)  # fmt: skip
@click.option("--test", is_flag=True, help="Report on the run's test split; each look is recorded in the ledger.")
@click.option(
    "--holdout",
    is_flag=True,
    help="Report on the images of training boards that were kept apart: new images, but no new boards.",
)
@click.option("--data", type=PATH, help="Report on this manifest: its split 'test', or else its samples of no split.")
@click.option(
    "--unfamiliar", type=float,
    help="Send images that are unlike all training images to REVIEW: so unlike as this share of validation is.",
)  # fmt: skip
@click.option("--gap", is_flag=True, help="Say how far it falls from training images to new boards, and why.")
@click.option(
    "--robustness", is_flag=True, help="Measure errors under corruptions of the camera too: audit robustness."
)
@click.option(
    "--panels", is_flag=True,
    help="Of a run on tiles: judge whole images too, by overlapping windows; misses a box, false alarms an image.",
)  # fmt: skip
@balance_option
@click.option("--out", type=PATH, help="New folder.  [default: RUN/evaluation-DATE-TIME]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--resamples", type=click.IntRange(100), default=1000, show_default=True, help="Bootstrap resamples.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the bootstrap.")
def evaluate(run: Path, data: Path | None, out: Path | None, **flags: Any) -> None:
    """At which threshold to run a line: escapes against false calls, with bounds, of the run in folder RUN.

    Validation chooses the threshold; the test split (--test), images of training boards that were kept apart
    (--holdout) or another manifest (--data) tell what it is worth.
    Without a budget, costs, --best-f1 or --threshold it is the run's own.
    """
    asked = _asked(flags)
    from ssl_pcb.stages.evaluate import evaluate as choose
    from ssl_pcb.stages.evaluating.asked import Asked

    judged = {"--data": data is not None, "--test": flags["test"], "--holdout": flags["holdout"]}
    named = [name for name, is_given in judged.items() if is_given]
    if len(named) > 1:
        raise UserError(f"{' and '.join(named)}: each names what to report on; give one of them")
    if flags["gap"] and data is not None:
        raise UserError("--gap: is the fall to the run's own validation and test boards; leave out --data, or --gap")
    settings = (
        "calibration", "defect_rate", "test", "holdout", "unfamiliar", "gap", "robustness", "panels", "balance",
        "device", "resamples", "seed",
    )  # fmt: skip
    kept = {key: flags[key] for key in settings}
    folder = out or run / f"evaluation-{datetime.now():%Y%m%d-%H%M%S}"
    choose(run, Asked(*asked, data=data, **kept), folder)


def _asked(flags: dict[str, Any]) -> tuple[Any, Any]:
    """The rule for the threshold, and the false-call budget of NG where there is a review."""
    from ssl_pcb.decision.operating_point import BestF1, EscapeBudget, FalseCallBudget, Given, LeastCost, Meant

    costs = [flags["cost_escape"], flags["cost_false_call"]]
    if None in costs and costs != [None, None]:
        raise UserError("--cost-escape and --cost-false-call: give both, and --defect-rate")
    budgets = flags["max_escape"] is not None or flags["max_false_calls"] is not None
    given = {
        "--max-escape / --max-false-calls": budgets,
        "--cost-escape / --cost-false-call": None not in costs,
        "--best-f1": flags["best_f1"],
        "--threshold": flags["threshold"] is not None,
    }
    chosen = [name for name, is_given in given.items() if is_given]
    if len(chosen) > 1:
        raise UserError(f"{' and '.join(chosen)}: each chooses a threshold; give one of them")
    if flags["meant"] and not budgets:
        raise UserError("--as: says how a budget is meant; give --max-escape or --max-false-calls")
    if budgets:
        meant: Meant = flags["meant"] or "bound"
        limit = flags["max_false_calls"]
        calls = None if limit is None else FalseCallBudget(limit, meant)
        if flags["max_escape"] is None:
            return calls, None
        return EscapeBudget(flags["max_escape"], meant), calls
    if None not in costs:
        if flags["defect_rate"] is None:
            raise UserError("--defect-rate: costs need the share of Defective in the field; give it, as in 0.002")
        return LeastCost(flags["cost_escape"], flags["cost_false_call"], flags["defect_rate"]), None
    if flags["best_f1"]:
        return BestF1(), None
    return (None if flags["threshold"] is None else Given(flags["threshold"])), None


COMMANDS = {"evaluate": evaluate}
