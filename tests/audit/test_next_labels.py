"""What to label next: as many as asked for, spread over what there is, and where the network is unsure."""

import numpy as np
import pytest

from ssl_pcb.audit.next_labels import CANDIDATES, choose_next
from ssl_pcb.errors import UserError


def islands(sizes=(200, 60, 30, 10), seed=0):
    """Features around as many far-apart directions, and each one's number."""
    generator = np.random.default_rng(seed)
    number = np.repeat(np.arange(len(sizes)), sizes)
    order = generator.permutation(len(number))
    features = 5 * np.eye(8)[number] + generator.normal(0, 0.1, (len(number), 8))
    return features[order], number[order]


def test_each_island_is_chosen_from_once_and_the_largest_comes_first():
    features, number = islands()
    choice = choose_next(features, 4, seed=0)
    assert number[choice.positions].tolist() == [0, 1, 2, 3]
    assert choice.stands_for.tolist() == [200, 60, 30, 10]


def test_of_an_island_the_sample_nearest_to_its_middle_is_chosen():
    features, number = islands()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for position, island in zip(choose_next(features, 4, seed=0).positions, range(4), strict=True):
        middle = unit[number == island].mean(0)
        distances = np.linalg.norm(unit - middle, axis=1)
        assert distances[position] == pytest.approx(distances[number == island].min(), abs=1e-6)


def test_only_the_most_uncertain_are_candidates_and_they_are_ranked_by_it():
    features, number = islands()
    uncertainty = np.random.default_rng(1).random(len(features)) * np.where(number == 3, 1e-3, 1)
    choice = choose_next(features, 6, 0, uncertainty)
    candidates = np.argsort(-uncertainty)[: 6 * CANDIDATES]
    assert set(choice.positions) <= set(candidates)
    assert 3 not in number[choice.positions]
    assert (np.diff(uncertainty[choice.positions]) <= 0).all()
    assert choice.stands_for.sum() == 6 * CANDIDATES


def test_the_uncertain_pull_the_choice_towards_them():
    """On a line, k-means of one cluster lands at the weighted mean, not at the mean."""
    angle = np.linspace(0, 0.2, 9)
    features = np.column_stack([np.cos(angle), np.sin(angle)])
    uncertainty = np.where(np.arange(9) < 3, 1.0, 0.01)
    assert choose_next(features, 1, 0).positions.tolist() == [4]
    assert choose_next(features, 1, 0, uncertainty).positions.tolist() == [1]


def test_a_network_sure_of_everything_still_chooses():
    features, _ = islands()
    assert len(set(choose_next(features, 20, 0, np.zeros(len(features))).positions)) == 20


@pytest.mark.parametrize("count", [1, 7, 12])
def test_equal_features_still_give_as_many_as_asked_for(count):
    features = np.repeat(np.eye(3), 4, axis=0)
    choice = choose_next(features, count, seed=0)
    assert len(set(choice.positions.tolist())) == count
    assert len(choice.stands_for) == count


def test_the_same_seed_chooses_the_same():
    features = np.random.default_rng(0).normal(size=(200, 6))
    first, again, other = (choose_next(features, 10, seed).positions.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_more_than_there_are_and_features_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match=r"-n 9: there are only 8 unlabelled samples"):
        choose_next(np.eye(8), 9, seed=0)
    with pytest.raises(UserError, match="NaN"):
        choose_next(np.full((8, 2), np.nan), 2, seed=0)
