"""What an audit of augmentations holds against one, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator

from ssl_pcb.audit.augmentations import IN_VIEW, AugmentationAudit
from ssl_pcb.audit.policies import PolicyAudit
from ssl_pcb.audit.proportion import Proportion
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.mixing import CutMixConfig, MixUpConfig
from ssl_pcb.config.operations import AugMixConfig, RandAugmentConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.reports.audit_result import Finding

WITHIN = "set rotation, translation and shrink of {}view.geometry to 0: within data.context they move the tile's edge"
WITHOUT_CROPS = "leave out {}view.geometry.random_crop: all other views keep the whole sample"


def findings_of_views(audit: AugmentationAudit, view: ViewConfig, context: int) -> list[Finding]:
    """Whether the views of a pretraining cut defects away; ``context`` as of :func:`findings_of_policy`."""
    if audit.passed:
        return []
    measure = f"share of the defects of which at least {IN_VIEW:.0%} stays in view"
    mend = WITHIN.format("") if context and view.geometry.random_crop is None else WITHOUT_CROPS.format("")
    return [_finding("the views cut defects away", measure, audit.in_view, 1.0, mend)]


def findings_of_policy(name: str, audit: PolicyAudit, config: AugmentConfig, context: int) -> Iterator[Finding]:
    """Whether an augmentation of a finetuning makes labels wrong, by itself or by neighbours' defects.

    ``context`` pixels of each side of its pictures surround the samples themselves.
    """
    if audit.label_noise.hits:
        what = f"{name} puts labels on the class that a picture does not show"
        yield _finding(what, "share of the label mass", audit.label_noise, 0.0, _mend(config, context))
    if audit.neighbours is not None and audit.neighbours.hits:
        what = f"{name} shows neighbours' defects in views of clean samples"
        mend = "set augment.view.geometry.surroundings=false"
        if context:
            mend = WITHIN.format("augment.")
        yield _finding(what, "share of these views", audit.neighbours, 0.0, mend)


def _mend(config: AugmentConfig, context: int) -> str:
    if config.view.geometry.random_crop is not None:
        return WITHOUT_CROPS.format("augment.")
    if context and not config.view.geometry.exact:
        return WITHIN.format("augment.")
    match config:
        case CutMixConfig():
            return "set augment.labels=defect_aware: labels then follow the boxes that are seen"
        case MixUpConfig():
            return "take cutmix with augment.labels=defect_aware: a blend hides what it shows least of"
        case AugMixConfig() | RandAugmentConfig():
            return "leave rotate, shear_x, shear_y, translate_x and translate_y out of augment.operations"
    return "check labels against boxes in the manifest: this augmentation loses no defect"


def _finding(what: str, measure: str, found: Proportion, limit: float, mend: str) -> Finding:
    return Finding(what, measure, found.value, *found.interval(), limit, (), mend)
