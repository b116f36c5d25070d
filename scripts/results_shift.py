"""Write results/shift_consistency.* and results/robustness.* from the run folders that scripts/run_shift.sh has made.

python scripts/results_shift.py RUNS

Each classifier judges its validation samples as they are, shifted by 1, 2, 4 and 8 px in four directions, and under the
corruptions of 'ssl-pcb audit robustness', at its own threshold. What a run folder has of it is not measured anew.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.audit.camera.scoring import CLEAN
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.robustness import AUDIT, measure_robustness
from ssl_pcb.stages.validation import Validation

RESULTS = Path("results")
RUN = re.compile(r"(?P<network>plain|antialiased|translated)-(?P<seed>\d+)")
NAMES = {
    "plain": "plain", "antialiased": "anti-aliased", "translated": "plain, trained on shifts",
}  # fmt: skip
ALL = 10**9
SHOWN = (1, 3, 5)
SHIFTS = ["network", "seed", "split", "commit", "level", "flip_rate", "flip_rate_low", "flip_rate_high", "score_change"]


def measured(folder: Path) -> Iterator[pd.DataFrame]:
    """The rows of each finished run's robustness."""
    for run in sorted(folder.iterdir()):
        named = RUN.fullmatch(run.name)
        if named is None or read_run(run).get("status") != "finished":
            continue
        out = run / AUDIT
        if not out.exists():
            measure_robustness(Validation.open(run, None, samples=ALL, seed=0, device="auto"), out)
        facts = {"network": named["network"], "seed": int(named["seed"]), "split": "val"}
        yield pd.read_csv(out / f"{AUDIT}.csv").assign(**facts, commit=read_run(run)["commit"])


def shift_table(frame: pd.DataFrame) -> Iterator[str]:
    """Flip rates by distance, and the AUROC of the pictures as they are: each seed's."""
    shifts, clean = frame[frame["corruption"].eq(SHIFT)], frame[frame["corruption"].eq(CLEAN.name)]
    distances = sorted(shifts["level"].unique())
    yield "| network | " + " | ".join(f"flipped by {distance} px" for distance in distances) + " | AUROC |"
    yield "|---" * (len(distances) + 2) + "|"
    for network, name in NAMES.items():
        part = shifts[shifts["network"].eq(network)]
        if len(part):
            flips = [part.loc[part["level"].eq(distance), "flip_rate"] for distance in distances]
            cells = [", ".join(f"{value:.1%}" for value in each) for each in flips]
            aurocs = clean.loc[clean["network"].eq(network), "auroc"]
            yield f"| {name} | " + " | ".join(cells) + f" | {', '.join(f'{value:.3f}' for value in aurocs)} |"


def corruption_table(frame: pd.DataFrame, network: str) -> Iterator[str]:
    """Escape and false-call rates of one network under each corruption, mean over seeds, at three severities."""
    rows = frame[frame["network"].eq(network) & frame["corruption"].ne(SHIFT)]
    means = rows.groupby(["corruption", "level"], sort=False)[["escape_rate", "false_call_rate", "auroc"]].mean()
    yield "| corruption | " + " | ".join(f"severity {severity}" for severity in SHOWN) + " | AUROC at the last |"
    yield "|---" * (len(SHOWN) + 2) + "|"
    clean = means.loc[CLEAN.name, 0]
    yield f"| none | {rates(clean)} |" + " |" * (len(SHOWN) - 1) + f" {clean['auroc']:.3f} |"
    for corruption in dict.fromkeys(rows["corruption"]):
        if corruption != CLEAN.name:
            cells = [rates(means.loc[corruption, severity]) for severity in SHOWN]
            yield f"| {corruption} | " + " | ".join(cells) + f" | {means.loc[corruption, SHOWN[-1]]['auroc']:.3f} |"


def rates(row: pd.Series) -> str:
    return f"{row['escape_rate']:.1%} escape, {row['false_call_rate']:.1%} false calls"


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    frame = pd.concat(measured(Path(sys.argv[1])), ignore_index=True)
    RESULTS.mkdir(exist_ok=True)
    shifts = frame.loc[frame["corruption"].eq(SHIFT), SHIFTS].rename(columns={"level": "shift_px"})
    others = frame[frame["corruption"].ne(SHIFT)].dropna(axis="columns", how="all")
    tables = {
        "shift_consistency": (shifts, [*shift_table(frame), "", "Each seed's value; intervals are in the CSV file."]),
        "robustness": (others, [*corruption_table(frame, "plain"), "", "Network *plain*; the CSV file has all."]),
    }
    for name, (table, lines) in tables.items():
        table.to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.4f", lineterminator="\n")
        (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print("\n".join(lines))


main()
