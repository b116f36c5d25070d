"""Audit what a stage's augmentation does to defects, beside the random crop of ImageNet SimCLR."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssl_pcb.audit.augmentations import AugmentationAudit, audit_augmentations
from ssl_pcb.audit.contact_sheet import contact_sheet
from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.audit.policies import PolicyAudit, audit_policy
from ssl_pcb.audit.policy_sheet import policy_sheet
from ssl_pcb.config.augment import GeometryConfig, RandomCropConfig, StandardConfig, ViewConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.resolve import probe_files, resolve
from ssl_pcb.data.synthetic.embedded import embedded_manifest
from ssl_pcb.reports.run import write_json
from ssl_pcb.stages.checks import refuse_used_folder

log = logging.getLogger(__name__)

RANDOM_CROP = ViewConfig(geometry=GeometryConfig(random_crop=RandomCropConfig(), allow_crops=True))
"""RandomResizedCrop(0.08, 1) with flips and the default light, for comparison."""

SUPERVISED_CROP = RANDOM_CROP.model_copy(
    update={"geometry": RANDOM_CROP.geometry.model_copy(update={"surroundings": False})}
)

CROP, SHEET = "RandomResizedCrop(0.08, 1)", "contact_sheet.png"


def audit_views(config: PretrainConfig, out: Path, *, samples: int, views: int, seed: int) -> bool:
    """Measure ``config.view`` and the random crop; writes ``audit.json`` and ``contact_sheet.png`` into ``out``.

    Returns:
        Whether the configured policy keeps every defect in view.

    Raises:
        UserError: If ``out`` is in use, or the manifest has no boxes.
    """
    refuse_used_folder(out)
    manifest, data = _open(config)
    policies = {"configured": config.view, CROP: RANDOM_CROP}
    audits = {
        name: audit_augmentations(manifest, data, view, samples=samples, views=views, seed=seed)
        for name, view in policies.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(manifest, data, policies, out / SHEET, seed=seed)
    _report(audits, out)
    return audits["configured"].passed


def audit_policies(configs: Sequence[FinetuneConfig], out: Path, *, samples: int, views: int, seed: int) -> bool:
    """The same of what supervised training does to samples and labels, in batches as it draws them.

    Args:
        configs: Of the same data, sampler and batch size; each one's augmentation is measured.
        out: New folder.
        samples: Most samples an epoch.
        views: Epochs.
        seed: Seed of all that is drawn.

    Returns:
        Whether each label says what its picture shows.

    Raises:
        UserError: If ``out`` is in use, or the manifest has no boxes.
    """
    refuse_used_folder(out)
    first = configs[0]
    source = PixelSource.open(*_open(first))
    policies: dict[str, AugmentConfig] = {config.augment.name: config.augment for config in configs}
    beside = {CROP: StandardConfig(view=SUPERVISED_CROP)}
    audits = {
        name: audit_policy(
            source, augment, first.sampler, first.training.batch_size, samples=samples, views=views, seed=seed
        )
        for name, augment in (policies | beside).items()
    }
    out.mkdir(parents=True, exist_ok=True)
    policy_sheet(source, policies, out / SHEET, seed=seed)
    _report(audits, out)
    return all(audits[name].passed for name in policies)


def _open(config: PretrainConfig | FinetuneConfig) -> tuple[Manifest, DataConfig]:
    manifest = Manifest.read(config.data.manifest or embedded_manifest())
    return manifest, resolve(config.data, manifest, probe_files(manifest, config.data)[0])


def _report(audits: Mapping[str, AugmentationAudit | PolicyAudit], out: Path) -> None:
    write_json(out / "audit.json", {name: audit.to_dict() for name, audit in audits.items()})
    for name, audit in audits.items():
        log.info("%s", name)
        for line in audit.lines():
            log.info("    %s", line)
    log.info("written: %s and %s", out / "audit.json", out / SHEET)
