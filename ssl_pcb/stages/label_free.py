"""What a network says of unseen images before anybody has labelled one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

from ssl_pcb.config.load import load_config
from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.config.stages import PretrainConfig
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.neighbours import nearest
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.defect_map import DefectMap, DefectScorer
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.probing import Features, Probed
from ssl_pcb.training.checkpoint import HEAD

NEIGHBOURS = 5
"""Training images that an image is compared with."""


def one_class(features: Features) -> Probed:
    """The mean cosine distance to the nearest training images, whatever these are: what is unlike all is suspicious.

    After deep nearest neighbours (Bergman et al. 2020, arXiv 2002.10445), without their assumption that all training
    images are good.
    """
    bank = features["train"]
    k = min(NEIGHBOURS, len(bank))
    scores = {
        split: 1 - nearest(bank, found, k)[0].astype(np.float64).mean(1)
        for split, found in features.items() if split != "train"
    }  # fmt: skip
    return Probed("one_class", f"k={k}", scores)


def map_scores(found: Features) -> Probed:
    """The scores (N, 1) that a :class:`~ssl_pcb.models.defect_map.DefectScorer` gave."""
    return Probed("defect_map", "max", {split: scores[:, 0].astype(np.float64) for split, scores in found.items()})


def defect_scorer(checkpoint: str, backbone: Backbone) -> DefectScorer | None:
    """The map of defects that was trained with ``backbone``, if ``checkpoint`` is such a run.

    Raises:
        UserError: If its head is missing, damaged, or does not fit.
    """
    folder = Path(checkpoint)
    if checkpoint == "none" or not folder.is_dir() or read_run(folder).get("stage") != "pretrain":
        return None
    method = load_config(PretrainConfig, folder / "config.yaml").method
    if not isinstance(method, DefectPretextConfig):
        return None
    head = DefectMap(backbone, len(method.defect.generators))
    try:
        head.load_state_dict(load_file(folder / HEAD))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UserError(
            f"{folder / HEAD}: is not the map of this run ({str(error).splitlines()[-1].strip()}); pretrain again"
        ) from None
    return DefectScorer(backbone, head)
