"""From a method's config to its objective."""

from __future__ import annotations

from torch import nn

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.method import (
    AutoencoderConfig,
    BarlowTwinsConfig,
    BYOLConfig,
    DCLConfig,
    DefectPretextConfig,
    MethodConfig,
    MoCoConfig,
    SimCLRConfig,
    SimSiamConfig,
    VICRegConfig,
)
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.autoencoder import Autoencoding
from ssl_pcb.objectives.barlow_twins import BarlowTwins
from ssl_pcb.objectives.byol import BYOL
from ssl_pcb.objectives.dcl import DCL
from ssl_pcb.objectives.defect_pretext import DefectPretext
from ssl_pcb.objectives.hard_negatives import HardNegatives
from ssl_pcb.objectives.joint_pretext import JointPretext
from ssl_pcb.objectives.moco import MoCo
from ssl_pcb.objectives.reference_contrast import ReferenceContrast
from ssl_pcb.objectives.reference_pretext import ReferencePretext
from ssl_pcb.objectives.simclr import SimCLR
from ssl_pcb.objectives.simsiam import SimSiam
from ssl_pcb.objectives.vicreg import VICReg


def build_objective(
    config: MethodConfig, backbone: Backbone, views: ViewMaker, *, references: bool = False
) -> nn.Module:
    """The objective that ``config`` names; like all of them it has the ``backbone`` that is kept.

    Args:
        config: The method.
        backbone: The network.
        views: Makes views.
        references: Whether batches bring golden images as further channels.

    Raises:
        UserError: If backbone and method do not go together.
    """
    match config:
        case SimCLRConfig() if references:
            return ReferenceContrast(config, backbone, views)
        case SimCLRConfig(hard_negatives="synthetic"):
            return HardNegatives(config, backbone, views)
        case SimCLRConfig():
            return SimCLR(config, backbone, views)
        case DCLConfig():
            return DCL(config, backbone, views)
        case MoCoConfig():
            return MoCo(config, backbone, views)
        case BarlowTwinsConfig():
            return BarlowTwins(config, backbone, views)
        case VICRegConfig():
            return VICReg(config, backbone, views)
        case SimSiamConfig():
            return SimSiam(config, backbone, views)
        case BYOLConfig():
            return BYOL(config, backbone, views)
        case AutoencoderConfig():
            return Autoencoding(config, backbone, views)
        case DefectPretextConfig() if references:
            return ReferencePretext(config, backbone, views)
        case DefectPretextConfig(nt_xent_weight=0):
            return DefectPretext(config, backbone, views)
        case DefectPretextConfig():
            return JointPretext(config, backbone, views)
