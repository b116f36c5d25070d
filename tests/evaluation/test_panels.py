"""Misses and false alarms on whole images."""

import pytest

from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.panels import PanelCount, count_panel
from ssl_pcb.imaging.tiling import tile_grid

WINDOWS = tile_grid(400, 100, 100, 50)  # seven windows in a row, from 0 to 400


@pytest.mark.parametrize(
    ("called", "boxes", "expected"),
    [
        ([], [(40, 40, 60, 60)], PanelCount(1, 1, 0)),
        ([0], [(40, 40, 60, 60)], PanelCount(1, 0, 0)),
        ([1], [(40, 40, 60, 60)], PanelCount(1, 0, 0)),  # holds half of it
        ([1], [(40, 40, 59, 60)], PanelCount(1, 1, 0)),  # holds less, and is no alarm: it touches the defect
        ([4], [(40, 40, 60, 60)], PanelCount(1, 1, 1)),
        ([3, 4], [(40, 40, 60, 60)], PanelCount(1, 1, 1)),  # they overlap: one alarm
        ([2, 4, 6], [(0, 0, 10, 10)], PanelCount(1, 1, 3)),  # they only touch
        ([2, 3, 4, 5, 6], [(0, 0, 10, 10)], PanelCount(1, 1, 1)),
        ([6], [], PanelCount(0, 0, 1)),
        (range(7), [(0, 0, 10, 10), (390, 90, 400, 100)], PanelCount(2, 0, 1)),
    ],
)
def test_counts_worked_by_hand(called, boxes, expected):
    scores = [1.0 if number in called else -1.0 for number in range(7)]
    assert count_panel(WINDOWS, scores, boxes, ThreeWay(0, 0)) == expected


def test_what_goes_to_review_is_neither_missed_nor_an_alarm():
    scores = [0.5, -1, -1, -1, 0.5, -1, 2]
    assert count_panel(WINDOWS, scores, [(10, 10, 20, 20)], ThreeWay(0, 1)) == PanelCount(1, 0, 1)
