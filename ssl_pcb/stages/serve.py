"""A classifier as a service of the line."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ssl_pcb import __version__
from ssl_pcb.deploy.predictor import Predictor
from ssl_pcb.deploy.service.access import refuse_open_doors
from ssl_pcb.deploy.service.app import build_app
from ssl_pcb.deploy.service.limits import MIB, Limits
from ssl_pcb.deploy.service.running import listening, run
from ssl_pcb.reports.page.pictures import heat_legend
from ssl_pcb.reports.page.render import rendered

log = logging.getLogger(__name__)


def serve(predictor: Predictor, limits: Limits, host: str, port: int, token: str | None, model: Path) -> None:
    """Answer requests until a signal ends it.

    Args:
        predictor: The classifier.
        limits: What it takes.
        host: Address to listen at; other computers reach none but with a token.
        port: 0 = any that is free.
        token: What others must send; ``None`` = nothing.
        model: What the classifier was opened from.

    Raises:
        UserError: If there is no token where one is needed, the port is taken, or the model cannot be run.
    """
    refuse_open_doors(host, token)
    facts = predictor.facts
    predictor.network(np.zeros((1, facts.inputs, facts.image_size, facts.image_size), np.uint8))
    listener = listening(host, port)
    shown, number = listener.getsockname()[:2]
    named = f"[{shown}]" if ":" in shown else shown
    log.info("%s, %s: http://%s:%d shows a page; POST images to /predict", model, facts.network, named, number)
    run(build_app(predictor, limits, page_of(predictor, limits, token=token is not None), token, named), listener)
    log.info("stopped; all that was accepted is answered")


def page_of(predictor: Predictor, limits: Limits, *, token: bool) -> str:
    """The page to drop images on; ``token``: whether it must ask for one."""
    facts, heat = predictor.facts, predictor.heats is not None
    shown = {
        "title": "Judge images", "version": __version__, "token": token, "heat": heat, "mib": limits.max_bytes // MIB,
        "megapixels": f"{limits.max_pixels / 1e6:.3g}", "threshold": facts.operating.name,
        "chosen": facts.operating.chosen, "rate": facts.operating.at_rate, "reviews": facts.operating.reviews,
        **{key: getattr(facts, key) for key in ("model", "network", "unit", "marks", "references")},
    }  # fmt: skip
    if heat:  # its colours come with torch alone
        shown["legend"] = heat_legend()
    return rendered("serve.html", ("charts.js", "serve.js"), {"heat": heat, "max_bytes": limits.max_bytes}, shown)
