"""A refitted head tells planted neglect of the head from planted poverty of the features."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.stages.refitting import compare_refitted
from ssl_pcb.training.processes import alone

COUNT, SHARE = 3000, 0.04


@dataclass
class Labelled:
    """What a comparison asks of samples: labels of a half of them for training, and of one for validation."""

    labels: np.ndarray
    unit: str = "tile"

    def rows(self, split, *, labelled):
        half = len(self.labels) // 2
        return np.arange(half) + half * (split == "val")

    def column(self, name, rows):
        return ["board"] * len(rows) if name == "group" else [f"{row}.png" for row in rows]


def compared(distance, share=SHARE):
    """Classes whose features lie ``distance`` standard deviations apart."""
    rng = np.random.default_rng(0)
    labels = (rng.random(2 * COUNT) < share).astype(np.int64)
    features = rng.normal(0, 1, (2 * COUNT, 8)).astype(np.float32)
    features[:, 0] += distance * labels
    parts = {"train": features[:COUNT], "val": features[COUNT:]}
    return compare_refitted(
        parts, Labelled(labels), "none", LinearEvalConfig(), alone(RuntimeConfig(device="cpu", precision="fp32"))
    )


def test_features_that_know_the_defect_acquit_themselves():
    """Two deviations apart, a balanced head is wrong 16 % of the time; one on the classes as they are is blind."""
    found = compared(2)
    assert found["head"]["escape_rate"] > 0.6
    assert found["refitted"]["escape_rate"] == pytest.approx(0.16, abs=0.08)
    assert found["refitted"]["false_call_rate"] == pytest.approx(0.16, abs=0.06)
    assert found["balanced_accuracy_gained"]["low"] > 0.1
    assert found["sentence"].endswith(
        "the head neglects Defective, not the features; refit it, or choose its threshold"
    )
    assert "\n" not in found["sentence"]


def test_features_that_do_not_know_it_are_told():
    found = compared(0)
    assert found["head"]["escape_rate"] == 1
    assert found["balanced_accuracy_gained"]["low"] < 0 < found["balanced_accuracy_gained"]["high"]
    assert found["sentence"].endswith("these features do not know the defect")


def test_a_head_that_overcalls_is_not_said_to_neglect_defective():
    found = compared(2, share=0.96)
    assert found["head"]["false_call_rate"] > 0.6
    assert found["sentence"].endswith("neglects NonDefective, not the features; choose its threshold")


def test_a_head_of_even_classes_neglects_nothing():
    assert compared(2, share=0.5)["sentence"].endswith("called falsely, the features do not tell apart")


def test_a_finetunings_own_head_judges_as_the_finetuning_did(synthetic_boards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    Manifest.read(synthetic_boards).write("m.csv")
    keys = {
        "data.manifest": "m.csv", "data.image_size": 32, "backbone.name": "test_resnet", "runtime.device": "cpu",
        "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous", "training.batch_size": 8,
        "training.epochs": 2, "resamples": 100,
    }  # fmt: skip
    for head in ("linear", "mlp"):
        run_stage("finetune", None, keys | {"checkpoint": "none", "head.name": head, "runtime.out": head}, resume=False)
        run_stage("linear-eval", None, keys | {"checkpoint": head, "transductive": True, "runtime.out": f"{head}-probe",
                                               "cs": [1.0], "ks": [1], "fractions": [1.0]}, resume=False)  # fmt: skip
        table = pd.read_csv(Path(head) / "predictions.csv").query("split == 'val'")
        defective, called = table["label"].eq("Defective"), table["score"].ge(0)
        found = json.loads((Path(f"{head}-probe") / "summary.json").read_text())["refit"]
        assert found["sentence"].startswith(f"the head of {head} lets ")
        assert found["head"]["escape_rate"] == pytest.approx((~called[defective]).mean())
        assert found["head"]["false_call_rate"] == pytest.approx(called[~defective].mean())
