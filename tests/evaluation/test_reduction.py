"""Reductions: streamed components against scikit-learn's, autoencoders against the direct forward pass."""

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from sklearn.decomposition import PCA

from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.method import AutoencoderConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import ArrayDataset
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.reduction import Reduced, autoencode, fit_components, join, judge_reduction, mean_interval
from ssl_pcb.models.autoencoder import Autoencoder
from ssl_pcb.models.backbones import Backbone

SIZE, RING = 32, 4


@pytest.fixture
def fabric():
    return Fabric(accelerator="cpu", devices=1)


def dataset(count=200, rank=6, grain=1.0, channels=1):
    """Stored pixels with a ring of junk, whose samples lie near a space of few dimensions."""
    rng = np.random.default_rng(0)
    shape = (SIZE, SIZE, channels)
    base = rng.normal(size=(rank, *shape)) * np.geomspace(30, 8, rank)[:, None, None, None]
    images = (
        128 + np.tensordot(rng.normal(size=(count, rank)), base, 1) / rank + grain * rng.normal(size=(count, *shape))
    )
    pixels = rng.integers(0, 256, (count, SIZE + 2 * RING, SIZE + 2 * RING, channels), np.uint8)
    pixels[:, RING:-RING, RING:-RING] = images.clip(0, 255).round()
    flat = pixels[:, RING:-RING, RING:-RING].transpose(0, 3, 1, 2).reshape(count, -1) / 255
    return ArrayDataset(pixels, np.zeros(count, np.int64), np.arange(count)), flat


@pytest.mark.parametrize("channels", [1, 3])
def test_streamed_components_are_those_of_all_at_once(channels):
    data, flat = dataset(channels=channels)
    streamed = fit_components(data, SIZE, 6, seed=0)  # 24 samples at a time
    whole = PCA(6).fit(flat)
    cosines = np.abs((streamed.components * whole.components_).sum(1))
    assert cosines == pytest.approx(np.ones(6), abs=0.01)
    assert streamed.mean == pytest.approx(whole.mean_, abs=1e-5)
    reduced = streamed.reduce(data)
    errors = np.square(flat - whole.inverse_transform(whole.transform(flat))).mean(1)
    assert reduced.errors == pytest.approx(errors, rel=0.02)
    assert np.abs(reduced.codes) == pytest.approx(np.abs(whole.transform(flat)), abs=0.05)


def test_fewer_components_are_the_first_and_rebuild_worse():
    data, _ = dataset()
    components = fit_components(data, SIZE, 6, seed=0)
    few, all_ = components.first(2).reduce(data), components.reduce(data)
    assert few.codes == pytest.approx(all_.codes[:, :2], abs=1e-5)
    assert few.errors.mean() > 2 * all_.errors.mean()


def test_as_many_components_as_differ_rebuild_everything():
    data, flat = dataset(count=12)
    components = fit_components(data, SIZE, 12, seed=0)
    assert components.reduce(data).errors.max() < 1e-9
    assert np.square(flat - flat.mean(0)).mean() > 1e-3


def test_too_few_samples_are_refused():
    data, _ = dataset(count=5)
    with pytest.raises(UserError, match="5 training samples are too few for 6"):
        fit_components(data, SIZE, 6, seed=0)


def test_codes_and_errors_are_those_of_the_direct_pass(fabric):
    torch.manual_seed(0)
    data, flat = dataset(count=10)
    backbone = Backbone(BackboneConfig(name="test_resnet"), 1)
    network = Autoencoder(AutoencoderConfig(dim=4, decoder_width=8), backbone, SIZE).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = join(list(autoencode(network, data, fabric, batch_size=3)))
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    images = torch.from_numpy(flat).float().view(10, 1, SIZE, SIZE)
    with torch.no_grad():
        codes, rebuilt = network.eval().encode(images), network(images)
    assert found.codes == pytest.approx(codes.numpy(), abs=1e-5)
    assert found.errors == pytest.approx(((rebuilt - images) ** 2).mean((1, 2, 3)).numpy(), rel=1e-4)


def test_the_interval_of_a_mean_resamples_whole_images():
    """Four tiles of each image are alike: the interval is that of 30 values, not of 120."""
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=30), 4).astype(np.float32)
    images = [f"i{index // 4}" for index in range(120)]
    mean, low, high = mean_interval(values, ["b"] * 120, images, resamples=4000, seed=0)
    assert mean == pytest.approx(values.mean(), abs=1e-6)
    spread = values[::4].std() / np.sqrt(30)
    assert (high - low) / (2 * 1.96 * spread) == pytest.approx(1, abs=0.1)


@pytest.fixture(scope="module")
def samples(synthetic_boards, tmp_path_factory):
    return load_samples(DataConfig(manifest=synthetic_boards, image_size=32, cache=tmp_path_factory.mktemp("c")))[0]


def test_good_codes_and_bad_scores_are_told_apart(samples):
    """Codes that hold the label, and errors that are lower for Defective."""
    rng, parts = np.random.default_rng(0), {}
    for split in ("train", "holdout", "val"):
        labels = samples.labels[samples.rows(split, labelled=True)]
        codes = rng.normal(size=(len(labels), 3)).astype(np.float32)
        codes[:, 1] += 6 * labels
        parts[split] = Reduced(codes, (1.0 - 0.5 * labels).astype(np.float32))
    found = judge_reduction(parts, samples, resamples=100, seed=0)
    assert found["probe_auroc"][0] > 0.95
    assert found["anomaly_auroc"] == (0, 0, 0)
    assert found["mse"][0] == pytest.approx(parts["val"].errors.mean())
    for value, low, high in found.values():
        assert low <= value <= high


def test_validation_chooses_nothing(samples, monkeypatch):
    """The probe that is judged on validation was fitted and tuned without it."""
    from ssl_pcb.evaluation import reduction

    seen = []

    def spy(*arguments):
        seen.extend(len(part) for part in arguments)
        return logistic(*arguments)

    logistic = reduction.logistic_probe
    monkeypatch.setattr(reduction, "logistic_probe", spy)
    counts = {split: len(samples.rows(split, labelled=True)) for split in ("train", "holdout", "val")}
    rng = np.random.default_rng(0)
    parts = {
        s: Reduced(rng.normal(size=(n, 2)).astype(np.float32), rng.random(n, np.float32)) for s, n in counts.items()
    }
    judge_reduction(parts, samples, resamples=100, seed=0)
    assert seen == [counts["train"]] * 2 + [counts["holdout"]] * 2
