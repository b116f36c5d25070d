from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.floors import edge_count_scores, edge_density, otsu_threshold, position_scores
from ssl_pcb.imaging.tiling import tile_grid


def panel(seed, rule):
    """Tiles of 20 panels, labelled by ``rule(column, row)`` with a tenth of the labels wrong."""
    generator = np.random.default_rng(seed)
    rows = []
    for name in range(20):
        for x1, y1, x2, y2 in tile_grid(250, 250, 50):
            defective = rule(x1 // 50, y1 // 50) != (generator.random() < 0.1)
            label = ("NonDefective", "Defective")[int(defective)]
            rows.append({"path": f"{seed}-{name}.png", "label": label, "crop": f"{x1} {y1} {x2} {y2}"})
    return Manifest.build(rows, Path("."))


@pytest.mark.parametrize(
    "rule",
    [
        lambda x, y: 1 <= x <= 3 and 1 <= y <= 3,
        lambda x, y: (x > 2) != (y > 2),
        lambda x, y: x % 2 == 1,
    ],
    ids=["middle", "diagonal corners", "every other column"],
)
def test_position_finds_labels_that_follow_the_place(rule):
    test = panel(1, rule)
    scores = position_scores(panel(0, rule), test)
    assert roc_auc_score(test.frame["label"] == "Defective", scores) > 0.85


def test_position_is_chance_where_place_says_nothing():
    test = panel(1, lambda x, y: (x * 7 + y * 3) % 5 < 2)
    shuffled = panel(0, lambda x, y: False)
    shuffled.frame["label"] = np.random.default_rng(0).choice(["Defective", "NonDefective"], len(shuffled))
    scores = position_scores(shuffled, test)
    assert abs(roc_auc_score(test.frame["label"] == "Defective", scores) - 0.5) < 0.12


def test_whole_images_have_no_position():
    rows = [{"path": f"{n}.png", "label": ("Defective", "NonDefective")[n % 2]} for n in range(6)]
    manifest = Manifest.build(rows, Path("."))
    assert len(set(position_scores(manifest, manifest))) == 1


def test_position_needs_both_classes():
    train = panel(0, lambda x, y: True)
    with pytest.raises(UserError, match="are Defective"):
        position_scores(train.select(train.frame["label"] == "Defective"), train)


def test_edge_count_reads_each_crop_of_each_image(tmp_path):
    striped, plain = np.zeros((40, 80, 3), np.uint8), np.full((40, 40), 90, np.uint8)
    striped[:, 40::10] = striped[:, 41::10] = 200  # four lines of two pixels, eight edges, on the right
    Image.fromarray(striped).save(tmp_path / "a.png")
    Image.fromarray(plain).save(tmp_path / "b.png")
    rows = [
        {"path": "a.png", "crop": "0 0 40 40"},
        {"path": "b.png"},
        {"path": "a.png", "crop": "40 0 80 40"},
        {"path": "a.png", "crop": "39 0 79 40"},
    ]
    scores = edge_count_scores(Manifest.build(rows, tmp_path))
    pairs = 40 * 39 * 2
    assert scores == pytest.approx([0, 0, 7 * 40 / pairs, 8 * 40 / pairs])


def test_edge_count_does_not_depend_on_brightness(tmp_path):
    pattern = np.random.default_rng(0).integers(0, 2, (30, 30))
    Image.fromarray((pattern * 200 + 20).astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray((pattern * 30 + 5).astype(np.uint8)).save(tmp_path / "b.png")
    bright, dark = edge_count_scores(Manifest.build([{"path": "a.png"}, {"path": "b.png"}], tmp_path))
    assert bright == dark == pytest.approx(edge_density(pattern.astype(bool)))


def test_otsu_maximises_the_variance_between_the_halves():
    generator = np.random.default_rng(0)
    image = np.concatenate([generator.normal(60, 12, 500), generator.normal(150, 25, 300)])
    image = image.clip(0, 255).astype(np.uint8).reshape(20, 40)

    def between(level):
        low, high = image[image <= level], image[image > level]
        return low.size * high.size * (low.mean() - high.mean()) ** 2

    levels = range(int(image.min()), int(image.max()))
    assert between(otsu_threshold(image)) == pytest.approx(max(between(level) for level in levels))
