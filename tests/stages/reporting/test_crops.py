"""Pictures of samples from their files: their pixels, boxes over the right places, and the room that they take."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.stages.reporting.crops import MOST, boxes_of, pictures

ROOM = 10**9


def packed(folder, images, size=32, **columns):
    """Samples of arrays, packed at ``size``; ``columns`` of the manifest are lists."""
    rows = []
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number}.png")
        row = {"path": f"{number}.png", "label": "Defective", "group": "b", "split": "train"}
        rows.append(row | {name: values[number] for name, values in columns.items()})
    Manifest.build(rows, folder).write(folder / "m.csv")
    config = DataConfig(manifest=folder / "m.csv", image_size=size, margin=0, cache=folder / "cache")
    return load_samples(config)[0]


def opened(uri):
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    return np.asarray(image.convert("RGB"), float).mean(2)


def marked(height, width, box):
    pixels = np.full((height, width), 40, np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = 230
    return pixels


PLACES = {
    "square": (128, 128, (20, 90, 44, 110), "", 128),
    "wide": (90, 301, (200, 10, 260, 40), "", MOST),
    "tall and small": (61, 30, (4, 40, 20, 55), "", 61),
    "a tile": (200, 300, (220, 110, 250, 130), "180 90 280 190", 100),
    "a tile that is not square": (300, 500, (310, 100, 350, 140), "300 90 500 170", 200),
}


@pytest.mark.parametrize(("height", "width", "box", "crop", "side"), PLACES.values(), ids=PLACES)
def test_the_picture_has_the_pixels_of_the_file_and_boxes_lie_over_their_places(
    tmp_path, height, width, box, crop, side
):
    text = " ".join(map(str, box))
    samples = packed(tmp_path, [marked(height, width, box)], boxes=[text], crop=[crop])
    shown = opened(pictures(samples, [0], [0], ROOM)[0])
    assert shown.shape == (side, side)
    ((x, y, w, h),) = boxes_of(samples, 0)
    left, top, right, bottom = (round(each * side) for each in (x, y, x + w, y + h))
    assert shown[top + 2 : bottom - 2, left + 2 : right - 2].min() > 180
    around = shown[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4].copy()
    around[2:-2, 2:-2] = 0
    assert around.max() < 90


def test_a_heat_map_of_the_network_lies_over_the_same_places(tmp_path):
    """The square is laid out as the network's: its mirrored fill too."""
    samples = packed(tmp_path, [marked(90, 301, (200, 10, 260, 40))])
    large = opened(pictures(samples, [0], [0], ROOM)[0])
    small = samples.store.pixels[0, ..., 0].astype(float)
    shrunk = large.reshape(32, 8, 32, 8).mean((1, 3))
    moves = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    apart = {move: np.abs(np.roll(shrunk, move, (0, 1)) - small).mean() for move in moves}
    assert min(apart, key=apart.get) == (0, 0)
    assert apart.pop((0, 0)) < 0.7 * min(apart.values())


def test_many_pictures_keep_within_their_room_and_those_told_of_stay_the_larger(tmp_path):
    rng = np.random.default_rng(0)
    samples = packed(tmp_path, [rng.integers(0, 256, (300, 300), dtype=np.uint8) for _ in range(12)])
    rows, told = list(range(12)), {3, 5}
    everything = sum(map(len, pictures(samples, rows, told, ROOM).values()))
    for room in (everything // 2, everything // 6):
        found = pictures(samples, rows, told, room)
        assert sum(map(len, found.values())) <= room
        sides = {row: len(opened(found[row])) for row in rows}
        assert min(sides[row] for row in told) > max(sides[row] for row in rows if row not in told)


def test_a_file_that_is_gone_is_named(tmp_path):
    samples = packed(tmp_path, [marked(64, 64, (4, 4, 20, 20))])
    (tmp_path / "0.png").unlink()
    with pytest.raises(UserError, match=r"0\.png: no such image file"):
        pictures(samples, [0], [0], ROOM)
