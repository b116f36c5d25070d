"""What a measurement of robustness refuses, and what it holds against a classifier."""

from __future__ import annotations

from pathlib import Path

from ssl_pcb.audit.robustness import TWICE, Robustness
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.resolve import probe_files, resolve
from ssl_pcb.data.store import HEADERS
from ssl_pcb.errors import UserError
from ssl_pcb.reports.audit_result import Finding

_BRIGHTNESS = "hold lamp and exposure steady, or train with a larger augment.view.photometry.brightness"
_SHARPNESS = "keep the camera sharp and the board still, or train with a larger augment.view.photometry.blur"
MENDS = {
    "brighter": _BRIGHTNESS,
    "darker": _BRIGHTNESS,
    "contrast": "clean the lens and hold the exposure, or train with a larger augment.view.photometry.contrast",
    "uneven_light": "light the board evenly; no augmentation is like it",
    "glare": "diffuse or polarise the light; no augmentation is like it",
    "defocus": _SHARPNESS,
    "motion_blur": _SHARPNESS,
    "resolution": "keep the camera's resolution, or train with a larger augment.view.photometry.blur",
    "sensor_noise": "give more light or time, or train with a larger augment.view.photometry.noise",
    "jpeg": "store pictures at a higher JPEG quality, or without loss, or train with augment.view.photometry.jpeg",
    "colour_temperature": "hold lamp and white balance steady, or train on grey pictures with data.channels=1",
    "rotation": "align the boards, or train with a larger augment.view.geometry.rotation",
}
"""What helps against a corruption."""


def findings_of(found: Robustness) -> list[Finding]:
    """Corruptions whose mildest severity makes the escape rate more than twice the clean one, beyond chance."""
    clean = found.clean["escape_rate"]
    findings = []
    for hardship in found.hardships:
        mildest, name = hardship.levels[0], hardship.corruption.name
        change = mildest.changes["escape_rate"]
        if hardship.doubled(clean) is mildest and change.low > 0:
            what = f"{name} of severity {mildest.severity} more than doubles the escape rate"
            ends = clean + change.low, clean + change.high
            value = mildest.rates["escape_rate"]
            findings.append(Finding(what, "escape rate", value, *ends, TWICE * clean, (), MENDS[name]))
    return findings


def refuse_grey(data: Path, trained: DataConfig, run: Path) -> None:
    """Refuse grey pictures for a network that was trained on colour; colour is read as grey where it was grey."""
    if trained.channels != 3:
        return
    manifest = Manifest.read(data)
    infos, _ = probe_files(manifest, trained, HEADERS)
    if resolve(trained.model_copy(update={"channels": "auto"}), manifest, infos).channels != 3:
        raise UserError(
            f"{data}: its pictures are grey, and the network of {run} was trained on colour; name pictures in colour, "
            "or a run on grey ones"
        )
