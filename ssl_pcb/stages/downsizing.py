"""The network that finetune trains: a backbone from a checkpoint, or one behind a learned downsizer."""

from __future__ import annotations

import logging
from pathlib import Path

from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.samples import Samples
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.depths import freeze_stages
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.stages.weights import Start, backbone_of, start_from
from ssl_pcb.training.checkpoint import BACKBONE, load_backbone, read_weights

log = logging.getLogger(__name__)


def start_network(
    config: FinetuneConfig, samples: Samples, beside: Path
) -> tuple[FinetuneConfig, Start, Backbone | DownsizedBackbone]:
    """Build what ``config`` names, load its weights and freeze its stages.

    Args:
        config: Of the run.
        samples: Present data, whose validation and test boards must be new to all weights.
        beside: The run folder.

    Returns:
        ``config`` with its checkpoints decided, where weights came from, and the network.

    Raises:
        UserError: If a checkpoint does not fit, or saw what it will be judged on, or there is no stage to freeze.
    """
    channels = samples.channels
    if config.downsizer is None:
        start = start_from(
            config.checkpoint, config.backbone, channels, config.runtime, context=config.data.context, samples=samples,
            transductive=config.transductive, beside=beside,
        )  # fmt: skip
        freeze_stages(start.backbone, config.freeze)
        if config.freeze and start.checkpoint == "none" and config.backbone.weights == "none":
            log.warning("freeze: these stages are random and stay so; name weights with --checkpoint, or leave it out")
        return config.model_copy(update={"checkpoint": start.checkpoint}), start, start.backbone
    if config.data.context:
        raise UserError("data.context: a downsizer does not keep it apart from the tile; set it to 0")
    if config.checkpoint not in ("auto", "none"):
        raise UserError(
            f"checkpoint: {config.checkpoint} learned on images and does not fit behind a downsizer; "
            "leave --checkpoint out (downsizer.checkpoint names the encoder's)"
        )
    downsizer = config.downsizer
    encoder = downsizer.backbone or backbone_of(downsizer.checkpoint) or config.backbone
    start = start_from(
        downsizer.checkpoint, encoder, channels, config.runtime, context=0, samples=samples,
        transductive=config.transductive, beside=beside, part="downsizer",
    )  # fmt: skip
    if start.checkpoint == "none" and encoder.weights == "none" and downsizer.frozen:
        log.warning(
            "downsizer: its stages are random and stay so; name a run with downsizer.checkpoint, or set "
            "downsizer.frozen=false"
        )
    downsizer = downsizer.model_copy(update={"backbone": encoder, "checkpoint": start.checkpoint})
    network = DownsizedBackbone(start.backbone, config.backbone, downsizer)
    return config.model_copy(update={"checkpoint": "none", "downsizer": downsizer}), start, network


def load_finetuned(config: FinetuneConfig, folder: Path) -> Backbone | DownsizedBackbone:
    """The network of a finished finetuning.

    Args:
        config: As the run folder has it.
        folder: The run folder.

    Raises:
        UserError: If its weights are missing or do not fit.
    """
    channels = int(config.data.channels) * (2 if config.data.references else 1)
    plain = config.backbone.model_copy(update={"weights": "none"})
    if config.downsizer:
        return load_downsized(config.downsizer, plain, channels, folder)
    backbone = Backbone(plain, channels, config.data.context)
    load_backbone(backbone, folder)
    return backbone


def load_downsized(
    downsizer: DownsizerConfig, classifier: BackboneConfig, channels: int, folder: Path
) -> DownsizedBackbone:
    """The network of a finished finetuning with a downsizer; the encoder's own checkpoint is not needed.

    Args:
        downsizer: As the run's config has it.
        classifier: The run's backbone.
        channels: The run's input channels.
        folder: The run folder.

    Raises:
        UserError: If its weights are missing or do not fit.
    """
    encoder = Backbone((downsizer.backbone or classifier).model_copy(update={"weights": "none"}), channels)
    network = DownsizedBackbone(encoder, classifier, downsizer)
    try:
        network.load_state_dict(read_weights(folder / BACKBONE)[0])
    except (UserError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{folder / BACKBONE}: does not fit the run's config ({reason})") from None
    return network
