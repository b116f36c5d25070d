"""A head that begins as a probe scores as the probe does."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from ssl_pcb.augment.build import build_augment
from ssl_pcb.config.augment import StandardConfig
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.loss import CrossEntropyConfig
from ssl_pcb.config.margin_losses import LargeMarginSoftmaxConfig, TemperatureConfig
from ssl_pcb.config.model import BackboneConfig, LinearHeadConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.samples import load_samples
from ssl_pcb.evaluation.features import extract_features
from ssl_pcb.evaluation.probes import logistic_probe
from ssl_pcb.losses.build import build_loss
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.heads import build_head
from ssl_pcb.models.layers import build_layer
from ssl_pcb.objectives.classification import FeatureClassifier, ImageClassifier
from ssl_pcb.stages.finetune import predict
from ssl_pcb.stages.heads import set_head, start_from_probe
from ssl_pcb.stages.probing import gradient_head
from ssl_pcb.training.processes import alone

SIZE = 32


def test_the_heads_log_odds_are_the_probes():
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, [1, 5, 0.1], (60, 3)), rng.integers(0, 2, 60)
    probe = logistic_probe(x, y, x, y)
    head = nn.Linear(3, 2)
    set_head(head, probe)
    logits = head(torch.from_numpy(x).float())
    assert (logits[:, 1] - logits[:, 0]).tolist() == pytest.approx(probe.scores(x).tolist(), abs=1e-4)
    assert logits.sum(1).abs().max() < 1e-4  # half to each class: weight decay pulls neither more


def test_a_temperature_changes_no_log_odds_and_a_missing_bias_no_order():
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, [1, 5, 0.1], (60, 3)), rng.integers(0, 2, 60)
    probe = logistic_probe(x, y, x, y)
    for loss, constant in ((TemperatureConfig(temperature=4.0), False), (LargeMarginSoftmaxConfig(), True)):
        layer = build_layer(loss, 3, 2)
        set_head(layer, probe)
        logits = layer(torch.from_numpy(x).float())
        apart = (logits[:, 1] - logits[:, 0]).detach().numpy() - probe.scores(x)
        assert np.ptp(apart) < 1e-4
        assert (abs(apart.mean()) > 1e-2) == constant


def test_finetuning_starts_at_the_probes_scores_of_unseen_boards(synthetic_boards, tmp_path):
    samples, _ = load_samples(DataConfig(manifest=synthetic_boards, image_size=SIZE, cache=tmp_path))
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet"), samples.store.spec.channels)
    loss = CrossEntropyConfig()
    head = build_head(LinearHeadConfig(), loss, backbone.dim, 2)
    classifier = FeatureClassifier(head, build_loss(loss, backbone.dim), torch.tensor([1, 1]))
    model = ImageClassifier(backbone, classifier, build_augment(StandardConfig(), SIZE), SIZE)
    fabric = alone(RuntimeConfig(device="cpu", precision="fp32"))
    rows, val_rows = (samples.supervised(split) for split in ("train", "val"))
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    start_from_probe(model, samples, rows, val_rows, fabric)
    features = {len(each): extract_features(backbone, samples.pixels(each), SIZE, fabric) for each in (rows, val_rows)}
    probe = logistic_probe(features[len(rows)], samples.labels[rows], features[len(val_rows)], samples.labels[val_rows])
    assert predict(model, samples, val_rows, fabric) == pytest.approx(probe.scores(features[len(val_rows)]), abs=1e-3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_a_feature_that_training_never_varies_moves_no_unseen_sample():
    """Its rounding is a deviation of 1e-8; divided by that, boards that do vary it would drown all else."""
    rng = np.random.default_rng(0)
    y = np.arange(3000) % 2
    x = rng.normal(0, 1, (len(y), 3)).astype(np.float32)
    x[:, 0] += 4 * y
    x[:, 2] = np.float32(0.3) + np.where(y, np.float32(3e-8), 0)  # constant but for its last digit
    unseen = x.copy()
    unseen[:, 2] = rng.normal(0.3, 0.1, len(y))
    fabric = alone(RuntimeConfig(device="cpu", precision="fp32"))
    scores = gradient_head(x, y, {"val": unseen}, LinearEvalConfig(), fabric).scores["val"]
    assert roc_auc_score(y, scores) > 0.98
