"""The whole job in a few minutes: data, pretraining, probe, two finetunings, a table."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ssl_pcb.config.load import load_config
from ssl_pcb.config.presets import recipe
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.stages import STAGES
from ssl_pcb.data.synthetic.generate import synthesize
from ssl_pcb.reports.run import read_config
from ssl_pcb.stages.audit_augmentations import audit_views
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.report import make_report
from ssl_pcb.stages.start import start_stage

log = logging.getLogger(__name__)

BOARDS, IMAGES_PER_BOARD, IMAGE_SIZE = 20, 60, 48
SHOWN = 600
"""Pictures in the report."""


def run_demo(out: Path, seed: int) -> None:
    """Run the demo into the new folder ``out``.

    Raises:
        UserError: If ``out`` is in use.
    """
    refuse_used_folder(out)
    began = time.perf_counter()
    log.info("1 of 5: %d synthetic boards with known defects", BOARDS)
    with tqdm(desc="painting", total=BOARDS * IMAGES_PER_BOARD, unit="image", disable=None, leave=False) as bar:
        # Close-ups in black and white, half of them defective: little enough to learn in a minute.
        manifest = synthesize(
            out / "boards", boards=BOARDS, images_per_board=IMAGES_PER_BOARD, image_size=IMAGE_SIZE,
            zoom=3.0, style="binary", defect_rate=0.5, seed=seed, progress=bar.update,
        )  # fmt: skip
    job = _Job(out, {"data.manifest": str(manifest), "data.image_size": IMAGE_SIZE, "runtime.seed": seed})

    log.info("2 of 5: what the augmentations do to the defects")
    audit_views(load_config(PretrainConfig, None, job.shared), out / "augmentations", samples=100, views=2, seed=seed)
    log.info("3 of 5: learning by painted defects from all training images, without their labels")
    learned = recipe(IMAGE_SIZE)
    job.run("pretrain", "pretrain", {**learned, "training.epochs": 6})
    job.keep_precision()
    log.info("4 of 5: probes on the frozen network")
    network = {key: value for key, value in learned.items() if key.startswith("backbone.")}
    painted = network | {"checkpoint": str(out / "pretrain"), "test": True}
    probe = job.run("linear-eval", "linear-eval", painted | {"fractions": [0.1, 1.0]})
    log.info("5 of 5: finetuning from it, and from scratch")
    settings = {"sampler.name": "epoch_undersample", "training.epochs": 16, "training.batch_size": 32}
    tuned = job.run("finetune", "finetune-painted", painted | settings | {"head_start": "probe"})
    scratch = job.run("finetune", "finetune-scratch", painted | settings | {"checkpoint": "none"})

    log.info("")
    log.info("on the test boards, on which nothing was chosen, per image:")
    _say("logistic probe on the random-init network", probe["floor_reports"])
    _say("map of painted defects, no label seen", probe["label_free_reports"]["defect_map"])
    _say("logistic probe on its network", probe["reports"])
    _say("finetuned from painted defects", tuned["reports"])
    _say("finetuned from scratch", scratch["reports"])
    log.info("(far too small to compare methods by: it shows the way)")
    page = out / "report.html"
    make_report([out / "finetune-painted", out / "finetune-scratch", out / "pretrain"], page, pictures=SHOWN, seed=seed)
    log.info("done in %.0f s; open %s in a browser", time.perf_counter() - began, page)


class _Job:
    """Stages that share data and settings, each in its own folder below ``out``."""

    def __init__(self, out: Path, shared: dict[str, Any]) -> None:
        self.out = out
        self.shared = shared | {"runtime.ledger": str(out / "test_ledger.csv")}

    def run(self, stage: str, folder: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Run a stage; returns its summary."""
        asked = self.shared | {"runtime.out": str(self.out / folder)} | settings
        run = start_stage(stage, load_config(STAGES[stage], None, asked), asked)
        summary: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        return summary

    def keep_precision(self) -> None:
        """Take the precision and layout that pretraining has measured for the stages after it."""
        runtime = read_config(self.out / "pretrain", "pretrain").runtime
        self.shared |= {"runtime.precision": runtime.precision, "runtime.layout": runtime.layout}


def _say(name: str, reports: dict[str, Any]) -> None:
    metrics = reports["test"]["metrics"]
    shown = ", ".join(
        f"{label} {metrics[key]['value']:.3f} [{metrics[key]['low']:.3f}, {metrics[key]['high']:.3f}]"
        for key, label in (("auroc", "AUROC"), ("escape_rate", "escape rate"), ("false_call_rate", "false-call rate"))
    )
    log.info("    %-42s %s", name, shown)
