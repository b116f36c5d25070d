"""Codes of images: one row of numbers for each, from the network of a finished run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.load import load_config
from ssl_pcb.config.method import AutoencoderConfig, DefectPretextConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.stages import STAGES, StageConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.files import whole_folder
from ssl_pcb.data.loaders import ArrayDataset, images_at_once
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.bootstrap import bootstrap_intervals
from ssl_pcb.evaluation.features import feature_batches
from ssl_pcb.evaluation.reduction import autoencode
from ssl_pcb.models.autoencoder import Autoencoder
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages.autoencoding import load_autoencoder
from ssl_pcb.stages.checks import refuse_used_folder
from ssl_pcb.stages.downsizing import load_finetuned
from ssl_pcb.stages.suspects import PICTURE, picture_suspects
from ssl_pcb.training.checkpoint import channels_of, load_backbone, weights_file
from ssl_pcb.training.lineage import TrainedOn
from ssl_pcb.training.processes import alone
from ssl_pcb.training.runtime import memory_format

log = logging.getLogger(__name__)

CODES, TABLE = "codes.npy", "codes.csv"
ERROR, SUSPICION = "reconstruction_error", "suspicion"
"""Scores of Defective without any label: of an autoencoder, and of a network that learned to find painted defects, the
log-odds of a defect in its most suspicious cell."""


@dataclass(frozen=True)
class Coder:
    """The network of a run folder, on its device.

    Attributes:
        config: The run's.
        network: An autoencoder, whose codes are its bottleneck; or a backbone, whose codes are its pooled features.
        both: Whether it sees golden images beside the images.
        fabric: Device and the run's precision.
    """

    config: StageConfig
    network: Autoencoder | Backbone | DownsizedBackbone
    both: bool
    fabric: Fabric

    @property
    def measure(self) -> str | None:
        """What it says of an image before anybody has labelled one, if anything."""
        method = self.config.method if isinstance(self.config, PretrainConfig) else None
        if isinstance(method, DefectPretextConfig):
            return SUSPICION
        return ERROR if isinstance(self.network, Autoencoder) else None

    def stream(self, dataset: ArrayDataset, batch_size: int) -> Iterator[tuple[NDArray[np.float32], ...]]:
        """Codes (B, D) of each batch, and what is measured of each image (B,), if anything."""
        if isinstance(self.network, Autoencoder):
            for reduced in autoencode(self.network, dataset, self.fabric, batch_size=batch_size):
                yield reduced.codes, reduced.errors
        else:
            numbers, size = np.arange(len(dataset)), self.config.data.image_size
            for codes in feature_batches(
                self.network, dataset, numbers, size, self.fabric, batch_size=batch_size, label="codes"
            ):
                # The first feature of a network that finds painted defects is its score.
                yield (codes, codes[:, 0]) if self.measure else (codes,)


def open_coder(folder: Path, device: str, tta: str | None = None) -> Coder:
    """The network of the run in ``folder``.

    Args:
        folder: The run folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        tta: As ``backbone.tta``; ``None`` = as the run judges.

    Raises:
        UserError: If it is no finished run, or has no use for ``tta``.
    """
    record = read_run(folder)
    if record.get("status") != "finished":
        raise UserError(f"{folder}: is no folder of a finished run; name one that pretrain or finetune has made")
    if record.get("stage") not in STAGES:
        raise UserError(f"{folder}: holds a run of no known stage; name one that pretrain or finetune has made")
    asked = {} if tta is None else {"backbone.tta": tta}
    config = load_config(STAGES[record["stage"]], folder / "config.yaml", asked)
    seen = channels_of(folder) or int(config.data.channels)  # refuses a cross-validation, which has none of its own
    network = _network(config, seen, folder)
    runtime = config.runtime.model_copy(update={"device": device})
    fabric = alone(runtime)
    network.to(fabric.device, memory_format=memory_format(runtime))  # type: ignore[call-overload]
    return Coder(config, network, seen > int(config.data.channels), fabric)


def _network(config: StageConfig, channels: int, folder: Path) -> Autoencoder | Backbone | DownsizedBackbone:
    if isinstance(config, FinetuneConfig):
        return load_finetuned(config, folder)
    network = config.backbone.model_copy(update={"weights": "none"})
    backbone = Backbone(network, channels, config.data.context)
    load_backbone(backbone, folder)
    if isinstance(config, PretrainConfig) and isinstance(config.method, AutoencoderConfig):
        return load_autoencoder(config.method, backbone, config.data.image_size, folder)
    return backbone


def embed(
    folder: Path,
    data: Path,
    out: Path,
    splits: Sequence[str],
    batch_size: int | None,
    device: str,
    asked: Mapping[str, Any],
    tta: str | None = None,
) -> None:
    """Write the codes of the images of ``data`` into the new folder ``out``, whole or not at all.

    ``codes.npy`` holds (N, D) float32, ``codes.csv`` what each row is, and what is measured of it without a label.
    Codes go to disk as they come. Of a network that finds painted defects, ``suspects.png`` shows where it suspects
    them in the images that it suspects most.

    Args:
        folder: A finished run.
        data: A manifest.
        out: A folder that does not exist, or is empty.
        splits: Take rows of these splits alone; none = all rows.
        batch_size: Images at a time; ``None`` = by their size.
        device: ``auto``, ``cpu`` or ``cuda``.
        asked: Keys of ``data`` in which to differ from the run.
        tta: As ``backbone.tta``; ``None`` = as the run judges.

    Raises:
        UserError: On whatever the user can mend.
    """
    refuse_used_folder(out)
    coder = open_coder(folder, device, tta)
    kept = coder.config.data.model_dump() | {"manifest": data, "references": coder.both, **asked}
    samples, config = load_samples(load_config(DataConfig, overrides=kept))
    rows = samples.rows(*splits) if splits else samples.store.rows
    if not len(rows):
        raise UserError(f"{data}: no sample is in split {' or '.join(splits)}; leave out --split for all samples")
    with whole_folder(out) as part:
        at_once = batch_size or images_at_once(config.image_size, coder.fabric.device)
        dim, measured = _write_codes(coder, samples.pixels(rows), part / CODES, at_once)
        _write_table(samples, rows, measured, TrainedOn.read(weights_file(folder)), part / TABLE)
        if SUSPICION in measured:
            assert isinstance(coder.network, Backbone)
            picture_suspects(coder.network, samples, rows, measured[SUSPICION], part, coder.fabric)
    log.info("written: %s (%d x %d numbers) and %s", out / CODES, len(rows), dim, out / TABLE)
    if SUSPICION in measured:
        log.info("the most suspicious samples, and where: %s", out / PICTURE)
    for measure, scores in measured.items():
        _say_anomalies(samples, rows, measure.replace("_", " "), scores)


def _write_codes(
    coder: Coder, dataset: ArrayDataset, file: Path, batch_size: int
) -> tuple[int, dict[str, NDArray[np.float32]]]:
    """Write the .npy file batch by batch; returns the codes' length, and what is measured of each image (N,)."""
    measured, dim = [], coder.network.dim
    # Appended and not memory-mapped: a disk that fills up under a mapping kills the process without a word.
    with file.open("wb") as opened:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (len(dataset), dim)}
        write_array_header_1_0(opened, shape)  # type: ignore[no-untyped-call]
        for codes, *found in coder.stream(dataset, batch_size):
            if not np.isfinite(codes).all():
                raise UserError("codes: hold values that are no numbers; the network diverged, train it again")
            opened.write(np.ascontiguousarray(codes, "<f4").tobytes())
            measured += found
    return dim, {coder.measure: np.concatenate(measured)} if coder.measure else {}


def _write_table(
    samples: Samples,
    rows: NDArray[np.int64],
    measured: dict[str, NDArray[np.float32]],
    seen: TrainedOn | None,
    file: Path,
) -> None:
    frame = samples.manifest.frame.iloc[rows][["path", "crop", "group", "split", "label"]]
    frame.insert(0, "row", rows)
    # Beside a measure they would make an evaluation on the test boards that no ledger knows of.
    frame["label"] = frame["label"].where(frame["split"].ne("test"), "")
    frame = frame.assign(**measured)
    # An image or board that the network was trained on is rebuilt better than a new one.
    frame["trained_on"] = "" if seen is None else _known(samples, rows, seen)
    frame.to_csv(file, index=False, lineterminator="\n", float_format="%.6g")


def _known(samples: Samples, rows: NDArray[np.int64], seen: TrainedOn) -> NDArray[np.str_]:
    """``image`` for a sample of an image that was trained on, else ``board`` for one of such a board, else empty."""
    board = np.where(np.isin(samples.column("group", rows), list(seen.groups)), "board", "")
    return np.where(np.isin(samples.store.digests(rows), list(seen.images)), "image", board)


def _say_anomalies(samples: Samples, rows: NDArray[np.int64], measure: str, scores: NDArray[np.float32]) -> None:
    """AUROC of what is measured as a score of Defective on every labelled split but the test split."""
    labels, split_of = samples.labels[rows], samples.manifest.frame["split"].to_numpy()[rows]
    for split in ("train", "holdout", "val", ""):
        chosen = (split_of == split) & (labels >= 0)
        if len(np.unique(labels[chosen])) == 2:
            auroc = roc_auc_score(labels[chosen], scores[chosen])
            found = bootstrap_intervals(
                scores[chosen], labels[chosen], 0.0,
                samples.column("group", rows[chosen]), samples.column("path", rows[chosen]),
                resamples=200,
            )  # fmt: skip
            interval = f"({found.reason or 'no interval: too few'})"
            if "auroc" in found.low:
                interval = f"[{found.low['auroc']:.3f}, {found.high['auroc']:.3f}]"
            log.info(
                "%s as a score of Defective, %s: AUROC %.3f %s of %d %ss, %d Defective",
                measure, f"split '{split}'" if split else "no split", auroc, interval, chosen.sum(), samples.unit,
                labels[chosen].sum(),
            )  # fmt: skip
    if ((split_of == "test") & (labels >= 0)).any():
        log.info("the labels of split 'test' were not looked at, and are left out of the table")
