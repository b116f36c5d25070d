"""Suspected labels on planted flips, and what each part of the ranking must and must not do."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ssl_pcb.audit.labels import Neighbourhood, judge_labels
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.neighbours import nearest_elsewhere

COUNT = 600


def world(seed=0, flipped=0.1, apart=2.0, spread=0.7):
    """Samples of two classes: true labels, those with planted flips, out-of-fold probabilities, features."""
    generator = np.random.default_rng(seed)
    truth = (generator.random(COUNT) < 0.3).astype(int)
    flips = generator.permutation(COUNT) < round(flipped * COUNT)
    logits = apart * (2 * truth - 1) * 1.5 + generator.normal(0, 1.5, COUNT)
    features = np.zeros((COUNT, 8))
    features[np.arange(COUNT), truth] = 1
    features += generator.normal(0, spread, features.shape)
    return truth, np.where(flips, 1 - truth, truth), 1 / (1 + np.exp(-logits)), features, flips


def around(features, images=None, k=20):
    images = np.arange(len(features)) if images is None else images
    return Neighbourhood(*nearest_elsewhere(features, images, np.arange(len(features)), k))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("flipped", [0.05, 0.1])
def test_planted_flips_come_first(seed, flipped):
    _, labels, probabilities, features, flips = world(seed, flipped)
    found = judge_labels(labels, probabilities, around(features))
    planted = flips.sum()
    assert flips[found.order[:planted]].mean() > 0.8
    assert average_precision_score(flips, found.suspicion) > 0.85
    assert 0.5 * planted < found.count < 2 * planted


def test_both_opinions_together_beat_either_alone():
    scores = {"both": [], "network": [], "neighbours": []}
    for seed in range(5):
        _, labels, probabilities, features, flips = world(seed, apart=1.0, spread=0.5)
        found = judge_labels(labels, probabilities, around(features))
        for name, suspicion in zip(scores, (found.suspicion, found.by_network, found.by_neighbours), strict=True):
            scores[name].append(average_precision_score(flips, suspicion))
    mean = {name: np.mean(values) for name, values in scores.items()}
    assert mean["both"] > max(mean["network"], mean["neighbours"]) + 0.02


def test_features_that_know_nothing_do_not_spoil_the_ranking():
    _, labels, probabilities, features, flips = world()
    blind = around(np.random.default_rng(9).normal(size=features.shape))
    found = judge_labels(labels, probabilities, blind)
    alone = average_precision_score(flips, found.by_network)
    assert average_precision_score(flips, found.suspicion) > alone - 0.01
    assert found.weight < 0.1 < judge_labels(labels, probabilities, around(features)).weight


def test_the_ranking_is_the_weighted_mean_of_both_opinions():
    _, labels, probabilities, features, _ = world()
    neighbours = around(features)
    found = judge_labels(labels, probabilities, neighbours)
    given = np.where(labels == 1, probabilities, 1 - probabilities)
    assert found.by_network == pytest.approx(1 - given, abs=1e-12)
    for row in range(5):
        weights = np.exp(neighbours.similarities[row].astype(float) / 0.07)
        against = labels[neighbours.positions[row]] != labels[row]
        assert found.by_neighbours[row] == pytest.approx(weights[against].sum() / weights.sum(), abs=1e-6)
    mixed = (1 - found.weight) * found.by_network + found.weight * found.by_neighbours
    assert found.suspicion == pytest.approx(mixed, abs=1e-9)
    assert 0 < found.weight < 1


def test_the_names_of_the_classes_do_not_matter():
    _, labels, probabilities, features, _ = world()
    found = judge_labels(labels, probabilities, around(features))
    swapped = judge_labels(1 - labels, 1 - probabilities, around(features))
    assert swapped.suspicion == pytest.approx(found.suspicion, abs=1e-9)
    assert swapped.count == found.count


def test_clean_labels_and_a_sure_network_leave_no_suspects():
    truth, _, _, features, _ = world()
    assert judge_labels(truth, np.where(truth == 1, 0.95, 0.05), around(features)).count == 0


def test_opinions_that_are_always_wrong_and_sure_still_give_a_ranking():
    """Pairs of unlike labels, each the other's only neighbour, under networks that say the opposite."""
    labels = np.arange(COUNT) % 2
    pairs = np.random.default_rng(0).normal(size=(COUNT // 2, 64)).repeat(2, axis=0)
    found = judge_labels(labels, 1.0 - labels, around(pairs, k=1))
    assert found.suspicion == pytest.approx(1)


def test_copies_within_an_image_do_not_vouch_for_each_other():
    """Three tiles of one image, all with the same wrong label, lie closest to each other."""
    truth, _, probabilities, features, _ = world(flipped=0)
    images = np.arange(COUNT)
    images[:3], features[:3] = 0, features[np.flatnonzero(truth == 0)[:1]]
    labels = truth.copy()
    labels[:3] = 1
    found = judge_labels(labels, probabilities, around(features, images, k=2))
    assert (found.by_neighbours[:3] > 0.4).all()
    assert judge_labels(labels, probabilities, around(features, k=2)).by_neighbours[:3] == pytest.approx(0)


@pytest.mark.parametrize(("change", "line"), [
    (lambda labels, p: (labels, np.where(np.arange(COUNT) == 4, np.nan, p)), "1 of 600 are NaN or infinite"),
    (lambda labels, p: (labels * 0, p), "all 600 samples are NonDefective; both classes are needed"),
])  # fmt: skip
def test_what_is_refused(change, line):
    _, labels, probabilities, features, _ = world()
    with pytest.raises(UserError, match=line):
        judge_labels(*change(labels, probabilities), around(features))


def test_one_source_image_alone_is_refused():
    _, labels, probabilities, features, _ = world()
    with pytest.raises(UserError, match="all samples come from one source image"):
        judge_labels(labels, probabilities, around(features, np.zeros(COUNT, int)))
