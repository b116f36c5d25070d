"""Feature extractors from timm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.creation import create_network
from ssl_pcb.models.feature_maps import PROBE, stages_at
from ssl_pcb.models.initialisation import begin_as_he
from ssl_pcb.models.neck import Neck
from ssl_pcb.models.norms import with_norm
from ssl_pcb.models.pooling import pool_map
from ssl_pcb.models.symmetries import OverSymmetries


class Backbone(OverSymmetries):
    """A timm network that turns images in [0, 1] into pooled features.

    Normalisation of the input is part of the module, so that weights and the scale that they expect travel
    together.

    Attributes:
        name: timm model name.
        channels: Input channels: 1 or 3, twice that with golden images.
        norm: ``own``, ``group`` or ``frozen``, as in the config.
        antialias: Whether it blurs before it skips pixels.
        strides: Pixels per step of the maps that are pooled; empty = the network's own end.
        context: Pixels of each side of an image that surround the sample itself: seen, and not pooled.
        cell: Pixels per step of the coarsest map that is pooled; 0 = the network's own end.
        wide_depths: Channels of each of these maps.
        neck: Fuses them into one, or ``None``.
        tta: Whether features in eval mode are means over the eight symmetries.
        dim: Number of features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig, channels: int, context: int = 0) -> None:
        """Build the network.

        Args:
            config: Name, start weights and norm.
            channels: Input channels.
            context: Pixels of each side of an image that surround the sample itself.

        Raises:
            UserError: If timm has no model of that name, its weights cannot be had, it takes one image size only, it
                has no map of a stride or no anti-aliasing, the norm does not go with network or weights, or the
                context is no whole number of cells.
        """
        super().__init__()
        self.name, self.channels, self.norm, self.antialias = config.name, channels, config.norm, config.antialias
        self.strides, self.pool, self.context = config.strides, config.pool, context
        self.tta = config.tta == "symmetries"
        self.cell = (config.strides[0] if config.neck else config.strides[-1]) if config.strides else 0
        self._refuse_context()
        network = create_network(config, channels)
        if config.init == "he":
            begin_as_he(network)
        self.network = with_norm(network, config)
        self.register_buffer("mean", torch.full((channels, 1, 1), 0.5))
        self.register_buffer("std", torch.full((channels, 1, 1), 0.25))
        if config.weights == "timm":
            self.scale_as_timm()
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
        within = f" within {self.context}" if self.context else ""
        design = f"{self.name} {self.norm} {strides} {self.pool}{within}" + " antialiased" * self.antialias
        return design + " over symmetries" * self.tta

    def scale_as_timm(self) -> None:
        """Scale images as timm's weights of this network expect them; other than three channels all by the mean."""
        recipe: Any = self.network.pretrained_cfg
        for scale, key in ((self.mean, "mean"), (self.std, "std")):
            value = torch.tensor(recipe[key])
            scale.copy_((value if len(value) == self.channels else value.mean()).reshape(-1, 1, 1))

    def features(self, images: Tensor) -> Tensor:
        """Features (B, dim) of images (B, C, H, W) in [0, 1], from one view of each."""
        if self.strides:
            return self.pooled(self.maps(images))
        features: Tensor = self.network(self._scaled(images))
        return features

    def maps(self, images: Tensor) -> list[Tensor]:
        """Maps (B, depth, h, w) of the samples in images (B, C, H, W) in [0, 1], without what surrounds them.

        The neck's, or without one those of all strides.
        """
        wide = self.wide_maps(images)
        return self.own_cells(wide if self.neck is None else [self.fused(wide)])

    def own_cells(self, maps: list[Tensor]) -> list[Tensor]:
        """The cells of the samples themselves, of maps of all strides or of the finest alone."""
        if not self.context:
            return maps
        aside = [self.context // stride for stride in self.strides]
        return [each[..., k : each.shape[2] - k, k : each.shape[3] - k] for each, k in zip(maps, aside, strict=False)]

    def wide_maps(self, images: Tensor) -> list[Tensor]:
        """The map (B, depth, h, w) of each stride, the finest first, of images (B, C, H, W) in [0, 1], all of them."""
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
        return torch.cat([part for each in maps for part in pool_map(each, self.pool)], 1)

    def feature_map(self, images: Tensor) -> Tensor:
        """The last feature map (B, D, h, w), before pooling, of images (B, C, H, W) in [0, 1]."""
        if self.strides:
            return self.maps(images)[-1]
        found: Tensor = self.network.forward_features(self._scaled(images))  # type: ignore[operator]
        return found

    def map_and_stage(self, images: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """:meth:`feature_map`, and on the way there the map (B, depth, h, w) of a stage, by its number."""
        last, (found,) = self.network.forward_intermediates(self._scaled(images), indices=[number])  # type: ignore[operator]
        return last, found

    def pooled_end(self, last: Tensor) -> Tensor:
        """Features (B, dim) of :meth:`feature_map`, where that is the network's own end."""
        features: Tensor = self.network.forward_head(last)  # type: ignore[operator]
        return features

    def _refuse_context(self) -> None:
        if not self.context:
            return
        if not self.strides:
            raise UserError(
                "data.context: is told from the tile itself on the network's maps; set backbone.strides=[8,16] and "
                "backbone.pool=avg_max, or data.context=0"
            )
        if self.context % self.cell:
            raise UserError(
                f"data.context: {self.context} px are no whole cells of {self.cell} px; give a multiple of that"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for key, scale in (("mean", self.mean), ("std", self.std)):
            if prefix + key in state_dict:  # earlier files hold one number for all channels
                state_dict[prefix + key] = state_dict[prefix + key].expand_as(scale)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _scaled(self, images: Tensor) -> Tensor:
        return torch.addcmul(-self.mean / self.std, images, 1 / self.std)  # fresh memory once, not twice

    def _keep_maps(self) -> None:
        """Find the last map of each stride, and drop the parts of the network behind the last of them."""
        network: Any = self.network
        stages = stages_at(network, self.name, self.channels, self.strides, "backbone.strides")
        self._indices = [stage.number for stage in stages]
        self.wide_depths = tuple(stage.depth for stage in stages)
        before = set(network.state_dict())
        network.prune_intermediate_layers(self._indices, prune_norm=True, prune_head=True)
        self.set_aside = tuple(sorted(before - set(network.state_dict())))

    @torch.no_grad()
    def map_depth(self, stride: int | None = None) -> int:
        """Channels of :meth:`feature_map`.

        Raises:
            UserError: If it is not a map, or not one of one value for ``stride`` x ``stride`` pixels.
        """
        was_training, side = self.training, (2 * stride if stride else PROBE) + 2 * self.context
        shape = tuple(self.eval().feature_map(self.mean.new_zeros(1, self.channels, side, side)).shape)
        self.train(was_training)
        if len(shape) != 4 or shape[2] != shape[3] or (stride and shape[2] != 2):
            where = f" at stride {stride}" if stride else ""
            raise UserError(
                f"backbone.name: '{self.name}' ends in no feature map{where}; choose another, for instance resnet18"
            )
        return shape[1]


@torch.no_grad()
def refuse_size(network: nn.Module, channels: int, size: int) -> None:
    """Refuse images of ``size`` pixels that ``network`` cannot take, before anything is trained.

    Raises:
        UserError: With what the network says of it.
    """
    if isinstance(network, Backbone) and network.context:
        around, cell = 2 * network.context, network.cell
        if (size - around) % cell:
            raise UserError(
                f"data.image_size: {size} px less {network.context} px of context on each side are no whole cells of "
                f"{cell} px; set it to {(size - around) // cell * cell + around}"
            )
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, channels, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"data.image_size: {size} px do not suit the network ({str(error).splitlines()[0]}); choose another size, "
            "or a convolutional backbone"
        ) from None
    network.train(was_training)


@torch.no_grad()
def _feature_dim(backbone: Backbone) -> int:
    # timm's num_features is not the pooled width of every family; one tiny forward pass is.
    backbone.eval()
    try:
        side = PROBE + 2 * backbone.context
        dim = backbone(torch.zeros(1, backbone.channels, side, side)).shape[1]
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"backbone.name: '{backbone.name}' does not take images of any size ({str(error).splitlines()[0]}); "
            "choose another, for instance a convolutional one"
        ) from None
    backbone.train()
    return int(dim)
