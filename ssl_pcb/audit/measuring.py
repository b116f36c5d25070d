"""Every file of a manifest looked at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.audit.blanking import blanked_places
from ssl_pcb.audit.looking import Look, look_at_file
from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.boxes import DEFECTIVE
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.parallel import map_files
from ssl_pcb.data.resolve import MEND
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import ImageInfo


@dataclass(frozen=True)
class Measured:
    """What samples and their files show.

    Attributes:
        rows: (N,) rows of the manifest that could be read, ascending.
        looks: What was measured of each.
        boxed: Number of defective ones among them that show a box.
        bad: Message for each file that was left out, by manifest path.
    """

    rows: NDArray[np.int64]
    looks: list[Look]
    boxed: int
    bad: dict[str, str]


def measure_samples(
    manifest: Manifest,
    data: DataConfig,
    infos: dict[str, ImageInfo],
    seed: int,
    progress: Callable[[], object] | None = None,
) -> Measured:
    """Read and decode each file once.

    Args:
        manifest: Labelled samples.
        data: Settings, none of them automatic.
        infos: Headers of the readable files by manifest path; samples of others are left out.
        seed: Seed of what is blanked in clean samples.
        progress: Called after each file.

    Raises:
        UserError: On an unreadable image unless ``data.skip_bad``, or if none is left.
    """
    kept = manifest.frame["path"][manifest.frame["path"].isin(list(infos))]
    samples = [manifest.sample(row) for row in kept.index]
    sizes = [(infos[path].width, infos[path].height) for path in kept]
    places = blanked_places(samples, sizes, np.random.default_rng(seed))
    in_order = kept.reset_index(drop=True)
    files = [np.asarray(some) for some in in_order.groupby(in_order, sort=False).indices.values()]
    looks: dict[int, Look] = {}
    bad = {}

    def look(rows: NDArray[np.intp]) -> list[Look]:
        return look_at_file([samples[row] for row in rows], [places[row] for row in rows], data)

    with closing(map_files(look, files, progress)) as results:
        for rows, result in zip(files, results, strict=True):
            if not isinstance(result, UserError):
                looks |= zip(rows.tolist(), result, strict=True)
            elif data.skip_bad:
                bad[kept.iloc[rows[0]]] = str(result)
            else:
                raise UserError(f"{result}; {MEND}")
    if not looks:
        raise UserError("none of the manifest's images can be read; see 'ssl-pcb data check'")
    order = sorted(looks)
    boxed = sum(samples[row].label == DEFECTIVE and bool(places[row]) for row in order)
    return Measured(kept.index.to_numpy()[order], [looks[row] for row in order], boxed, bad)
