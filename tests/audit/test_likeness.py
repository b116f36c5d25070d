"""Pairs that may be copies."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from ssl_pcb.audit import likeness
from ssl_pcb.audit.likeness import hash_bits, near_in_features, near_in_hash, near_in_pixels, reduced
from ssl_pcb.audit.symmetries import SYMMETRIES, turned

RNG = np.random.default_rng(0)
WHOLE = RNG.integers(0, 256, (30, 64, 64)).astype(np.float32)


def test_hashes_are_those_of_imagehash_under_each_symmetry():
    bits = hash_bits(WHOLE)
    for symmetry in range(len(SYMMETRIES)):
        picture = Image.fromarray(turned(WHOLE[3], symmetry).astype(np.uint8))
        expected = imagehash.phash(picture, hash_size=16).hash.reshape(-1)
        assert (np.unpackbits(bits[symmetry, 3]).astype(bool) == expected).all()


def test_reduced_pictures_are_means():
    assert reduced(WHOLE, 16)[5, 2, 7] == pytest.approx(WHOLE[5, 8:12, 28:32].mean(), rel=1e-6)


@pytest.fixture
def planted():
    """Coarse pictures; each of the last eight is one of the first, under another symmetry."""
    pictures = WHOLE.copy()
    pictures[:, ...] = np.kron(RNG.integers(0, 256, (30, 16, 16)), np.ones((4, 4)))
    truth = []
    for symmetry in range(8):
        pictures[22 + symmetry] = turned(pictures[symmetry], symmetry) * 0.6 + 20
        truth.append([symmetry, 22 + symmetry, symmetry])
    return pictures, truth


def test_both_searches_find_each_pair_and_its_symmetry(planted):
    pictures, truth = planted
    assert near_in_pixels(reduced(pictures, 16), 3).tolist() == truth
    assert near_in_hash(hash_bits(pictures), 3).tolist() == truth


def test_a_network_s_neighbours_get_the_symmetry_of_their_pictures(planted):
    pictures, truth = planted
    features = RNG.normal(size=(30, 50))
    for first, second, _ in truth:
        features[second] = features[first] + 0.1 * RNG.normal(size=50)
    assert near_in_features(features, reduced(pictures, 16), 3).tolist() == truth


def test_more_neighbours_than_samples_are_no_fault(planted):
    pictures, _ = planted
    assert len(near_in_pixels(reduced(pictures[:3], 16), 10)) == 0
    assert near_in_pixels(reduced(pictures[[0, 22]], 16), 10).tolist() == [[0, 1, 0]]


def test_the_limits_are_kept(planted, monkeypatch):
    pictures, _ = planted
    monkeypatch.setattr(likeness, "MIN_COSINE", -1.0)
    assert len(near_in_pixels(reduced(pictures, 16), 29)) == 8 * 30 * 29 // 2
    monkeypatch.setattr(likeness, "MAX_DISTANCE", -1)
    assert len(near_in_hash(hash_bits(pictures), 3)) == 0
