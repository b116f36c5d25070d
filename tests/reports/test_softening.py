"""The picture of a temperature: where the bars stand."""

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.reports.softening import COLOURS, GAP, HEADER, PANEL, SIDE, draw_softening


def bars(picture, panel, name):
    """Places (x, y) of a class's pixels in one histogram, as shares of its side."""
    left = SIDE + panel * (PANEL + GAP)
    pixels = np.asarray(picture)[HEADER : HEADER + PANEL, left : left + PANEL]
    y, x = np.nonzero((pixels == COLOURS[name]).all(-1))
    return x / PANEL, y / PANEL


@pytest.fixture
def picture(tmp_path):
    labels = np.repeat([0, 1], [30, 10])
    log_odds = np.where(labels == 1, 8.0, -8.0)
    draw_softening(log_odds, labels, [1.0, 4.0, 1000.0], 4.0, tmp_path / "t.png")
    with Image.open(tmp_path / "t.png") as opened:
        return opened.convert("RGB")


def test_sure_predictions_stand_at_the_ends_and_the_hotter_the_nearer_to_the_middle(picture):
    for name, side in (("Defective", 1), ("NonDefective", -1)):
        far = [np.abs(bars(picture, panel, name)[0] - 0.5).mean() for panel in range(3)]
        assert far[0] > 0.45 > far[1] > 0.3 > 0.1 > far[2]
        assert all(np.sign(bars(picture, panel, name)[0].mean() - 0.5) == side for panel in (0, 1))


def test_classes_stand_on_their_own_side_of_the_middle_each_as_a_share_of_itself(picture):
    above, below = (bars(picture, 0, name)[1] for name in ("Defective", "NonDefective"))
    assert above.max() <= 0.5 <= below.min()
    assert len(above) == pytest.approx(len(below), rel=0.05)  # all of either class, 10 and 30, in one bar
