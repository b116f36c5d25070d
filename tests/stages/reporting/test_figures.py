"""What a report's page counts."""

import pandas as pd
import pytest

from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.operating import operate
from ssl_pcb.reports.saved import Scored
from ssl_pcb.stages.reporting.figures import units


@pytest.mark.parametrize("unit", ["tile", "image"])
@pytest.mark.parametrize("groups", ["xxyy", ["~1", "~1", "~2", "~2"], ["", "", "y", "y"], ["x", "x", "~2", "y"]])
def test_a_page_counts_the_units_that_evaluate_counts(unit, groups):
    frame = pd.DataFrame({
        "score": [-1.0, 1.0, 1.0, -1.0], "label": ["NonDefective", "NonDefective", "Defective", "NonDefective"],
        "path": list("abcc") if unit == "tile" else list("abcd"), "group": list(groups), "types": "",
    })  # fmt: skip
    rates = operate(frame, ThreeWay(0.0, 0.0), unit, 0.1).rates
    counted = {name: (len(labels), int(labels.sum())) for name, (_, labels) in units(Scored(frame), unit).items()}
    assert counted == {
        name: (escape.samples + false_call.samples, escape.samples) for name, (escape, false_call) in rates.items()
    }
