"""The eight symmetries of the square."""

import numpy as np
import pytest

from ssl_pcb.audit.symmetries import SYMMETRIES, inverse, turned

PICTURE = np.arange(12).reshape(3, 4)
ALL = range(len(SYMMETRIES))


def test_all_are_different():
    assert len({(turned(PICTURE, symmetry).shape, turned(PICTURE, symmetry).tobytes()) for symmetry in ALL}) == 8


@pytest.mark.parametrize("symmetry", ALL)
def test_the_inverse_undoes(symmetry):
    back = int(inverse(np.array([symmetry]))[0])
    assert (turned(turned(PICTURE, symmetry), back) == PICTURE).all()


def test_names_are_true():
    assert (turned(PICTURE, SYMMETRIES.index("as it is")) == PICTURE).all()
    assert turned(PICTURE, SYMMETRIES.index("turned by 90"))[:, 0].tolist() == [3, 2, 1, 0]  # the top comes to the left
    assert (turned(PICTURE, SYMMETRIES.index("turned by 180")) == PICTURE[::-1, ::-1]).all()
    assert (turned(PICTURE, SYMMETRIES.index("mirrored")) == PICTURE[:, ::-1]).all()


def test_only_the_last_two_sides_are_turned():
    stack = np.stack([PICTURE, -PICTURE])
    assert (turned(stack, 5)[1] == -turned(PICTURE, 5)).all()
