import numpy as np
import pytest

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation import neighbours
from ssl_pcb.evaluation.neighbours import knn_scores, nearest, nearest_elsewhere


def naive(bank, labels, queries, k):
    shares = []
    for query in queries:
        similarity = bank @ query / (np.linalg.norm(bank, axis=1) * np.linalg.norm(query))
        chosen = np.argsort(-similarity)[:k]
        weights = np.exp(similarity[chosen] / 0.07)
        shares.append((weights * labels[chosen]).sum() / weights.sum())
    return np.array(shares)


def test_scores_equal_the_naive_weighted_vote():
    generator = np.random.default_rng(0)
    bank, queries = generator.normal(size=(80, 16)), generator.normal(size=(30, 16)) * 9
    labels = generator.integers(0, 2, 80)
    found = knn_scores(bank, labels, queries, ks=(20, 1, 5))
    assert sorted(found) == [1, 5, 20]
    for k, scores in found.items():
        assert scores == pytest.approx(naive(bank, labels, queries, k), abs=1e-5)


def test_a_k_larger_than_the_bank_becomes_the_bank_size():
    bank, labels = np.eye(3), np.array([1, 0, 0])
    found = knn_scores(bank, labels, np.eye(3)[:1], ks=(1, 20, 200))
    assert sorted(found) == [1, 3]
    assert found[1][0] == 1.0


def test_similarity_ignores_length_and_is_sorted():
    bank = np.array([[1.0, 0.0], [50.0, 50.0], [0.0, 2.0]])
    similarities, rows = nearest(bank, np.array([[7.0, 0.0]]), 3)
    assert rows.tolist() == [[0, 1, 2]]
    assert similarities[0] == pytest.approx([1, 2**-0.5, 0], abs=1e-6)


def test_features_of_a_diverged_network_are_refused():
    bank = np.ones((4, 2))
    with pytest.raises(UserError, match="diverged"):
        knn_scores(bank, [0, 1, 0, 1], np.full((1, 2), np.nan), ks=(1,))
    with pytest.raises(UserError, match="no labelled samples"):
        knn_scores(np.zeros((0, 2)), [], bank, ks=(1,))


def test_a_large_bank_is_searched_in_part_and_finds_nearly_all(monkeypatch):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, 16))
    bank = (centres[rng.integers(50, size=8000)] + 0.4 * rng.normal(size=(8000, 16))).astype(np.float32)
    queries = (centres[rng.integers(50, size=100)] + 0.4 * rng.normal(size=(100, 16))).astype(np.float32)
    exact, all_of_them = nearest(bank, queries, 20)
    monkeypatch.setattr(neighbours, "EXACT_BELOW", 8000)
    monkeypatch.setattr(neighbours, "SEARCHED_LISTS", 8)
    similarities, found = nearest(bank, queries, 20)
    shared = np.mean([len(np.intersect1d(*pair)) / 20 for pair in zip(found, all_of_them, strict=True)])
    assert 0.9 < shared < 1  # it was not searched whole
    np.testing.assert_allclose(similarities[:, 0], exact[:, 0], atol=0.1)
    assert (np.diff(similarities, axis=1) <= 0).all()


def test_neighbours_elsewhere_equal_a_naive_search_without_the_own_image():
    generator = np.random.default_rng(3)
    features, images = generator.normal(size=(60, 5)), generator.integers(0, 9, 60)
    queries = np.array([3, 40, 17])
    similarities, found = nearest_elsewhere(features, images, queries, 7)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for row, query in enumerate(queries):
        others = np.flatnonzero(images != images[query])
        expected = others[np.argsort(-unit[others] @ unit[query])][:7]
        assert found[row].tolist() == expected.tolist()
        assert similarities[row] == pytest.approx(unit[expected] @ unit[query], abs=1e-6)


def test_where_other_images_are_few_places_stay_empty():
    features, images = np.eye(5), np.array([0, 0, 0, 0, 1])
    similarities, found = nearest_elsewhere(features, images, np.arange(5), 6)
    assert found[0].tolist() == [4, -1, -1, -1, -1, -1]
    assert sorted(found[4].tolist()) == [-1, -1, 0, 1, 2, 3]
    assert np.isneginf(similarities[found < 0]).all()
