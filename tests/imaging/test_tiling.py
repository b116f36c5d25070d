import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_pcb.errors import UserError
from ssl_pcb.imaging.tiling import box_share, tile_grid


@settings(deadline=None, max_examples=50)
@given(width=st.integers(1, 150), height=st.integers(1, 150), tile=st.integers(8, 130), data=st.data())
def test_tiles_cover_every_pixel_and_stay_inside(width, height, tile, data):
    overlap = data.draw(st.integers(0, tile - 8))
    seen = np.zeros((height, width), int)
    for x1, y1, x2, y2 in tile_grid(width, height, tile, overlap):
        assert (x2 - x1, y2 - y1) == (min(tile, width), min(tile, height))
        assert x1 >= 0
        assert y1 >= 0
        seen[y1:y2, x1:x2] += 1
    assert seen.shape == (height, width)
    assert seen.min() >= 1


def test_known_grids():
    assert len(tile_grid(640, 640, 128)) == 25
    assert tile_grid(300, 100, 128) == [(0, 0, 128, 100), (128, 0, 256, 100), (172, 0, 300, 100)]
    assert [t[0] for t in tile_grid(256, 10, 128, 64)] == [0, 64, 128]


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (-5, 0), (64, 64), (64, -1)])
def test_impossible_grids_are_refused(tile, overlap):
    with pytest.raises(UserError, match="tile"):
        tile_grid(100, 100, tile, overlap)


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 40)] * 4), st.tuples(*[st.integers(0, 40)] * 4))
def test_box_share_counts_pixels(box, tile):
    box = (box[0], box[1], box[0] + box[2] + 1, box[1] + box[3] + 1)
    tile = (tile[0], tile[1], tile[0] + tile[2] + 1, tile[1] + tile[3] + 1)
    mask = np.zeros((90, 90), bool)
    mask[tile[1] : tile[3], tile[0] : tile[2]] = True
    assert box_share(box, tile) == pytest.approx(mask[box[1] : box[3], box[0] : box[2]].mean())
