import numpy as np
import pytest
from PIL import Image

from ssl_pcb.imaging.resize import cut, map_boxes, place, resize

RNG = np.random.default_rng(1)


def noise(height: int, width: int, channels: int = 1) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (127 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)).astype(np.uint8)[..., None]


def naive_square(image: np.ndarray, size: int) -> np.ndarray:
    """The longer side resized to ``size``, then mirrored out to a square."""
    placed = place(*image.shape[:2], size)
    below, right = size - placed.top - placed.height, size - placed.left - placed.width
    resized = resize(image, placed.height, placed.width)
    return np.pad(resized, ((placed.top, below), (placed.left, right), (0, 0)), "symmetric")


@pytest.mark.parametrize("channels", [1, 3])
def test_same_size_is_an_exact_copy(channels):
    image = noise(13, 7, channels)
    same = resize(image, 13, 7)
    assert (same == image).all()
    assert not np.shares_memory(same, image)


def test_shrinking_averages_instead_of_skipping():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., None]
    shrunk = resize(stripes, 16, 16)
    assert np.abs(shrunk.astype(int) - 128)[:, 1:-1].max() < 10


@pytest.mark.parametrize("shape", [(7, 100), (100, 7), (1, 50), (50, 50), (3, 2), (640, 480)])
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_whole_image_is_resized_and_mirrored(shape, size, channels):
    image = noise(*shape, channels)
    placed = place(*shape, size)
    assert max(placed.height, placed.width) == size
    assert abs(placed.height - max(1, shape[0] * size / max(shape))) <= 0.5
    assert abs(placed.width - max(1, shape[1] * size / max(shape))) <= 0.5
    assert 0 <= size - 2 * placed.top - placed.height <= 1
    assert 0 <= size - 2 * placed.left - placed.width <= 1
    found = cut(image, None, size, 0)
    assert found.shape == (size, size, channels)
    assert (found == naive_square(image, size)).all()


def test_cut_at_scale_one_is_a_window_of_the_mirrored_source():
    image = noise(60, 80, 3)
    mirrored = np.pad(image, ((200, 200), (200, 200), (0, 0)), "symmetric")
    for x, y in ((0, 0), (20, 10), (48, 28), (48, 0)):
        for margin in (0, 5, 100):
            found = cut(image, (x, y, x + 32, y + 32), 32, margin)
            window = slice(200 + y - margin, 232 + y + margin), slice(200 + x - margin, 232 + x + margin)
            assert (found == mirrored[window]).all()


@pytest.mark.parametrize("size", [16, 24, 64])
def test_the_centre_of_a_cut_does_not_depend_on_the_margin(size):
    image = smooth(90, 120)
    crop = (30.0, 20.0, 70.0, 60.0)
    plain = cut(image, crop, size, 0).astype(int)
    for margin in (1, 7, 40):
        centre = cut(image, crop, size, margin)[margin : margin + size, margin : margin + size].astype(int)
        assert np.abs(centre - plain)[2:-2, 2:-2].max() <= 1
        assert np.abs(centre - plain).max() <= 20


def test_the_ring_shows_the_surroundings_at_the_same_scale():
    image = smooth(200, 200)
    wide = cut(image, (80, 80, 120, 120), 20, 10)
    assert np.abs(wide.astype(int) - resize(image[60:140, 60:140], 40, 40)).max() <= 2


def test_without_a_crop_the_ring_is_the_mirror_image():
    image = noise(32, 32)
    assert (cut(image, None, 32, 12) == np.pad(image, ((12, 12), (12, 12), (0, 0)), "symmetric")).all()
    assert (cut(image, None, 20, 0) == naive_square(image, 20)).all()
    long = noise(7, 100)
    assert (cut(long, None, 64, 9)[9:-9, :][:, 9:-9] == naive_square(long, 64)).mean() > 0.9


@pytest.mark.parametrize("crop", [(10, 10, 40, 20), (0, 0, 9, 60), (50, 3, 53, 5), (69.6, 49.7, 80.2, 60.1)])
def test_odd_crops_fill_the_square(crop):
    image = noise(60, 80, 3)
    assert cut(image, crop, 33, 11).shape == (55, 55, 3)
    x1, y1, x2, y2 = (round(value) for value in crop)
    assert (cut(image, crop, 33, 0) == naive_square(image[y1:y2, x1:x2], 33)).all()


def test_a_long_crop_shows_no_neighbour_inside_its_square():
    image = np.zeros((60, 60, 1), np.uint8)
    image[40:] = 255  # a bright neighbour right below the crop
    assert cut(image, (0, 30, 60, 40), 60, 6).max() == 0


@pytest.mark.parametrize("crop", [None, (20, 10, 60, 50), (20, 10, 80, 30), (10, 5, 20, 55)])
def test_boxes_land_where_their_pixels_land(crop):
    image = np.zeros((60, 80, 1), np.uint8)
    image[20:28, 12:40] = 255
    size = 160
    sample = cut(image, crop, size, 0)[..., 0] > 127
    placed = place(*((60, 80) if crop is None else (crop[3] - crop[1], crop[2] - crop[0])), size)
    only = np.zeros_like(sample)  # not the mirror image around it
    only[placed.top : placed.top + placed.height, placed.left : placed.left + placed.width] = True
    rows, columns = np.nonzero(sample & only)
    (box,) = map_boxes([(12, 20, 40, 28), (79, 59, 80, 60)][: 1 if crop is None else 2], crop, (80, 60), size)
    shown = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.subtract(box, shown)).max() <= 2.5
    (within,) = map_boxes([(12, 20, 40, 28)], crop, (80, 60), size + 2 * 24, context=24)
    assert within == pytest.approx([value + 24 for value in box])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [None, (10, 5, 50, 45), (0, 0, 30, 30), (40, 20, 80, 60), (3, 4, 70, 20)])
def test_a_picture_is_cut_like_its_array(channels, crop):
    image = noise(60, 80, channels)
    picture = Image.fromarray(image.squeeze())
    for size, margin in ((32, 0), (32, 8), (40, 20)):
        assert (cut(picture, crop, size, margin) == cut(image, crop, size, margin)).all()
