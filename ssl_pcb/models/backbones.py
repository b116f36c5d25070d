"""Feature extractors from timm."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.initialisation import begin_as_he
from ssl_pcb.models.neck import Neck
from ssl_pcb.models.norms import with_norm

GEM, GEM_LEAST = 3.0, 1e-6
"""Power of the generalised mean: 1 is the mean, infinity the maximum. And what smaller values count as."""

PROBE = 64
"""Side in pixels of the images that tell a network's strides; any stride up to it divides it."""


class Backbone(nn.Module):
    """A timm network that turns images in [0, 1] into pooled features.

    Normalisation of the input is part of the module, so that weights and the scale that they expect travel
    together.

    Attributes:
        name: timm model name.
        channels: Input channels: 1 or 3, twice that with golden images.
        norm: ``own``, ``group`` or ``frozen``, as in the config.
        strides: Pixels per step of the maps that are pooled; empty = the network's own end.
        wide_depths: Channels of each of these maps.
        neck: Fuses them into one, or ``None``.
        dim: Number of features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig, channels: int) -> None:
        """Build the network.

        Args:
            config: Name, start weights and norm.
            channels: Input channels.

        Raises:
            UserError: If timm has no model of that name, its weights cannot be had, it takes one image size only, it
                has no map of a stride, or the norm does not go with network or weights.
        """
        super().__init__()
        self.name, self.channels, self.norm = config.name, channels, config.norm
        self.strides, self.pool = config.strides, config.pool
        network = _create(config, channels)
        if config.init == "he":
            begin_as_he(network)
        self.network = with_norm(network, config)
        pretrained = config.weights == "timm"
        recipe: Any = self.network.pretrained_cfg if pretrained else {"mean": [0.5], "std": [0.25]}
        for key in ("mean", "std"):
            value = torch.tensor(recipe[key])
            self.register_buffer(key, (value if len(value) == channels else value.mean()).reshape(-1, 1, 1))
        self.set_aside: tuple[str, ...] = ()
        self.wide_depths: tuple[int, ...] = ()
        if self.strides:
            self._keep_maps()
        self.neck = Neck(self.wide_depths, config.neck) if config.neck else None
        self.dim = _feature_dim(self)

    @property
    def design(self) -> str:
        """What the weights do not tell of the network: two of one design with the same weights compute the same."""
        strides = ",".join(map(str, self.strides)) or "end"
        return f"{self.name} {self.norm} {strides} {self.pool}"

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, dim) of images (B, C, H, W) in [0, 1]."""
        if self.strides:
            return self.pooled(self.maps(images))
        features: Tensor = self.network(self._scaled(images))
        return features

    def maps(self, images: Tensor) -> list[Tensor]:
        """Maps (B, depth, h, w) of images (B, C, H, W) in [0, 1]: the neck's, or without one those of all strides."""
        wide = self.wide_maps(images)
        return wide if self.neck is None else [self.fused(wide)]

    def wide_maps(self, images: Tensor) -> list[Tensor]:
        """The map (B, depth, h, w) of each stride, the finest first, of images (B, C, H, W) in [0, 1]."""
        found: list[Tensor] = self.network.forward_intermediates(  # type: ignore[operator]
            self._scaled(images), indices=self._indices, intermediates_only=True, stop_early=True
        )
        return found

    def fused(self, wide: list[Tensor]) -> Tensor:
        """The neck's map (B, channels, h, w) of :meth:`wide_maps`."""
        assert self.neck is not None
        found: Tensor = self.neck(wide)
        return found

    def pooled(self, maps: list[Tensor]) -> Tensor:
        """Features (B, dim) of :meth:`maps`."""
        return torch.cat([part for each in maps for part in _pool(each, self.pool)], 1)

    def feature_map(self, images: Tensor) -> Tensor:
        """The last feature map (B, D, h, w), before pooling, of images (B, C, H, W) in [0, 1]."""
        found: Tensor = self.network.forward_features(self._scaled(images))  # type: ignore[operator]
        return found

    def _scaled(self, images: Tensor) -> Tensor:
        return torch.addcmul(-self.mean / self.std, images, 1 / self.std)  # fresh memory once, not twice

    @torch.no_grad()
    def _keep_maps(self) -> None:
        """Find the last map of each stride, and drop the parts of the network behind the last of them."""
        network: Any = self.network
        if not hasattr(network, "forward_intermediates"):
            raise UserError(f"backbone.strides: '{self.name}' gives out no maps; leave strides empty")
        images = torch.zeros(1, self.channels, PROBE, PROBE)
        found = network.eval().forward_intermediates(images, intermediates_only=True)
        last = {PROBE // each.shape[-1]: (number, each.shape[1]) for number, each in enumerate(found)}
        lost = [stride for stride in self.strides if stride not in last]
        if lost:
            offered = ", ".join(str(stride) for stride in sorted(last))
            raise UserError(f"backbone.strides: '{self.name}' has no map of stride {lost[0]}, only of {offered}")
        self._indices = [last[stride][0] for stride in self.strides]
        self.wide_depths = tuple(last[stride][1] for stride in self.strides)
        before = set(network.state_dict())
        network.prune_intermediate_layers(self._indices, prune_norm=True, prune_head=True)
        self.set_aside = tuple(sorted(before - set(network.state_dict())))
        network.train()

    @torch.no_grad()
    def map_depth(self, stride: int) -> int:
        """Channels of :meth:`feature_map`.

        Raises:
            UserError: If it is not a map of one value for ``stride`` x ``stride`` pixels.
        """
        was_training = self.training
        shape = tuple(self.eval().feature_map(self.mean.new_zeros(1, self.channels, 2 * stride, 2 * stride)).shape)
        self.train(was_training)
        if len(shape) != 4 or shape[2:] != (2, 2):
            raise UserError(
                f"backbone.name: '{self.name}' ends in no feature map at stride {stride}; "
                "choose another, for instance resnet18"
            )
        return shape[1]


@torch.no_grad()
def refuse_size(network: nn.Module, channels: int, size: int) -> None:
    """Refuse images of ``size`` pixels that ``network`` cannot take, before anything is trained.

    Raises:
        UserError: With what the network says of it.
    """
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, channels, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"data.image_size: {size} px do not suit the network ({str(error).splitlines()[0]}); choose another size, "
            "or a convolutional backbone"
        ) from None
    network.train(was_training)


def _pool(values: Tensor, how: str) -> list[Tensor]:
    match how:
        case "avg":
            return [values.mean((2, 3))]
        case "max":
            return [values.amax((2, 3))]
        case "avg_max":
            return [values.mean((2, 3)), values.amax((2, 3))]
        case _:  # gem (Radenovic et al. 2019, arXiv 1711.02512); bfloat16 has too few digits for its powers
            return [values.float().clamp(min=GEM_LEAST).pow(GEM).mean((2, 3)).pow(1 / GEM)]


def _create(config: BackboneConfig, channels: int) -> nn.Module:
    if not timm.is_model(config.name):
        near = difflib.get_close_matches(config.name, timm.list_models(), n=1)
        raise UserError(
            f"backbone.name: timm has no model '{config.name}'" + (f", did you mean {near[0]}?" if near else "")
        )
    try:
        return timm.create_model(
            config.name,
            pretrained=config.weights == "timm",
            in_chans=channels,
            num_classes=0,
            drop_rate=config.drop_rate,
        )
    except (OSError, RuntimeError) as error:
        if config.weights == "none":
            raise
        raise UserError(
            f"backbone.weights: timm could not give weights for '{config.name}' "
            f"({str(error).splitlines()[0]}); set backbone.weights=none or pass a file with --checkpoint"
        ) from None


@torch.no_grad()
def _feature_dim(backbone: Backbone) -> int:
    # timm's num_features is not the pooled width of every family; one tiny forward pass is.
    backbone.eval()
    try:
        dim = backbone(torch.zeros(1, backbone.channels, 64, 64)).shape[1]
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"backbone.name: '{backbone.name}' does not take images of any size ({str(error).splitlines()[0]}); "
            "choose another, for instance a convolutional one"
        ) from None
    backbone.train()
    return int(dim)
