"""Write results/audit_shortcuts.csv from the audits that scripts/run_shortcuts.sh has made.

python scripts/results_shortcuts.py RUNS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

RESULTS = Path("results")
DATA = {
    "templates": "DeepPCB, tested images against templates",
    "solder": "solder joints, normal against faulty",
    "tiles": "DeepPCB, tiles of tested images",
}


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each cue of each data set."""
    for name, data in DATA.items():
        found = json.loads((folder / name / "audit.json").read_text(encoding="utf-8"))
        labels, facts = found["facts"]["labels"], {"data": data, "passed": found["passed"]}
        facts |= {"samples": found["data"]["samples"], "defective": labels["Defective"]}
        for cue in found["facts"]["cues"]:
            blanked = {f"blanked_{key}": value for key, value in (cue["blanked"] or {}).items()}
            yield facts | {key: cue[key] for key in ("kind", "name", "auroc", "low", "high", "failed")} | blanked


def main() -> None:
    frame = pd.DataFrame(rows(Path(sys.argv[1])))
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(RESULTS / "audit_shortcuts.csv", index=False, float_format="%.4f", lineterminator="\n")
    print(frame.drop(columns=["samples", "defective"]).to_string(index=False))


main()
