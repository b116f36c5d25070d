"""The whole job in a few minutes: data, pretraining, probe, two finetunings, a table."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from ssl_pcb.config.load import load_config
from ssl_pcb.config.stages import STAGES, PretrainConfig
from ssl_pcb.data.synthetic.embedded import embedded_manifest
from ssl_pcb.errors import UserError
from ssl_pcb.stages.audit_augmentations import audit_views
from ssl_pcb.stages.start import start_stage

log = logging.getLogger(__name__)

BOARDS, IMAGES_PER_BOARD, IMAGE_SIZE = 24, 60, 64


def run_demo(out: Path, seed: int) -> None:
    """Run the demo into the new folder ``out``.

    Raises:
        UserError: If ``out`` is in use.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not empty; choose another --out")
    began = time.perf_counter()
    log.info("1 of 5: synthetic boards with known defects")
    manifest = embedded_manifest(boards=BOARDS, images_per_board=IMAGES_PER_BOARD, image_size=IMAGE_SIZE).manifest
    log.info("%d boards, %d images of %d px: %s", BOARDS, BOARDS * IMAGES_PER_BOARD, IMAGE_SIZE, manifest)
    shared = {"data.manifest": str(manifest), "data.image_size": IMAGE_SIZE, "runtime.seed": seed}

    log.info("2 of 5: what the augmentations do to the defects")
    audited = load_config(PretrainConfig, None, shared)
    audit_views(audited, out / "augmentations", samples=100, views=2, seed=seed)

    def stage(name: str, folder: str, **asked: Any) -> dict[str, Any]:
        keys = shared | {"runtime.out": str(out / folder), "runtime.ledger": str(out / "test_ledger.csv")}
        keys |= {key.replace("__", "."): value for key, value in asked.items()}
        start_stage(name, load_config(STAGES[name], None, keys), keys)
        summary: dict[str, Any] = json.loads((out / folder / "summary.json").read_text())
        return summary

    log.info("3 of 5: SimCLR on all training images, without their labels")
    stage("pretrain", "pretrain", training__epochs=8, training__batch_size=128)
    checkpoint = str(out / "pretrain")
    log.info("4 of 5: probes on the frozen network")
    probe = stage("linear-eval", "linear-eval", checkpoint=checkpoint, test=True, fractions=[0.1, 1.0])
    log.info("5 of 5: finetuning from it, and from scratch")
    tuned = {
        name: stage(
            "finetune", f"finetune-{name}", checkpoint=weights, sampler__name="epoch_undersample",
            training__epochs=24, training__batch_size=32, test=True,
        )
        for name, weights in (("simclr", checkpoint), ("scratch", "none"))
    }  # fmt: skip
    log.info("")
    log.info("on the boards that nothing was chosen on (test), per image:")
    _say("logistic probe on the frozen SimCLR network", probe)
    _say("finetuned from SimCLR", tuned["simclr"])
    _say("finetuned from scratch", tuned["scratch"])
    log.info("(small on purpose: it shows the way, not what the methods can do)")
    log.info(
        "done in %.0f s; look at %s first", time.perf_counter() - began, out / "augmentations" / "contact_sheet.png"
    )


def _say(name: str, summary: dict[str, Any]) -> None:
    metrics = summary["reports"]["test"]["metrics"]
    shown = ", ".join(
        f"{label} {metrics[key]['value']:.3f} [{metrics[key]['low']:.3f}, {metrics[key]['high']:.3f}]"
        for key, label in (("auroc", "AUROC"), ("escape_rate", "escape rate"), ("false_call_rate", "false-call rate"))
    )
    log.info("    %-45s %s", name, shown)
