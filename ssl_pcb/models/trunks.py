"""What stands between a network's features and the layer to the classes."""

from __future__ import annotations

from timm.layers.attention_pool import AttentionPoolLatent
from torch import Tensor, nn

from ssl_pcb.config.model import AttentionHeadConfig, HeadConfig, LinearHeadConfig, MLPHeadConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.models.last_map import set_rest_aside


class AttentionPooling(nn.Module):
    """Each head of a learned query weighs the places of a map by what is there, wherever and however many they are.

    The attention pooling of Zhai et al. 2022 (arXiv 2106.04560); the idea for a few decisive places among many is that
    of Ilse et al. 2018 (arXiv 1802.04712). Projection and MLP behind it are left out: a linear layer follows at once.
    """

    def __init__(self, depth: int, heads: int) -> None:
        super().__init__()
        self.pool = AttentionPoolLatent(depth, num_heads=heads, out_features=0)

    def forward(self, maps: Tensor) -> Tensor:
        """Features (B, D) of maps (B, D, h, w)."""
        features: Tensor = self.pool(maps.flatten(2).transpose(1, 2))
        return features


def build_trunk(config: HeadConfig, dim: int) -> tuple[nn.Module, int]:
    """The trunk of the head that ``config`` names, and how many features it gives.

    Args:
        config: Of the head.
        dim: From :func:`input_dim`.
    """
    match config:
        case LinearHeadConfig():
            return nn.Identity(), dim
        case MLPHeadConfig():
            hidden = config.hidden_dim
            return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(config.drop_rate)), hidden
        case AttentionHeadConfig():
            return AttentionPooling(dim, config.heads), dim


def input_dim(config: HeadConfig, backbone: Backbone | DownsizedBackbone) -> int:
    """Width of what the head sees of ``backbone``: its pooled features, or for attention its last feature map.

    What lies behind the map is then left out of the training.

    Raises:
        UserError: If there is no map, or the pooled features are more than its average, or the attention heads do not
            divide it.
    """
    if not isinstance(config, AttentionHeadConfig):
        return backbone.dim
    last = backbone.backbone if isinstance(backbone, DownsizedBackbone) else backbone
    depth = last.map_depth()
    if depth % config.heads:
        fits = next(heads for heads in range(config.heads, 0, -1) if depth % heads == 0)
        raise UserError(
            f"head.heads: {config.heads} do not divide the {depth} channels of {last.name}'s last map; set it to {fits}"
        )
    set_rest_aside(last)
    return depth
