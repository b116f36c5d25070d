"""Which corruptions a network has met in training, under the name of an augmentation."""

from __future__ import annotations

from collections.abc import Iterator

from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.operations import AugMixConfig, RandAugmentConfig
from ssl_pcb.config.policy import AugmentConfig

SHIFT = "shift"
SMOOTHING = ("defocus", "motion_blur", "resolution")

VIEW = {
    "photometry": {
        "brightness": ("brighter", "darker"),
        "contrast": ("contrast",),
        "gamma": ("brighter", "darker", "contrast"),
        "blur": SMOOTHING,
        "noise": ("sensor_noise",),
        "jpeg": ("jpeg",),
    },
    "geometry": {
        "rotation": ("rotation",),
        "translation": (SHIFT,),
        "shrink": ("resolution",),
        "random_crop": (SHIFT, "resolution"),
    },
}
"""Keys of a view to what they are like."""

REPLACED = ("rotation", "translation", "shrink")
"""Keys that count for nothing where crops are random."""

OPERATIONS = {
    "brightness": ("brighter", "darker"),
    "contrast": ("contrast",),
    "autocontrast": ("contrast",),
    "equalize": ("contrast",),
    "color": ("colour_temperature",),
    "sharpness": SMOOTHING,
    "rotate": ("rotation",),
    "rotate_inside": ("rotation",),
    "translate_x": (SHIFT,),
    "translate_y": (SHIFT,),
}
"""Operations of AugMix and RandAugment to what they are like; the others are like nothing here."""


def trained_on(augment: AugmentConfig) -> dict[str, list[str]]:
    """Corruption, or :data:`SHIFT`, to the keys of a finetuning's ``augment`` that showed the network such pictures.

    What its pretraining showed is another matter.
    """
    found: dict[str, list[str]] = {}
    for key, alike in [*_of_view(augment.view), *_of_operations(augment)]:
        for name in alike:
            found.setdefault(name, []).append(key)
    return found


def _of_view(view: ViewConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    for group, keys in VIEW.items():
        for key, alike in keys.items():
            idle = group == "geometry" and key in REPLACED and view.geometry.random_crop is not None
            if getattr(getattr(view, group), key) and not idle:
                yield f"augment.view.{group}.{key}", alike


def _of_operations(augment: AugmentConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(augment, AugMixConfig | RandAugmentConfig):
        for name in augment.operations:
            yield f"augment.operations={name}", OPERATIONS.get(name, ())
