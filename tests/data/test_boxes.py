"""Boxes in batches against the pixels that they enclose."""

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.boxes import defect_boxes
from ssl_pcb.data.loaders import Batch
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.samples import load_samples

SIZE = 64
ROWS = {
    "square": ((96, 96), "", "24 6 48 30"),
    "wide": ((160, 80), "", "10 20 50 40"),
    "tall": ((60, 120), "", "6 80 36 110"),
    "crop": ((200, 120), "40 20 104 84", "56 36 80 60"),
    "cut by its crop": ((200, 120), "40 20 104 84", "24 36 72 60"),
    "two": ((96, 96), "", "6 6 18 18;60 66 84 90"),
}


@pytest.fixture
def samples(tmp_path):
    """Dark images with their boxes painted white; one of them good, one unmarked."""
    rows = []
    for name, ((width, height), crop, boxes) in ROWS.items():
        image = np.zeros((height, width), np.uint8)
        for x1, y1, x2, y2 in (map(int, box.split()) for box in boxes.split(";")):
            image[y1:y2, x1:x2] = 255
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        rows.append({"path": f"{name}.png", "label": "Defective", "crop": crop, "boxes": boxes})
    rows += [rows[0] | {"label": "NonDefective"}, rows[0] | {"boxes": ""}]
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    return load_samples(DataConfig(manifest=tmp_path / "m.csv", image_size=SIZE, cache=tmp_path / "cache"))[0]


def enclosed(boxes):
    """(S, S) bool: pixels whose centre lies in one of the boxes."""
    centres = (np.arange(SIZE) + 0.5) / SIZE
    inside = [
        np.logical_and.outer((y1 < centres) & (centres < y2), (x1 < centres) & (centres < x2))
        for x1, y1, x2, y2 in boxes
        if not np.isnan(x1)
    ]
    return np.any(inside, axis=0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_boxes_enclose_what_was_painted(samples, mirrored):
    dataset = samples.pixels(np.arange(len(ROWS)), boxes=True)
    batch = dataset.__getitems__(np.arange(len(ROWS)) + mirrored * len(ROWS))
    ring = samples.store.spec.margin
    for name, pixels, boxes in zip(ROWS, batch.inputs[:, 0], batch.boxes, strict=True):
        sample = pixels[ring : ring + SIZE, ring : ring + SIZE].numpy() > 127
        found = enclosed(boxes.numpy())
        # What a letterbox adds mirrors the sample, and with it the defect at its edge.
        own = (slice(16, 48) if name == "wide" else slice(None), slice(16, 48) if name == "tall" else slice(None))
        assert np.array_equal(sample[own], found[own]), name
        assert found.sum() > 50


def test_only_defective_samples_have_boxes_and_each_has_one(samples):
    boxes = samples.boxes(np.array([0, 6, 7]))
    assert boxes.shape == (3, 1, 4)
    assert boxes[0, 0].tolist() == pytest.approx([0.25, 0.0625, 0.5, 0.3125])
    assert np.isnan(boxes[1]).all()
    assert boxes[2, 0].tolist() == [0, 0, 1, 1]
    assert np.isnan(samples.boxes(np.array([0, 5]))[0, 1]).all()


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ("10 10 20 20;36 10 56 20", [[0.25, 0.25, 0.5, 0.5]]),  # of the second the crop shows 4 of 20 columns
        ("10 10 20 20;30 10 50 20", [[0.25, 0.25, 0.5, 0.5], [0.75, 0.25, 1, 0.5]]),  # exactly half
        ("36 10 56 20", [[0.9, 0.25, 1, 0.5]]),  # all that makes it Defective
        ("60 60 70 70", [[0, 0, 1, 1]]),
    ],
)
def test_a_sliver_of_a_defect_counts_only_where_there_is_nothing_else(tmp_path, boxes, expected):
    row = {"path": "a.png", "label": "Defective", "crop": "0 0 40 40", "boxes": boxes}
    found = defect_boxes(Manifest.build([row], tmp_path), np.array([0]), np.array([[80, 80]], np.int32), SIZE)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_nobody_pays_for_boxes_that_are_not_asked_for(samples):
    assert samples.pixels(np.arange(3)).__getitems__([0, 1]).boxes is None
    batch = Batch(torch.ones(2, 1, 4, 4), torch.zeros(2), torch.zeros(2, 1, 4))
    assert batch.to(torch.device("cpu")).boxes.shape == (2, 1, 4)
