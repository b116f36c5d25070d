"""The model card beside an exported model (Mitchell et al. 2019, arXiv 1810.03993)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ssl_pcb import __version__
from ssl_pcb.decision.bounds import upper_bound
from ssl_pcb.deploy.facts import ModelFacts
from ssl_pcb.reports.saved import Scored
from ssl_pcb.stages.deployed import Deployed
from ssl_pcb.stages.export_checks import TOLERANCE, Agreement, Beside

METRICS = ("auroc", "average_precision", "balanced_accuracy", "escape_rate", "false_call_rate")


def model_card(deployed: Deployed, found: Agreement, quick: Beside | None) -> str:
    """The card as Markdown.

    Args:
        deployed: The run.
        found: How far the file is from it.
        quick: int8 beside fp32, if it was made.
    """
    facts, saved = deployed.facts, deployed.saved
    parts = [
        f"# Model {facts.model}",
        f"Tells Defective from NonDefective {facts.unit}s of printed circuit boards. Written by ssl-pcb {__version__}.",
        "## What it is",
        _list(_what(facts)),
        "## Data",
        _list(_data(saved.record["data"], facts.marks)),
        "## Metrics",
        f"At the run's own threshold, per {facts.unit}; in brackets the 95 % interval.",
        _list(_metrics(saved.summary["reports"])),
        f"At the thresholds of this file, on the validation {facts.unit}s, which chose them:",
        _list(_errors(saved.split("val"), facts)),
        "## Check of this file",
        f"On {found.samples:,} validation {facts.unit}s: {found.verdicts} verdicts differ from the run in fp32 (0 is "
        f"allowed), probabilities by up to {found.probability:.2g} ({TOLERANCE:g} is allowed). "
        f"{found.judged_otherwise} verdicts differ from those when the run was made, scores by up to "
        f"{found.judged_score:.2g}.",
        *([] if quick is None else ["## int8 beside fp32", _list(quick.lines())]),
        "## Intended use",
        f"To sort {facts.unit}s of boards, lit and pictured as those of training, into {_verdicts(facts)}. Figures "
        "hold for the boards named above; measure anew, with 'ssl-pcb evaluate --data', for another camera, light, "
        "board design or kind of defect.",
        "## Limits",
        _list(_limits(facts)),
    ]
    return "\n\n".join(parts) + "\n"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _what(facts: ModelFacts) -> Iterator[str]:
    point = facts.operating
    panel = f", windows of {facts.tile} px of a panel overlapping by half" if facts.tile else ""
    around = f" and {facts.context} px around it" if facts.context else ""
    yield f"network {facts.network}, at {facts.own} px{around}, {'grey' if facts.channels == 1 else 'colour'}{panel}"
    yield f"refuses what has a side below {math.ceil(facts.least)} px: {_least(facts)}"
    if facts.most_side is not None and facts.tile is None:
        yield f"refuses what has a side above {math.floor(facts.most)} px: twice the longest side of a training image"
    if point.low < point.high:
        yield f"thresholds {point.name}: OK below {point.low:.6g}, NG from {point.high:.6g}, REVIEW between"
    else:
        yield f"threshold {point.name}: OK below {point.low:.6g}, NG from there on"
    yield f"chosen for: {plain(point.chosen)}"
    yield f"probabilities of {facts.unit}s: {point.calibration.method}, at {point.at_rate}"
    if point.unfamiliar_from is not None:
        yield f"REVIEW, unless NG, from a distance of {point.unfamiliar_from:.4g} to the nearest training samples"


def _verdicts(facts: ModelFacts) -> str:
    if facts.operating.reviews:
        return "OK, REVIEW and NG, with a person who looks at REVIEW and at samples of OK"
    return "OK and NG, with a person who looks at samples of OK"


def _least(facts: ModelFacts) -> str:
    if facts.least_side is None:
        return "a quarter of what it sees of an image, as the sizes of its training images are not known"
    return f"half of the shortest side of a training {facts.unit}, {facts.least_side} px"


def _data(data: dict[str, Any], marks: tuple[str, ...]) -> Iterator[str]:
    yield f"manifest {plain(str(data['manifest']))}, fingerprint {plain(str(data['fingerprint']))}"
    for split, counts in data["splits"].items():
        yield (
            f"{split}: {counts['samples']:,} samples of {counts['groups']} boards, {counts['Defective']:,} Defective "
            f"and {counts['NonDefective']:,} NonDefective"
        )
    for mark in marks:
        yield f"mark: {plain(mark)}"


def _metrics(reports: dict[str, Any]) -> Iterator[str]:
    for split, report in reports.items():
        values = {name: report["metrics"][name] for name in METRICS if name in report["metrics"]}
        each = (f"{name.replace('_', ' ')} {_interval(value)}" for name, value in values.items())
        yield f"{split}: {', '.join(each)}"


def _errors(val: Scored, facts: ModelFacts) -> Iterator[str]:
    verdicts = facts.operating.verdicts.verdicts(val.scores)
    for label, verdict, said in ((1, "OK", "Defective escape"), (0, "NG", "NonDefective are falsely called NG")):
        of = verdicts[val.labels == label]
        errors = int((of == verdict).sum())
        yield f"{errors:,} of {len(of):,} {said}; 95 % bound of the rate {upper_bound(errors, len(of)):.2%}"
    if facts.operating.low < facts.operating.high:
        yield f"{np.mean(verdicts == 'REVIEW'):.1%} go to REVIEW by their score"


def _interval(value: dict[str, Any]) -> str:
    numbers = [value["value"], value["low"], value["high"]]
    found, low, high = ("undefined" if number is None else f"{number:.3f}" for number in numbers)
    return f"{found} [{low}, {high}]"


def _limits(facts: ModelFacts) -> Iterator[str]:
    yield "Nothing is known of defects smaller than a few pixels at the network's resolution, nor of other boards."
    if facts.tile:
        yield "A panel of many tiles is stopped far more often than a tile; its probability is of its worst window."
    if facts.operating.unfamiliar_from is None:
        yield "It does not tell when an image is unlike all that it has learned from ('evaluate --unfamiliar')."
    if facts.references:
        yield "It needs an aligned golden image beside each image."


def plain(text: str) -> str:
    """Other people's text as Markdown text: nothing in it is a link, a tag or a new line."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]<>()#!|&" else char for char in " ".join(text.split()))
