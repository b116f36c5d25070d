"""The thresholds, chosen on validation, and the samples that had no part in the choice."""

from __future__ import annotations

from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import unit_of
from ssl_pcb.decision.operating_point import choose_operating_point
from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.reports.saved import Saved, Scored
from ssl_pcb.stages.evaluating.asked import Asked
from ssl_pcb.stages.scoring import kept_apart, score_data, score_test


def choose_verdicts(saved: Saved, val: Scored, asked: Asked) -> ThreeWay:
    """The thresholds of ``asked.rule`` and ``asked.review`` on validation samples.

    Raises:
        UserError: If the samples cannot keep what is asked.
    """
    if asked.rule is None:
        low = saved.threshold
    else:
        low = choose_operating_point(val.scores, val.labels, asked.rule, saved.unit)
    if asked.review is None:
        return ThreeWay(low, low)
    return ThreeWay.of_budgets(low, choose_operating_point(val.scores, val.labels, asked.review, saved.unit))


def samples_apart(saved: Saved, asked: Asked) -> tuple[str, Scored | None]:
    """Samples that had no part in the choice, and what to call them; without any, what chose it.

    Of whole images that are judged by windows (``--panels``) no tile has a label, so there are none.

    Raises:
        UserError: If there are none of both classes, or the run cannot score them.
    """
    purpose = f"operating point: {asked.purpose(saved.unit)}"
    windows = asked.panels and saved.unit == "tile"
    if asked.data is not None and not (windows and unit_of(Manifest.read(asked.data)) == "image"):
        return str(asked.data), score_data(saved, asked.data, asked.device, asked.ledger, purpose)
    if asked.test:
        return "test", score_test(saved, asked.device, asked.ledger, purpose)
    if asked.holdout:
        return "holdout", kept_apart(saved)
    return "validation", None
