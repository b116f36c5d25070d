"""A trained classifier beside the labelled validation samples that it is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ssl_pcb.audit.camera.effects import Judged
from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.audit.camera.scoring import CLEAN, Change, Key, scores_under
from ssl_pcb.audit.robustness_sheet import SHOWN, Pictures
from ssl_pcb.augment.views import centre
from ssl_pcb.data.loaders import batches, fetched, images_at_once
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.evaluation.balance import Balance, counted
from ssl_pcb.evaluation.probes import label_fraction_indices
from ssl_pcb.stages.finetuned import Classifier, load_classifier
from ssl_pcb.stages.robustness_checks import refuse_grey
from ssl_pcb.stages.scoring import refuse_seen
from ssl_pcb.training.runtime import make_generator


@dataclass(frozen=True)
class Validation:
    """A classifier and what it is asked about.

    Attributes:
        run: Folder of the finetuning.
        judge: Its classifier.
        samples: The data.
        rows: (N,) labelled manifest rows of validation, of both classes.
        balance: Which of validation's are among them, see :func:`ssl_pcb.evaluation.balance.counted`.
        threshold: From where on a score is Defective.
        seed: Of what is drawn.
    """

    run: Path
    judge: Classifier
    samples: Samples
    rows: NDArray[np.int64]
    balance: Balance
    threshold: float
    seed: int

    @classmethod
    def open(
        cls, run: Path, data: Path | None, *, samples: int, balance: Balance = "natural",
        threshold: float | None = None, seed: int, device: str,
    ) -> Validation:  # fmt: skip
        """At most ``samples`` labelled validation samples, each class in its share.

        Args:
            run: Folder of a finished finetuning.
            data: Manifest; ``None`` = the run's own.
            samples: Most of them.
            balance: Which of them are counted, see :func:`ssl_pcb.evaluation.balance.counted`.
            threshold: Of the verdicts; ``None`` = the run's own.
            seed: Of what is drawn.
            device: ``auto``, ``cpu`` or ``cuda``.

        Raises:
            UserError: On whatever the user can mend.
        """
        judge = load_classifier(run, device)
        if data is not None:
            refuse_grey(data, judge.config.data, run)
        config = judge.config.data.model_copy(update={"manifest": data} if data else {})
        found, _ = load_samples(config)
        rows = found.supervised("val")
        if data is not None:
            refuse_seen(run, found, rows)
        rows = rows[counted(found.labels[rows], balance)]
        share = min(1.0, samples / len(rows))
        drawn = rows[label_fraction_indices(found.labels[rows], share, seed)]
        return cls(run, judge, found, drawn, balance, judge.threshold if threshold is None else threshold, seed)

    @property
    def judged(self) -> Judged:
        """The samples' labels and origins, and the threshold."""
        samples, rows = self.samples, self.rows
        groups, images = samples.column("group", rows), samples.column("path", rows)
        return Judged(samples.labels[rows], groups, images, self.threshold)

    @property
    def channels(self) -> int:
        """Of the pictures, without golden images."""
        return self.samples.store.spec.channels

    def scores(self, changes: dict[Key, Change]) -> dict[Key, NDArray[np.float64]]:
        """Scores as the pictures are and under each change; see :func:`scores_under`."""
        judge = self.judge
        at_once = images_at_once(judge.model.size, judge.fabric.device)
        loaded = batches(self.samples.pixels(self.rows), np.arange(len(self.rows)), at_once, drop_last=False)
        shown = tqdm(loaded, f"{len(changes)} changes", unit="batch", disable=None, leave=False)
        return scores_under(
            judge.model, changes, self.channels, fetched(shown, judge.fabric.device), judge.fabric, seed=self.seed
        )

    def example(self, changes: dict[Key, Change]) -> Pictures:
        """A Defective sample as it is and under the changes that a sheet shows; one with a box if there is any."""
        defective = self.rows[self.samples.labels[self.rows] == 1]
        boxed = [row for row, boxes in zip(defective, self.samples.column("boxes", defective), strict=True) if boxes]
        row = np.array([boxed[0] if boxed else defective[0]])
        pixels = self.samples.without_references.pixels(row)[0].inputs

        def is_shown(key: Key) -> bool:
            return key.level in SHOWN if key.name != SHIFT else key.direction == 0

        pictures = {CLEAN: centre(pixels, self.judge.model.size)}
        for key, change in changes.items():
            if is_shown(key):
                pictures[key] = change(pixels, make_generator(pixels.device, self.seed, "example"))
        return {key: each[0] for key, each in pictures.items()}
