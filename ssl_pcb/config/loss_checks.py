"""What a loss does not go together with."""

from ssl_pcb.config.loss import LossConfig, SupConConfig
from ssl_pcb.config.margin_losses import OfOneLength
from ssl_pcb.config.operations import AugMixConfig
from ssl_pcb.config.painting import PaintedConfig
from ssl_pcb.config.policy import AugmentConfig
from ssl_pcb.config.sampler import SamplerConfig


def refuse_lonely_anchors(loss: LossConfig, sampler: SamplerConfig) -> None:
    """Refuse contrast between samples of which too few have one of their own class beside them.

    Raises:
        ValueError: In one line.
    """
    if isinstance(loss, SupConConfig) and loss.views == 1 and sampler.name != "balanced_batch":
        raise ValueError(
            "loss.views: with one view a sample of the rarer class often has no other of it in the batch; set "
            "loss.views=2 or sampler.name=balanced_batch"
        )


def refuse_equal_views(loss: LossConfig, augment: AugmentConfig) -> None:
    """Refuse contrast between a picture and itself.

    Raises:
        ValueError: In one line.
    """
    if isinstance(loss, SupConConfig) and loss.views == 2 and augment.name == "none":
        raise ValueError(
            "loss.views: without augmentation both views are the same picture; set augment.name=symmetries, or "
            "loss.views=1 and sampler.name=balanced_batch"
        )


def refuse_two_labels(loss: LossConfig, augment: AugmentConfig) -> None:
    """Refuse pictures of two labels for a loss that asks which one class a sample is of.

    Raises:
        ValueError: In one line.
    """
    if loss.one_class and augment.two_labels:
        raise ValueError(
            f"augment: {augment.name} gives a picture two labels here, and loss {loss.name} takes one; set "
            "augment.name=cutmix with augment.labels=defect_aware or kept, or another loss"
        )


def refuse_other_counts(loss: LossConfig, augment: AugmentConfig) -> None:
    """Refuse a loss that weighs classes as the sampler shows them where the network is shown others.

    Raises:
        ValueError: In one line.
    """
    if loss.by_counts and isinstance(augment, PaintedConfig):
        raise ValueError(
            f"augment.name: painted makes good pictures Defective, and loss {loss.name} goes by the classes as the "
            "sampler shows them; set loss.name=cross_entropy without class weights, or another augmentation"
        )


def refuse_cut_gradient(loss: LossConfig, augment: AugmentConfig) -> None:
    """Refuse to hold predictions together that teach the network nothing.

    Raises:
        ValueError: In one line.
    """
    if isinstance(loss, SupConConfig) and loss.mode == "two_stage" and isinstance(augment, AugMixConfig):
        raise ValueError(
            "augment.name: augmix holds predictions together, and those of loss.mode=two_stage do not reach the "
            "network; set loss.mode=joint, or another augmentation"
        )


def refuse_pixels(loss: LossConfig) -> None:
    """Refuse a loss that needs more than ready features.

    Raises:
        ValueError: In one line.
    """
    if isinstance(loss, SupConConfig) and (loss.views == 2 or loss.mode == "two_stage"):
        raise ValueError(
            "loss: supcon trains a network by views of pixels, and these heads see ready features; set "
            "loss.mode=joint, loss.views=1 and sampler.name=balanced_batch"
        )


def refuse_probe_in(loss: LossConfig) -> None:
    """Refuse a loss whose last layer cannot begin as a probe.

    Raises:
        ValueError: In one line.
    """
    if isinstance(loss, OfOneLength):
        raise ValueError(
            f"head_start: a probe sees features of any length, and the layer of loss.name={loss.name} brings them to "
            "one; set head_start=random, or another loss"
        )
