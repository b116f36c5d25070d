"""Features of a frozen backbone, computed once and kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from ssl_pcb.augment.views import plain_view
from ssl_pcb.data.files import whole_stream
from ssl_pcb.data.loaders import ArrayDataset, batches, fetched, images_at_once
from ssl_pcb.data.samples import Samples
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.training.processes import gather_shares, share_of

log = logging.getLogger(__name__)

FeatureNetwork = Backbone | DownsizedBackbone


def state_hash(module: nn.Module) -> str:
    """Hash of all parameters and buffers, byte for byte."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:24]


@torch.no_grad()
def feature_batches(
    backbone: FeatureNetwork,
    dataset: ArrayDataset,
    numbers: NDArray[np.int64],
    size: int,
    fabric: Fabric,
    *,
    batch_size: int | None = None,
    label: str = "features",
) -> Iterator[NDArray[np.float32]]:
    """Features (B, D) of stored pixels without augmentation, batch by batch, with the backbone in eval mode.

    Args:
        backbone: Already on the device; its buffers are not changed, its mode is given back.
        dataset: Stored pixels.
        numbers: Positions in ``dataset``, in the order wanted.
        size: Side of a sample without its ring.
        fabric: Device and precision.
        batch_size: Images at a time; ``None`` = by their size.
        label: What the progress bar calls this.
    """
    was_training = backbone.training
    backbone.eval()
    loader = batches(dataset, numbers, batch_size or images_at_once(size, fabric.device), drop_last=False)
    hidden = None if fabric.is_global_zero else True
    try:
        bar = tqdm(loader, label, disable=hidden, leave=False, unit="batch")
        for batch in fetched(bar, fabric.device):
            with fabric.autocast():
                found = backbone(plain_view(batch.inputs, size))
            yield found.float().cpu().numpy()
    finally:
        backbone.train(was_training)


def extract_features(
    backbone: FeatureNetwork, dataset: ArrayDataset, size: int, fabric: Fabric, *, label: str = "features"
) -> NDArray[np.float32]:
    """Features (N, D) float32 of stored pixels without augmentation, with the backbone in eval mode.

    Several processes share the work; each gets all of the result.

    Args:
        backbone: Already on the device; its buffers are not changed, its mode is given back.
        dataset: Stored pixels.
        size: Side of a sample without its ring.
        fabric: Device, precision and processes.
        label: What the progress bar calls this.
    """
    own = share_of(fabric).of(np.arange(len(dataset)))
    features = np.empty((len(own), backbone.dim), np.float32)
    done = 0
    for found in feature_batches(backbone, dataset, own, size, fabric, label=label):
        features[done : done + len(found)] = found
        done += len(found)
    if fabric.world_size == 1:
        return features
    return gather_shares(torch.from_numpy(features).to(fabric.device), len(dataset), fabric).cpu().numpy()


def cached_features(
    backbone: FeatureNetwork, samples: Samples, rows: NDArray[np.int64], fabric: Fabric, cache: Path, *, label: str
) -> NDArray[np.float32]:
    """As :func:`extract_features` for manifest ``rows``, kept in ``cache`` under network, pixels and precision.

    The first process alone reads what is kept; the others then get no rows. A damaged file is made anew; where none
    can be written, that is said, and the features are there all the same.
    """
    precision = type(fabric.strategy.precision).__name__
    parts = [state_hash(backbone), backbone.design, samples.pixels_name, precision, fabric.device.type]
    name = hashlib.sha256("|".join(parts).encode() + rows.tobytes()).hexdigest()[:24]
    file = cache / "features" / f"{name}.npy"
    kept = _read(file, (len(rows), backbone.dim)) if fabric.is_global_zero else None
    if fabric.broadcast(kept is not None):
        return np.empty((0, backbone.dim), np.float32) if kept is None else kept
    features = extract_features(backbone, samples.pixels(rows), samples.store.spec.size, fabric, label=label)
    if not fabric.is_global_zero:
        return features
    try:
        with whole_stream(file, shared=True) as opened:
            np.save(opened, features, allow_pickle=False)
    except UserError as error:
        log.warning("features are not kept: %s", error)
    return features


def _read(file: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    try:
        kept: NDArray[np.float32] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept if kept.shape == shape and kept.dtype == np.float32 else None
