"""What two thresholds do to tiles, images and boards."""

import numpy as np
import pandas as pd
import pytest

from ssl_pcb.decision.verdicts import ThreeWay
from ssl_pcb.evaluation.errors import errors_by_name, errs_how
from ssl_pcb.evaluation.operating import operate


@pytest.fixture
def tiles():
    """Three images of two boards: a defect in review, one that escapes, a false call, and a good image."""
    return pd.DataFrame({
        "path": ["1", "1", "2", "2", "3", "3"], "group": ["x", "x", "x", "x", "y", "y"],
        "label": ["Defective", "NonDefective", "Defective", "NonDefective", "NonDefective", "NonDefective"],
        "types": ["open;open", "", "short;open", "", "", ""], "score": [0.5, -2.0, -1.0, 3.0, -1.0, 0.2],
    })  # fmt: skip


def test_every_unit_has_its_rates(tiles):
    found = operate(tiles, ThreeWay(0, 1), "tile", 0.1)
    counts = {unit: [(each.errors, each.samples) for each in pair] for unit, pair in found.rates.items()}
    # Image 2 has an escaped tile and a falsely called one: the image is stopped, if for a wrong reason.
    assert counts == {"tile": [(1, 2), (1, 4)], "image": [(0, 2), (0, 1)], "board": [(0, 1), (0, 1)]}
    assert found.tiles_per_image == 2


def test_the_reviewers_load_is_at_the_fields_rate(tiles):
    found = operate(tiles, ThreeWay(0, 1), "tile", 0.1)  # of good tiles 1 of 4 is between, of Defective ones 1 of 2
    assert found.review_per_1000 == pytest.approx(1000 * (0.9 / 4 + 0.1 / 2))
    assert operate(tiles, ThreeWay(0, 0), "tile", 0.1).review_per_1000 is None


def test_escapes_are_told_by_board_and_by_type(tiles):
    found = operate(tiles, ThreeWay(0, 1), "tile", 0.1)
    assert found.by_board.set_index("name")["escapes"].to_dict() == {"x": 1, "y": 0}
    assert found.by_board.set_index("name")["false_calls"].to_dict() == {"x": 1, "y": 0}  # 0.2 goes to a person
    types = found.by_type.set_index("name")
    assert types[["defective", "escapes"]].to_dict("index") == {
        "open": {"defective": 2, "escapes": 1}, "short": {"defective": 1, "escapes": 1},
    }  # fmt: skip


def test_whole_images_have_no_tiles_and_unknown_boards_no_rates(tiles):
    found = operate(tiles.assign(group="", path=list("abcdef")), ThreeWay(0, 1), "image", 0.1)
    assert list(found.rates) == ["image"]
    assert found.tiles_per_image == 1


def test_clusters_that_stand_in_for_boards_are_called_no_boards(tiles):
    found = operate(tiles.assign(group=["~1", "~1", "~2", "~2", "y", "y"]), ThreeWay(0, 1), "tile", 0.1)
    assert list(found.rates) == ["tile", "image"]
    assert len(found.by_board) == 0


@pytest.mark.parametrize(
    ("scores", "line"),
    [
        ([-1, -1, -1, -1], "letting defects pass"),
        ([1, 1, 1, 1], "stopping good"),
        ([1, -1, 1, -1], "as often either way"),
    ],
)
def test_which_way_it_errs(scores, line):
    labels = np.array([1, 1, 0, 0])
    row = errors_by_name(ThreeWay(0, 0).verdicts(scores), labels, ["all"] * 4).iloc[0]
    assert line in errs_how(row["escapes"], row["defective"], row["false_calls"], row["good"], "tile")
