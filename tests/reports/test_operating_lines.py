"""An operating point in plain words."""

from dataclasses import replace

import pandas as pd
import pytest

from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.operating import operate
from ssl_pcb.reports.operating_lines import operating_lines

FRAME = pd.DataFrame(
    {
        "score": [*range(10), *range(5, 15)], "label": ["NonDefective"] * 10 + ["Defective"] * 10,
        "path": [f"{number}.png" for number in range(20)], "group": "board", "types": "",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "unfamiliar", "said"),
    [
        # One of ten defects lies below 6: its bound is beta.ppf(0.95, 2, 9). Four of ten good ones lie above.
        (ThreeWay(6, 6), None, "at threshold 6 at most 39.42% of the Defective images escape (95 % bound), and 400 "
         "of 1,000 good images are stopped (95 % bound 696)"),
        # Between lie 6 and 7 of the good ones and of the Defective ones.
        (ThreeWay(6, 8), None, "at thresholds 6 and 8 at most 39.42% of the Defective images escape (95 % bound), "
         "200 of 1,000 good images are stopped (95 % bound 507), and 200 of 1,000 images go to REVIEW"),
        # The good one that scores 0 is unlike all training images.
        (ThreeWay(6, 6), [True] + [False] * 19, "at threshold 6 at most 39.42% of the Defective images escape (95 % "
         "bound), 400 of 1,000 good images are stopped (95 % bound 696), and 90 of 1,000 images go to REVIEW"),
    ],
)  # fmt: skip
def test_the_last_line_says_what_the_thresholds_are_worth(verdicts, unfamiliar, said):
    frame = FRAME if unfamiliar is None else FRAME.assign(unfamiliar=unfamiliar)
    found = operate(frame, verdicts, "image", 0.1)
    # Clopper and Pearson's bounds alone: resamples are random.
    rates = {"image": tuple(replace(rate, cluster_bound=None) for rate in found.rates["image"])}
    *_, last = operating_lines(replace(found, rates=rates), None, verdicts)
    assert last == said
