import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ssl_pcb.evaluation import bootstrap
from ssl_pcb.evaluation.bootstrap import (
    bootstrap_intervals,
    choose_clusters,
    draw_cluster_counts,
    resampled_metrics,
    weighted_ranking,
)
from ssl_pcb.evaluation.metrics import classification_metrics


def tiles(images=40, per_image=6, seed=0, decimals=1):
    """Scores whose errors are shared by the tiles of one image; rounded, so that there are ties."""
    generator = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), per_image)
    labels = (generator.random(len(image)) < 0.3).astype(int)
    scores = labels + generator.normal(0, 0.7, images)[image] + generator.normal(0, 0.7, len(image))
    return np.round(scores, decimals), labels, np.array([f"{i}.png" for i in image])


def test_weighted_ranking_equals_scikit_learn_with_sample_weights():
    scores, labels, _ = tiles()
    weights = np.random.default_rng(3).integers(0, 4, size=(7, len(scores)))
    found = weighted_ranking(scores, labels, weights)
    for row, weight in enumerate(weights):
        assert found["auroc"][row] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weight), abs=1e-12)
        assert found["average_precision"][row] == pytest.approx(
            average_precision_score(labels, scores, sample_weight=weight), abs=1e-12
        )


def test_all_scores_equal_ranks_at_chance():
    found = weighted_ranking(np.zeros(4), np.array([0, 1, 0, 0]), np.ones((1, 4)))
    assert {name: value[0] for name, value in found.items()} == {
        "auroc": 0.5, "average_precision": 0.25, "false_call_rate_at_5_escape": 1, "false_call_rate_at_1_escape": 1,
    }  # fmt: skip


@pytest.mark.parametrize("chunk_values", [1, 1_000, 10**9])
def test_resampled_metrics_equal_copying_the_drawn_images(monkeypatch, chunk_values):
    monkeypatch.setattr(bootstrap, "CHUNK_VALUES", chunk_values)
    scores, labels, names = tiles(images=12)
    cluster_of = np.unique(names, return_inverse=True)[1]
    counts = draw_cluster_counts(12, 25, seed=5)
    fast = resampled_metrics(scores, labels, 0.5, cluster_of, counts)
    for row, count in enumerate(counts):
        drawn = np.concatenate([np.flatnonzero(cluster_of == cluster) for cluster in np.repeat(np.arange(12), count)])
        slow = classification_metrics(scores[drawn], labels[drawn], 0.5)
        for name, values in fast.items():
            assert values[row] == pytest.approx(slow[name], abs=1e-12, nan_ok=True), name


def test_intervals_are_the_percentiles_of_the_resamples():
    scores, labels, names = tiles()
    result = bootstrap_intervals(scores, labels, 0.5, [""] * len(names), names, resamples=300, seed=2, level=0.8)
    cluster_of = np.unique(names, return_inverse=True)[1]
    values = resampled_metrics(scores, labels, 0.5, cluster_of, draw_cluster_counts(40, 300, seed=2))
    assert (result.unit, result.clusters, result.resamples, result.skipped) == ("source image", 40, 300, 0)
    for name, drawn in values.items():
        assert (result.low[name], result.high[name]) == pytest.approx(tuple(np.quantile(drawn, [0.1, 0.9])))


def test_dependent_tiles_get_wider_intervals_than_independent_ones():
    scores, labels, names = tiles(images=30, per_image=20)
    groups = [""] * len(names)
    clustered = bootstrap_intervals(scores, labels, 0.5, groups, names)
    independent = bootstrap_intervals(scores, labels, 0.5, groups, [str(n) for n in range(len(names))])
    width = clustered.high["false_call_rate"] - clustered.low["false_call_rate"]
    assert width > 1.5 * (independent.high["false_call_rate"] - independent.low["false_call_rate"])


@pytest.mark.slow
def test_intervals_cover_the_true_rate_about_as_often_as_they_say():
    """A false-call rate of 0.3 on 60 independent images a time; percentile intervals run slightly narrow."""
    generator = np.random.default_rng(0)
    names, covered = [str(n) for n in range(60)], 0
    for seed in range(300):
        scores = (generator.random(60) < 0.3).astype(float)
        result = bootstrap_intervals(scores, np.zeros(60, int), 0.5, names[:1] * 60, names, seed=seed)
        covered += result.low["false_call_rate"] <= 0.3 <= result.high["false_call_rate"]
    assert 0.88 <= covered / 300 <= 0.98


@pytest.mark.parametrize(
    ("boards", "prefix", "unit", "clusters"),
    [(20, "b", "board", 20), (19, "b", "source image", 40), (20, "~", "source image", 40)],
)
def test_boards_are_resampled_where_there_are_enough_real_ones(boards, prefix, unit, clusters):
    images = [f"{n}.png" for n in range(40)]
    found, cluster_of = choose_clusters([f"{prefix}{n % boards}" for n in range(40)], images)
    assert (found, cluster_of.max() + 1) == (unit, clusters)


def test_one_sample_without_a_board_makes_it_source_images():
    groups = [f"b{n}" for n in range(39)] + [""]
    assert choose_clusters(groups, [str(n) for n in range(40)])[0] == "source image"


def test_resamples_that_lose_a_class_are_skipped_and_counted():
    names = ["a", "b", "c"]
    result = bootstrap_intervals([0.9, 0.2, 0.1], [1, 0, 0], 0.5, [""] * 3, names, resamples=400, seed=0)
    counts = draw_cluster_counts(3, 400, 0)
    lost = int(((counts[:, 0] == 0) | (counts[:, 0] == 3)).sum())
    assert lost > 0
    assert (result.skipped, result.resamples) == (lost, 400 - lost)
    assert result.low["auroc"] == result.high["auroc"] == 1.0
    prevalence = counts[(counts[:, 0] > 0) & (counts[:, 0] < 3), 0] / 3
    assert result.low["prevalence"] == pytest.approx(np.quantile(prevalence, 0.025))
    assert result.low["prevalence"] > 0


def test_data_of_one_class_keep_the_rates_that_are_defined():
    names = [str(n) for n in range(10)]
    result = bootstrap_intervals([0.9, *[0.1] * 9], [0] * 10, 0.5, [""] * 10, names)
    assert result.skipped == 0
    assert result.low["false_call_rate"] == 0.0
    assert 0.2 <= result.high["false_call_rate"] <= 0.4
    assert "escape_rate" not in result.low
    assert "auroc" not in result.low


def test_a_single_image_gives_no_interval_rather_than_one_of_width_zero():
    result = bootstrap_intervals([0.9, 0.1], [1, 0], 0.5, ["", ""], ["a", "a"])
    assert (result.low, result.resamples) == ({}, 0)
    assert "one source image" in result.reason
