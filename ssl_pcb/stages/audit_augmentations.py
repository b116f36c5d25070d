"""Audit what a stage's augmentation does to defects, beside the random crop of ImageNet SimCLR."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_pcb.audit.augmentations import AugmentationAudit, audit_augmentations
from ssl_pcb.audit.contact_sheet import contact_sheet
from ssl_pcb.audit.pixels import PixelSource
from ssl_pcb.audit.policies import PolicyAudit, audit_policy
from ssl_pcb.audit.policy_sheet import policy_sheet
from ssl_pcb.config.augment import GeometryConfig, RandomCropConfig, StandardConfig, ViewConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.synthetic.embedded import EMBEDDED, embedded_manifest
from ssl_pcb.reports.audit_result import Finding, say_audit, write_audit
from ssl_pcb.stages.augmentation_findings import findings_of_policy, findings_of_views
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
    source, name = _open(config)
    policies = {"configured": config.view, CROP: RANDOM_CROP}
    audits = {
        policy: audit_augmentations(source.manifest, source.data, view, samples=samples, views=views, seed=seed)
        for policy, view in policies.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(source.manifest, source.data, policies, out / SHEET, seed=seed)
    findings = findings_of_views(audits["configured"], config.view, source.data.context)
    return _report(audits, findings, source.describe(name), out)


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
    source, name = _open(first)
    policies: dict[str, AugmentConfig] = {config.augment.name: config.augment for config in configs}
    beside = {CROP: StandardConfig(view=SUPERVISED_CROP)}
    audits = {
        policy: audit_policy(
            source, augment, first.sampler, first.training.batch_size, samples=samples, views=views, seed=seed
        )
        for policy, augment in (policies | beside).items()
    }
    out.mkdir(parents=True, exist_ok=True)
    policy_sheet(source, policies, out / SHEET, seed=seed)
    findings = [
        finding
        for policy, config in policies.items()
        for finding in findings_of_policy(policy, audits[policy], config, source.data.context)
    ]
    return _report(audits, findings, source.describe(name), out)


def _open(config: PretrainConfig | FinetuneConfig) -> tuple[PixelSource, str]:
    """The samples, and what they are called."""
    manifest = Manifest.read(config.data.manifest or embedded_manifest())
    return PixelSource.open(manifest, config.data), str(config.data.manifest or EMBEDDED)


def _report(
    audits: Mapping[str, AugmentationAudit | PolicyAudit], findings: Sequence[Finding], data: dict[str, Any], out: Path
) -> bool:
    facts = {"augmentations": {name: {"passed": audit.passed} | audit.to_dict() for name, audit in audits.items()}}
    passed = write_audit(out, "augmentations", data, findings, facts, SHEET)
    for name, audit in audits.items():
        log.info("%s%s", name, " (for comparison)" if name == CROP else "")
        for line in audit.lines():
            log.info("    %s", line)
    say_audit(out, findings, (), SHEET)
    return passed
