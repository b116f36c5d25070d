"""Which samples of a manifest may be learned from without labels; of shards: :mod:`ssl_pcb.data.shards.table`."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError

log = logging.getLogger(__name__)


def choose_training_rows(
    manifest: Manifest,
    name: str,
    use_unsplit: bool,
    *,
    readable: NDArray[np.bool_] | bool = True,
    copies: NDArray[np.bool_] | bool = False,
) -> NDArray[np.int64]:
    """Rows to learn from without labels: all of split ``train``, never validation or test.

    Args:
        manifest: N samples.
        name: What messages call it.
        use_unsplit: Also unlabelled ones without a split that are not of validation or test boards.
        readable: (N,) which of them can be read.
        copies: (N,) which show an image that also stands in a split that is kept apart, as far as that is known.

    Raises:
        UserError: If there are none.
    """
    frame = manifest.frame
    judged = set(frame["group"][frame["split"].isin(["val", "test"])]) - {""}
    train = frame["split"].eq("train").to_numpy() & readable
    unsplit = frame["split"].eq("").to_numpy() & readable
    free = unsplit & frame["label"].eq("").to_numpy() & ~frame["group"].isin(judged).to_numpy() & np.logical_not(copies)
    chosen = train | free if use_unsplit else train
    if not chosen.any():
        raise UserError(
            f"{name}: no sample is in split 'train'; run 'ssl-pcb data split', or take the "
            f"{int(free.sum())} unlabelled images without a split with --use-unsplit"
        )
    if left := int((unsplit & ~chosen).sum()):
        why = "labelled, or of judged boards" if use_unsplit else "unlabelled ones: --use-unsplit"
        log.info("%d samples without a split are left out (%s)", left, why)
    return np.flatnonzero(chosen)
