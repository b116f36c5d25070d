"""McNemar's exact test."""

import numpy as np
import pytest
from scipy.stats import binom

from ssl_pcb.evaluation.mcnemar import mcnemar


def test_it_counts_what_only_one_gets_wrong():
    first, second = np.zeros(100, bool), np.zeros(100, bool)
    first[:12], second[10:13] = True, True  # 10 and 1 alone, 2 both
    found = mcnemar(first, second)
    assert (found.first_alone, found.second_alone) == (10, 1)
    assert found.p_value == pytest.approx(2 * binom.cdf(1, 11, 0.5), abs=1e-12)


def test_those_that_err_alike_do_not_differ():
    wrong = np.arange(10) < 3
    assert mcnemar(wrong, wrong).p_value == 1
    assert mcnemar(wrong, wrong[::-1]).p_value == 1
    with pytest.raises(ValueError, match="same samples"):
        mcnemar(wrong, wrong[1:])
