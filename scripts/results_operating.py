"""Write results/operating.csv and .md from the evaluations that scripts/run_operating.sh has made.

python scripts/results_operating.py EVALUATIONS

Every number is one that 'ssl-pcb evaluate' has saved, but for the sum over the tiles of an image.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ssl_pcb.reports.run import read_run

RESULTS = Path("results")
RULES = {
    "escape-5-point": "escapes at most 5 %, as counted", "escape-5-bound": "escapes at most 5 %, 95 % bound",
    "escape-2-point": "escapes at most 2 %, as counted", "escape-2-bound": "escapes at most 2 %, 95 % bound",
    "escape-1-point": "escapes at most 1 %, as counted", "escape-1-bound": "escapes at most 1 %, 95 % bound",
    "false-calls-2-bound": "false calls at most 2 %, 95 % bound",
    "costs": "costs 500 to 1 at 0.002 Defective", "best-f1": "best F1",
}  # fmt: skip
REVIEWS = {f"review-{percent}-2": f"escapes at most {percent} %, false calls at most 2 %" for percent in (5, 2, 1)}
WHOLE = [rule for name, rule in RULES.items() if name.endswith("-bound")]
"""Of which whole images were judged too."""
TILES = {"256": 4, "640": 25}
"""Of synthetic panels, by their side in pixels."""
APART = "kept apart"


def read(folder: Path) -> dict[str, Any]:
    """One evaluation."""
    return dict(json.loads((folder / "evaluation.json").read_text(encoding="utf-8")))


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each threshold and each set that it is reported on."""
    for name, rule in (RULES | REVIEWS).items():
        found = read(folder / name)
        yield row(found, rule, "validation", "validation")
        yield row(found, rule, APART, "holdout") | panels_of(found)
        for side in TILES if name.endswith("-bound") else ():
            synthetic = read(folder / f"{name}-{side}")
            yield row(synthetic, rule, f"synthetic {side} px", synthetic["reported_on"]) | panels_of(synthetic)


def row(found: Mapping[str, Any], rule: str, on: str, key: str) -> dict[str, Any]:
    """Thresholds, and the rates per tile with their bounds."""
    operating = found["operating"][key]
    line = {"run": Path(found["run"]).name, "rule": rule, "on": on, "unit": "tile"}
    line |= {"low": found["low"], "high": found["high"]}
    for name, rate in operating["rates"]["tile"].items():
        line |= {f"{name}_{each}": rate[each] for each in ("value", "errors", "samples", "bound", "cluster_bound")}
    line |= {"review_per_1000": operating["review_per_1000"], "defect_rate": operating["defect_rate"]}
    return line | {"commit": read_run(Path(found["run"]))["commit"]}


def panels_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What came of whole images."""
    return {f"panels_{name}": value for name, value in (found["panels"] or {}).items()}


def calibrations(folder: Path) -> pd.DataFrame:
    """Errors of each calibration, on validation by other images, and on images kept apart."""
    lines = []
    for on, name in {"validation, by calibrations of other images": "validation", APART: "best-f1"}.items():
        errors = read(folder / name)["calibration"]["errors"]
        lines += [{"calibration": method, "on": on} | each for method, each in errors.items()]
    return pd.DataFrame(lines)


At = Mapping[tuple[str, str], "pd.Series[Any]"]
"""A line of the table, by threshold and set."""


def rate(line: pd.Series[Any], name: str) -> str:
    """A rate with its count and both bounds."""
    cluster = line[f"{name}_cluster_bound"]
    bounds = f"{line[f'{name}_bound']:.2%}, {'-' if pd.isna(cluster) else f'{cluster:.2%}'}"
    return f"{line[f'{name}_value']:.2%} ({line[f'{name}_errors']:.0f} of {line[f'{name}_samples']:.0f}; {bounds})"


def images_stopped(line: pd.Series[Any], tiles: int) -> str:
    """Good images that are stopped, if their tiles err independently."""
    return f"{1 - (1 - line['false_call_value']) ** tiles:.1%}"


def counted(line: pd.Series[Any], errors: str, of: str, bound: str) -> str:
    """Errors over whole images."""
    return f"{line[f'panels_{errors}']:.0f} of {line[f'panels_{of}']:.0f} (bound {line[f'panels_{bound}']:.1%})"


def points(at: At) -> Iterator[list[str]]:
    """Each threshold on validation and on what had no part in its choice."""
    for rule in RULES.values():
        both = [at[rule, on] for on in ("validation", APART)]
        yield [rule, f"{both[0]['low']:.2f}", *(rate(line, name) for line in both for name in ("escape", "false_call"))]


def whole_images(at: At) -> Iterator[list[str]]:
    """Arithmetic over 25 tiles, and what overlapping windows find on images that were kept apart."""
    for rule in WHOLE:
        apart = at[rule, APART]
        sums = [images_stopped(at[rule, on], TILES["640"]) for on in ("validation", APART)]
        found = counted(apart, "missed", "boxes", "missed_bound")
        yield [rule, *sums, found, f"{apart['panels_alarms_per_image']:.2f}"]


def synthetic_panels(at: At) -> Iterator[list[str]]:
    """The same sum beside what is measured on good images."""
    for rule in WHOLE:
        for side, tiles in TILES.items():
            line = at[rule, f"synthetic {side} px"]
            yield [
                rule, f"{side} px", f"{line['false_call_value']:.2%}", images_stopped(line, tiles),
                counted(line, "good_images_stopped", "good_images", "stopped_bound"),
                f"{line['panels_alarms_per_good_image']:.2f}", counted(line, "missed", "boxes", "missed_bound"),
            ]  # fmt: skip


def reviews(at: At) -> Iterator[list[str]]:
    """Two thresholds, and the load on those who look at what lies between."""
    for rule in REVIEWS.values():
        for on in ("validation", APART):
            line = at[rule, on]
            between = f"{line['low']:.2f} to {line['high']:.2f}"
            rates = [rate(line, name) for name in ("escape", "false_call")]
            yield [rule, between, on, *rates, f"{line['review_per_1000']:.0f}"]


def table(head: str, lines: Iterable[list[str]]) -> str:
    """In Markdown."""
    rule = "|---" * (head.count("|") + 1)
    return "\n".join([f"| {head} |", f"{rule}|", *(f"| {' | '.join(line)} |" for line in lines), ""])


def markdown(frame: pd.DataFrame, calibrated: pd.DataFrame) -> str:
    """All tables."""
    at = {(line["rule"], line["on"]): line for _, line in frame.iterrows()}
    errors = [
        [line["calibration"], line["on"], f"{line['ece']:.4f}", f"{line['brier']:.4f}",
         f"{line['mean_probability']:.3f}", f"{line['share_defective']:.3f}"]
        for _, line in calibrated.iterrows()
    ]  # fmt: skip
    tables = [
        f"`{frame['run'].iloc[0]}`; rates per tile (count; 95 % bounds: Clopper-Pearson, and over source images).\n",
        table("threshold chosen for | threshold | escapes, validation | false calls, validation | "
              f"escapes, {APART} | false calls, {APART}", points(at)),
        table("threshold chosen for | good images of 25 tiles stopped, by the rate of validation | by that of images "
              f"{APART} | boxes missed in whole images {APART} | false alarms an image", whole_images(at)),
        table("threshold chosen for | synthetic panels | good tiles stopped | good panels stopped, by that rate | as "
              "measured | false alarms a good panel | boxes missed", synthetic_panels(at)),
        table("both budgets as 95 % bounds | REVIEW between | on | escapes | false calls | REVIEW of 1,000 tiles",
              reviews(at)),
        table("calibration | measured on | expected calibration error | Brier score | mean probability | Defective",
              errors),
    ]  # fmt: skip
    return "\n".join(tables)


def main() -> None:
    folder = Path(sys.argv[1])
    frame, calibrated = pd.DataFrame(rows(folder)), calibrations(folder)
    RESULTS.mkdir(exist_ok=True)
    for name, each in {"operating": frame, "operating_calibration": calibrated}.items():
        each.to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
    (RESULTS / "operating.md").write_text(markdown(frame, calibrated), encoding="utf-8")
    print(markdown(frame, calibrated))


main()
