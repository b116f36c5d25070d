"""Do the features or the head neglect Defective? A head refitted on balanced data, on the same features, tells."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.sampler import NaturalConfig, OversampleConfig, SamplerConfig
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.data.samples import Samples
from ssl_pcb.evaluation.paired import Difference, paired_balanced_accuracy
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.stages.finetuned import load_head
from ssl_pcb.stages.probing import Features, Scores, gradient_head

log = logging.getLogger(__name__)


def compare_refitted(
    features: Features, samples: Samples, checkpoint: str, config: LinearEvalConfig, fabric: Fabric
) -> dict[str, Any]:
    """Say in a sentence what a head refitted on balanced data changes on validation, where scores are cut at 0.

    As in Kang et al. 2020 (Decoupling Representation and Classifier, arXiv 1910.09217), whose cRT refits the head on
    balanced classes. It stands beside the head of the finetuning whose network this is; other networks have none, and
    a head trained on the classes as they are takes its place.

    Args:
        features: Of ``train`` and ``val``, of the network in ``checkpoint``.
        samples: The data.
        checkpoint: A run folder, or another source of weights.
        config: How heads are trained; sampler and loss are set here.
        fabric: Of one process.

    Returns:
        The sentence, escape and false-call rates of both heads, and the difference in balanced accuracy.
    """
    rows = samples.rows("val", labelled=True)
    labels, train = samples.labels[rows], samples.labels[samples.rows("train", labelled=True)]

    def trained(sampler: SamplerConfig) -> Scores:
        keys = config.model_copy(update={"sampler": sampler, "loss": CrossEntropyConfig()})
        return gradient_head(features["train"], train, {"val": features["val"]}, keys, fabric).scores

    own = _own_head(Path(checkpoint), features["val"])
    name = "a head trained on the classes as they are" if own is None else f"the head of {checkpoint}"
    kept = trained(NaturalConfig())["val"] if own is None else own
    # Of undersampled epochs a few defects would fill so few batches that the head would end unfinished.
    refitted = trained(OversampleConfig())["val"]
    gain = paired_balanced_accuracy(
        refitted >= 0, kept >= 0, labels, samples.column("group", rows), samples.column("path", rows),
        resamples=config.resamples, seed=config.runtime.seed,
    )  # fmt: skip
    over_chance = paired_balanced_accuracy(
        refitted >= 0, np.zeros(len(labels), bool), labels, samples.column("group", rows), samples.column("path", rows),
        resamples=config.resamples, seed=config.runtime.seed,
    )  # fmt: skip
    found = {"head": _rates(kept, labels), "refitted": _rates(refitted, labels)}
    sentence = (
        f"{name} lets {found['head']['escape_rate']:.1%} of the Defective {samples.unit}s on validation escape, with "
        f"{found['head']['false_call_rate']:.1%} false calls, where scores are cut at 0; refitted with Defective "
        f"oversampled {found['refitted']['escape_rate']:.1%} and {found['refitted']['false_call_rate']:.1%}, balanced "
        f"accuracy {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]: {_verdict(gain, over_chance, found)}"
    )
    return {"sentence": sentence, **found, "balanced_accuracy_gained": asdict(gain)}


def _own_head(folder: Path, features: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Log-odds of Defective (N,) by the head of a finetuning, if there is one that sees features (N, D)."""
    if not folder.is_dir() or read_run(folder).get("stage") != "finetune":
        return None
    config = read_config(folder, "finetune")
    assert isinstance(config, FinetuneConfig)
    if config.head.name == "attention":
        log.info("%s: its head sees maps, not their average; a head trained on the features takes its place", folder)
        return None
    with torch.no_grad():
        logits = load_head(config, features.shape[1], folder)(torch.from_numpy(features)).double()
    return np.asarray((logits[:, 1] - logits[:, 0]).numpy())


def _rates(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    called = scores >= 0
    return {
        "escape_rate": float((~called[labels == 1]).mean()),
        "false_call_rate": float(called[labels == 0].mean()),
    }


def _verdict(gain: Difference, over_chance: Difference, found: dict[str, dict[str, float]]) -> str:
    if over_chance.low <= 0:
        return "a balanced head does no better than chance either: these features do not know the defect"
    if gain.low > 0 and found["refitted"]["escape_rate"] > found["head"]["escape_rate"]:
        return "the head calls too much Defective, and neglects NonDefective, not the features; choose its threshold"
    if gain.low > 0:
        return "the head neglects Defective, not the features; refit it, or choose its threshold"
    if gain.high < 0:
        return "the head makes more of the features than a balanced one"
    return "no difference beyond the noise; what escapes or is called falsely, the features do not tell apart"
