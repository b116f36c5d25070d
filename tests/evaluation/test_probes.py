import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.probes import label_fraction_indices, logistic_probe


def planted(n, seed, dim=12):
    """Features of very different scales, two of which tell the label."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    features = generator.normal(size=(n, dim))
    features[:, :2] += labels[:, None]
    return (features * np.logspace(-2, 2, dim) + 3).astype(np.float32), labels


def test_probe_equals_a_cold_fit_of_each_c_and_takes_the_best():
    train, val, test = planted(300, 0), planted(200, 1), planted(200, 2)
    probe = logistic_probe(*train, *val, cs=(1e-4, 1e-2, 1.0))
    scaler = StandardScaler().fit(train[0].astype(float))
    aurocs, scores = {}, {}
    for c in (1e-4, 1e-2, 1.0):
        model = LogisticRegression(C=c, tol=1e-6, max_iter=2000).fit(scaler.transform(train[0]), train[1])
        aurocs[c] = roc_auc_score(val[1], model.decision_function(scaler.transform(val[0])))
        scores[c] = model.decision_function(scaler.transform(test[0]))
    assert probe.c == max(aurocs, key=aurocs.get)
    assert probe.scores(test[0]) == pytest.approx(scores[probe.c], abs=0.02)


def test_scores_are_log_odds_of_defective():
    features, labels = planted(2000, 0)
    probe = logistic_probe(features, labels, *planted(500, 1))
    probability = 1 / (1 + np.exp(-probe.scores(planted(4000, 2)[0])))
    truth = planted(4000, 2)[1]
    assert probability[truth == 1].mean() > 0.6
    assert probability.mean() == pytest.approx(truth.mean(), abs=0.03)


def test_a_fit_that_stopped_unfinished_is_said_to_be_that(monkeypatch, caplog):
    train, val = planted(300, 0), planted(200, 1)
    logistic_probe(*train, *val)
    assert not caplog.records
    monkeypatch.setattr("ssl_pcb.evaluation.probes.MAX_ITERATIONS", 2)
    logistic_probe(*train, *val, cs=(10.0,))
    assert [record.getMessage() for record in caplog.records] == [
        "the logistic probe's fit at C = 10 stopped unfinished after 2 iterations"
    ]


def test_equal_validation_goes_to_the_smallest_c_in_any_order_of_the_grid():
    features, labels = np.array([[-1.0], [-2], [1], [2]]), np.array([0, 0, 1, 1])
    for cs in ((1.0, 0.01, 0.1), (0.01, 0.1, 1.0)):
        assert logistic_probe(features, labels, features, labels, cs=cs).c == 0.01


def test_a_feature_constant_in_training_does_not_blow_up_elsewhere():
    features, labels = planted(200, 0)
    features[:, 5] = 0.1
    probe = logistic_probe(features, labels, *planted(100, 1))
    assert np.abs(probe.scores(planted(100, 2)[0])).max() < 50


def test_one_class_or_nan_features_are_refused():
    features, labels = planted(50, 0)
    with pytest.raises(UserError, match="all 50 samples are NonDefective"):
        logistic_probe(features, np.zeros(50, int), features, labels)
    with pytest.raises(UserError, match="all 50 samples are Defective"):
        logistic_probe(features, labels, features, np.ones(50, int))
    features[3, 3] = np.nan
    with pytest.raises(UserError, match="1 of 50 rows"):
        logistic_probe(features, labels, features, labels)


def test_fractions_are_nested_stratified_and_seeded():
    labels = np.array([0] * 700 + [1] * 300 + [-1] * 500)
    one, ten, everything = (label_fraction_indices(labels, part, seed=4) for part in (0.01, 0.1, 1.0))
    assert set(one) < set(ten) < set(everything)
    assert everything.tolist() == list(range(1000))
    assert np.bincount(labels[ten]).tolist() == [70, 30]
    assert np.bincount(labels[one]).tolist() == [7, 3]
    assert (ten == label_fraction_indices(labels, 0.1, seed=4)).all()
    assert set(ten) != set(label_fraction_indices(labels, 0.1, seed=5))


def test_each_class_keeps_a_sample_and_bad_fractions_are_refused():
    labels = np.array([0] * 30 + [1])
    assert np.bincount(labels[label_fraction_indices(labels, 0.01, seed=0)]).tolist() == [1, 1]
    for fraction in (0.0, 1.5):
        with pytest.raises(ValueError, match="fraction"):
            label_fraction_indices(labels, fraction, seed=0)
