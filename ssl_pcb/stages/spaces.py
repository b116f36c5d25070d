"""Features of samples in the space that a finished run has learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.cache import cache_dir
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.features import FeatureNetwork, cached_features
from ssl_pcb.models.autoencoder import Autoencoder
from ssl_pcb.stages.embed import open_coder


@dataclass(frozen=True)
class Space:
    """A frozen network on its device, and the samples as it sees them.

    Attributes:
        network: Whose pooled features the space is made of.
        samples: Packed as its run has them.
        data: How that was.
        fabric: Device and the run's precision.
    """

    network: FeatureNetwork
    samples: Samples
    data: DataConfig
    fabric: Fabric

    def features(self, rows: NDArray[np.int64], label: str = "features") -> NDArray[np.float32]:
        """Features (N, D) of manifest ``rows`` (N,), computed once and kept in the cache."""
        cache = self.data.cache or cache_dir()
        return cached_features(self.network, self.samples, rows, self.fabric, cache, label=label)


Load = Callable[[DataConfig], tuple[Samples, DataConfig]]
"""Opens data, as :func:`ssl_pcb.data.samples.load_samples`."""


def open_space(run: Path, device: str, load: Load = load_samples, **data: Any) -> Space:
    """The space of the finished run in ``run``, with samples in it.

    Args:
        run: Folder of any stage but crossval, which has a network a fold.
        device: ``auto``, ``cpu`` or ``cuda``.
        load: Opens the images, which says what it does to them: who has done so already need not say it again.
        data: Keys of the config's ``data`` in which to differ from the run, such as ``manifest``.

    Raises:
        UserError: If it is no such run, or the images cannot be read.
    """
    coder = open_coder(run, device)
    if coder.both:
        raise UserError(f"{run}: its network sees golden images too, and this command brings none; name another run")
    network = coder.network.backbone if isinstance(coder.network, Autoencoder) else coder.network
    samples, config = load(coder.config.data.model_copy(update=data | {"references": False}))
    return Space(network, samples, config, coder.fabric)
