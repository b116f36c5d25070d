"""Audit what a stage's augmentation does to defects, beside the random crop of ImageNet SimCLR."""

from __future__ import annotations

import logging
from pathlib import Path

from ssl_pcb.audit.augmentations import audit_augmentations
from ssl_pcb.audit.contact_sheet import contact_sheet
from ssl_pcb.config.augment import GeometryConfig, RandomCropConfig, ViewConfig
from ssl_pcb.config.stages import FinetuneConfig, PretrainConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.resolve import probe_files, resolve
from ssl_pcb.data.synthetic.embedded import embedded_manifest
from ssl_pcb.reports.run import write_json
from ssl_pcb.stages.checks import refuse_used_folder

log = logging.getLogger(__name__)

RANDOM_CROP = ViewConfig(geometry=GeometryConfig(random_crop=RandomCropConfig(), allow_crops=True))
"""RandomResizedCrop(0.08, 1) with flips and the default light, for comparison."""


def audit_views(config: PretrainConfig | FinetuneConfig, out: Path, *, samples: int, views: int, seed: int) -> bool:
    """Measure ``config.view`` and the random crop; writes ``audit.json`` and ``contact_sheet.png`` into ``out``.

    Returns:
        Whether the configured policy keeps every defect in view.

    Raises:
        UserError: If ``out`` is in use, or the manifest has no boxes.
    """
    refuse_used_folder(out)
    manifest = Manifest.read(config.data.manifest or embedded_manifest())
    data = resolve(config.data, manifest, probe_files(manifest, config.data)[0])
    view = config.view if isinstance(config, PretrainConfig) else config.augment.view
    policies = {"configured": view, "RandomResizedCrop(0.08, 1)": RANDOM_CROP}
    audits = {
        name: audit_augmentations(manifest, data, view, samples=samples, views=views, seed=seed)
        for name, view in policies.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "audit.json", {name: audit.to_dict() for name, audit in audits.items()})
    contact_sheet(manifest, data, policies, out / "contact_sheet.png", seed=seed)
    for name, audit in audits.items():
        log.info("%s", name)
        for line in audit.lines():
            log.info("    %s", line)
    log.info("written: %s and %s", out / "audit.json", out / "contact_sheet.png")
    return audits["configured"].passed
