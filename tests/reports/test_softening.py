"""The picture of a temperature: where the bars stand."""

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.reports.softening import draw_softening, softening_figure

LABELS = np.repeat([0, 1], [30, 10])
CASE = np.where(LABELS == 1, 8.0, -8.0), LABELS, [1.0, 4.0, 1000.0], 4.0


@pytest.fixture(scope="module")
def panels():
    return softening_figure(*CASE).axes


def bars(axes, name):
    """Places and heights of a class's bars, without empty ones."""
    (container,) = (each for each in axes.containers if each.get_label() == name)
    found = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in container if bar.get_height()]
    return np.array(found).T


def test_sure_predictions_stand_at_the_ends_and_the_hotter_the_nearer_to_the_middle(panels):
    for name, side in (("Defective", 1), ("NonDefective", -1)):
        far = [np.abs(bars(axes, name)[0] - 0.5).mean() for axes in panels]
        assert far[0] > 0.45 > far[1] > 0.3 > 0.1 > far[2]
        assert all(np.sign(bars(axes, name)[0].mean() - 0.5) == side for axes in panels[:2])


def test_classes_stand_on_their_own_side_of_the_middle_each_as_a_share_of_itself(panels):
    above, below = (bars(panels[0], name)[1] for name in ("Defective", "NonDefective"))
    assert (list(above), list(below)) == ([1], [-1])  # all of either class, 10 and 30, in one bar


def test_the_networks_own_temperature_is_marked_in_the_file(panels, tmp_path):
    assert ["of this network" in axes.get_title() for axes in panels] == [False, True, False]
    draw_softening(*CASE, tmp_path / "t.png")
    with Image.open(tmp_path / "t.png") as opened:
        assert opened.format == "PNG"
        assert opened.width > 2 * opened.height
