"""Write results/shift_consistency.csv and .md from the run folders that scripts/run_shift.sh has made.

python scripts/results_shift.py RUNS

Each classifier judges its validation samples as they are and shifted by 1, 2, 4 and 8 px in four directions.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_pcb.audit.camera.effects import measure_shifts
from ssl_pcb.audit.camera.scoring import CLEAN, shift_changes
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.validation import Validation

RESULTS = Path("results")
RUN = re.compile(r"(?P<network>plain|antialiased|translated)-(?P<seed>\d+)")
NAMES = {
    "plain": "plain", "antialiased": "anti-aliased", "translated": "plain, trained on shifts",
}  # fmt: skip
ALL = 10**9


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """A row a shift, of each finished run."""
    for run in sorted(folder.iterdir()):
        named = RUN.fullmatch(run.name)
        if named is None or read_run(run).get("status") != "finished":
            continue
        asked = Validation.open(run, None, samples=ALL, seed=0, device="auto")
        scores, judged = asked.scores(dict(shift_changes(asked.judge.model.size))), asked.judged
        print(f"{run}: {len(asked.rows)} validation {asked.samples.unit}s")
        shared = {"network": named["network"], "seed": int(named["seed"]), "split": "val", "samples": len(asked.rows)}
        clean = judged.rates(scores[CLEAN])
        for effect in measure_shifts(scores, judged):
            low, high = effect.flips.interval()
            yield {
                **shared, **clean, "shift_px": effect.pixels, "flip_rate": effect.flips.value, "flip_rate_low": low,
                "flip_rate_high": high, "score_change": effect.score_change, "commit": read_run(run)["commit"],
            }  # fmt: skip


def markdown(frame: pd.DataFrame) -> Iterator[str]:
    """Flip rates by distance, and the AUROC of the pictures as they are: each seed's."""
    distances = sorted(frame["shift_px"].unique())
    yield "| network | " + " | ".join(f"flipped by {distance} px" for distance in distances) + " | AUROC |"
    yield "|---" * (len(distances) + 2) + "|"
    for network, name in NAMES.items():
        part = frame[frame["network"] == network]
        if len(part):
            flips = [part.loc[part["shift_px"] == distance, "flip_rate"] for distance in distances]
            cells = [", ".join(f"{value:.1%}" for value in each) for each in flips]
            aurocs = part.drop_duplicates("seed")["auroc"]
            yield f"| {name} | " + " | ".join(cells) + f" | {', '.join(f'{value:.3f}' for value in aurocs)} |"


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    frame = pd.DataFrame(rows(Path(sys.argv[1])))
    if frame.empty:
        sys.exit(f"{sys.argv[1]}: holds no finished run of scripts/run_shift.sh")
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "shift_consistency.csv", index=False, float_format="%.4f", lineterminator="\n")
    lines = [*markdown(frame), "", "Each seed's value; intervals and escape rates are in the CSV file."]
    (RESULTS / "shift_consistency.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


main()
