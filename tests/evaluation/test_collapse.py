import numpy as np
import pytest

from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.collapse import collapse_warning, effective_rank, feature_std


def test_isotropic_features_have_std_one_and_full_rank():
    features = np.random.default_rng(0).normal(size=(20000, 32)) * 5
    assert feature_std(features) == pytest.approx(1, abs=0.01)
    assert effective_rank(features) == pytest.approx(32, rel=0.01)


def test_a_collapsed_network_has_std_zero_and_rank_one():
    features = np.tile(np.random.default_rng(0).normal(size=16), (50, 1))
    assert feature_std(features) == pytest.approx(0, abs=1e-6)
    assert effective_rank(features) == pytest.approx(1, abs=1e-3)
    assert effective_rank(np.zeros((5, 3))) == 0


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_effective_rank_equals_the_formula_on_the_svd(shape):
    features = np.random.default_rng(1).normal(size=shape) * np.logspace(0, -2, shape[1])
    singular = np.linalg.svd(features, compute_uv=False)
    share = singular / singular.sum()
    assert effective_rank(features) == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-5)


def test_effective_rank_of_equal_singular_values_is_their_number():
    assert effective_rank(np.eye(30, 8)) == pytest.approx(8)


def test_warning_speaks_on_either_kind_of_collapse_and_only_then():
    generator = np.random.default_rng(0)
    point = np.ones((100, 64)) + generator.normal(size=(100, 64)) * 1e-3
    line = generator.choice([-1, 1], size=(100, 1)) * np.ones((1, 64))
    healthy = np.abs(generator.normal(size=(100, 64)))  # as after a ReLU

    def warned(features):
        return collapse_warning(feature_std(features), effective_rank(features), 64)

    assert "all images look the same" in warned(point)
    assert "1.0 of 64 directions" in warned(line)
    assert warned(healthy) is None


def test_nan_features_are_refused():
    with pytest.raises(UserError, match="diverged"):
        feature_std(np.full((2, 2), np.nan))
