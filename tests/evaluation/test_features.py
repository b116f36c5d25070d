"""Frozen features: eval mode, an untouched backbone, and a cache that knows what it holds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ssl_pcb.augment.views import plain_view
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.data.samples import load_samples
from ssl_pcb.evaluation.features import cached_features, extract_features, state_hash
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.training.processes import make_fabric


def backbone(seed=0, **keys):
    torch.manual_seed(seed)
    network = Backbone(BackboneConfig(name="test_resnet", **keys), 3)
    network(torch.rand(8, 3, 32, 32))  # buffers that are not the fresh ones
    return network


@pytest.fixture(scope="module")
def samples(synthetic_boards, tmp_path_factory):
    config = DataConfig(manifest=synthetic_boards, image_size=32, cache=tmp_path_factory.mktemp("cache"))
    return load_samples(config)[0]


@pytest.fixture
def fabric():
    return make_fabric(RuntimeConfig(device="cpu", precision="fp32"))


def test_features_are_those_of_eval_mode_and_order(samples, fabric):
    network, rows = backbone(drop_rate=0.5), samples.rows("val")
    network.train()
    found = extract_features(network, samples.pixels(rows), 32, fabric)
    assert found.shape == (len(rows), network.dim)
    network.eval()
    with torch.no_grad():
        for position in (0, len(rows) - 1):  # one by one: no batch statistics, no dropout
            pixels = torch.tensor(samples.store.pixels[rows[position]]).permute(2, 0, 1)[None]
            alone = network(plain_view(pixels, 32))[0].numpy()
            assert np.allclose(found[position], alone, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_the_backbone_is_left_as_it_was(samples, fabric, training):
    network = backbone().train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    digest = state_hash(network)
    extract_features(network, samples.pixels(samples.rows("train")), 32, fabric)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert state_hash(network) == digest
    assert network.training is training
    assert all(module.training is training for module in network.modules())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_the_hash_sees_a_touched_buffer_and_a_single_bit():
    network = backbone()
    digest = state_hash(network)
    assert digest == state_hash(network)
    network.train()
    network(torch.rand(4, 3, 32, 32))  # a planted fault: a pass in training mode
    assert state_hash(network) != digest
    network = backbone()
    with torch.no_grad():
        bias = next(p for name, p in network.named_parameters() if name.endswith("bias"))
        bias[0] = torch.nextafter(bias[0], bias[0] + 1)
    assert state_hash(network) != digest


def test_a_second_look_comes_from_the_cache(samples, fabric, tmp_path):
    rows, network = samples.rows("val"), backbone()
    first = cached_features(network, samples, rows, fabric, tmp_path, label="x")
    assert np.array_equal(first, extract_features(network, samples.pixels(rows), 32, fabric))
    (file,) = Path(tmp_path).rglob("*.npy")
    assert np.array_equal(cached_features(network, samples, rows, fabric, tmp_path, label="x"), first)
    np.save(file, first + 1)  # proof that it is read, not computed again
    assert np.array_equal(cached_features(network, samples, rows, fabric, tmp_path, label="x"), first + 1)
    assert not [name for name in Path(tmp_path).rglob("*") if ".part" in name.name]


def test_a_full_disk_is_named_nothing_is_left_and_the_features_are_there(samples, fabric, disk, caplog):
    folder, rows = disk("16k"), np.tile(samples.rows("val"), 10)
    found = cached_features(backbone(), samples, rows, fabric, folder, label="x")
    assert np.array_equal(found, extract_features(backbone(), samples.pixels(rows), 32, fabric))
    assert f"free some space in {folder}" in caplog.text
    assert not [file for file in folder.rglob("*") if file.is_file()]


@pytest.mark.parametrize("left", [0, 40, 200], ids=["empty", "in the header", "in the numbers"])
def test_a_damaged_file_is_made_anew(samples, fabric, tmp_path, left):
    rows, network = samples.rows("val"), backbone()
    first = cached_features(network, samples, rows, fabric, tmp_path, label="x")
    (file,) = tmp_path.rglob("*.npy")
    whole = file.read_bytes()
    file.write_bytes(whole[:left])
    assert np.array_equal(cached_features(network, samples, rows, fabric, tmp_path, label="x"), first)
    assert file.read_bytes() == whole


def test_whatever_changes_the_features_misses_the_cache(samples, fabric, tmp_path, synthetic_boards):
    rows = samples.rows("val")

    def look(network=None, rows=rows, fabric=fabric, samples=samples):
        cached_features(network or backbone(), samples, rows, fabric, tmp_path, label="x")
        return len(list(tmp_path.rglob("*.npy")))

    assert look() == 1
    assert look(network=backbone(seed=1)) == 2
    assert look(rows=rows[::-1]) == 3
    assert look(rows=rows[:-1]) == 4
    assert look(fabric=make_fabric(RuntimeConfig(device="cpu", precision="bf16"))) == 5
    # The same weights, put together in other ways.
    assert look(network=backbone(strides=(8, 16))) == 6
    assert look(network=backbone(strides=(8, 16), pool="avg_max")) == 7
    assert look(network=backbone(strides=(16,))) == 8
    larger = DataConfig(manifest=synthetic_boards, image_size=48, cache=tmp_path / "other")
    before = len(list((tmp_path / "features").glob("*.npy")))
    cached_features(backbone(), load_samples(larger)[0], rows, fabric, tmp_path, label="x")
    assert len(list((tmp_path / "features").glob("*.npy"))) == before + 1
