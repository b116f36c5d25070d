"""Which heads and auxiliary classifiers do not go with the keys beside them."""

from ssl_pcb.config.downsizer import DownsizerConfig
from ssl_pcb.config.model import AuxiliaryConfig, BackboneConfig, HeadConfig


def refuse_probe_for(head: HeadConfig) -> None:
    """Refuse to begin a head that is more than a linear layer as a linear probe.

    Raises:
        ValueError: In one line.
    """
    if head.name != "linear":
        raise ValueError(
            f"head_start: a probe is a linear layer, which {head.name} is not; set head.name=linear, or "
            "head_start=random"
        )


def refuse_several_maps(head: HeadConfig, backbone: BackboneConfig) -> None:
    """Refuse attention on more maps than one.

    Raises:
        ValueError: In one line.
    """
    if head.name == "attention" and len(backbone.strides) > 1 and not backbone.neck:
        raise ValueError(
            "head.name: attention looks at one map; give backbone.strides one stride, or fuse them with backbone.neck"
        )


def refuse_views_of_a_map(head: HeadConfig, backbone: BackboneConfig) -> None:
    """Refuse features averaged over views where the head sees a map, which is not averaged.

    Raises:
        ValueError: In one line.
    """
    if head.name == "attention" and backbone.tta != "none":
        raise ValueError(
            "backbone.tta: averages features, and an attention head looks at a map; set it to none, or head.name=linear"
        )


def refuse_cut_networks(
    auxiliary: AuxiliaryConfig | None, backbone: BackboneConfig, downsizer: DownsizerConfig | None
) -> None:
    """Refuse an auxiliary classifier where the network does not run from the image to its own end.

    Raises:
        ValueError: In one line.
    """
    other = "backbone.strides" if backbone.strides else "downsizer" if downsizer else None
    if auxiliary and other:
        raise ValueError(
            f"auxiliary: it sees a stage on the way to the network's own end, and not beside {other}; leave one of "
            "them out"
        )
