"""The picture beside golden images that were put together."""

import numpy as np
import pandas as pd
from PIL import Image

from ssl_pcb.audit.drawing import CUT
from ssl_pcb.data.golden.find import Found
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.stages.golden import LOOKED_AT, PICTURE, SIDE, _pairs, make_golden

SPOT = slice(70, 82)


def boards(folder):
    """One pattern that a camera sees a little brighter or darker each time; a spot on the first image alone."""
    rng = np.random.default_rng(0)
    panel = np.full((160, 220), 200, np.uint8)
    for _ in range(40):
        top, left = rng.integers(0, 150, 2)
        panel[top : top + rng.integers(4, 30), left : left + rng.integers(4, 30)] = rng.choice([40, 200])
    rows = []
    for number in range(5):
        shown = panel + np.uint8(number)
        if not number:
            shown[SPOT, SPOT] = 255 - shown[SPOT, SPOT]
        Image.fromarray(shown).save(folder / f"{number}.png")
        rows.append({"path": f"{number}.png", "group": "a", "split": "train"})
    alone = rng.integers(0, 255, (160, 220), dtype=np.uint8)
    Image.fromarray(alone).save(folder / "alone.png")
    return Manifest.build([*rows, {"path": "alone.png", "group": "a", "split": "train"}], folder)


def test_red_is_the_defect_and_the_least_repeated_come_first(tmp_path):
    manifest = boards(tmp_path)
    found = make_golden(manifest, tmp_path / "g", max_pixels=10**8, block=26)
    assert Image.open(tmp_path / "g" / PICTURE).width > 4 * SIDE
    pairs = list(_pairs(found, tmp_path, 10**8))
    assert pairs[0].notes[0][0] == "alone.png"
    assert pairs[0].notes[1][0].startswith("golden image: 0 of ")
    marked = {pair.notes[0][0]: (pair.pictures[0] == CUT).all(2) for pair in pairs}
    red = marked.pop("0.png")
    assert red[72:80, 72:80].all()  # differences are averaged over three pixels
    red[68:84, 68:84] = False
    assert red.mean() < 0.01
    assert {name for name, each in marked.items() if each.mean() < 0.01} >= {"1.png", "2.png", "3.png", "4.png"}


def test_large_pictures_are_compared_small_and_few_are_shown_once_each(tmp_path):
    names = ["one.png", "two.png", "three.png"]
    for name in names:
        Image.new("L", (2 * LOOKED_AT, LOOKED_AT), 200).save(tmp_path / name)
    table = pd.DataFrame({"path": names, "golden": names, "blocks": 9, "repeated": [9, 0, 3]})
    found = Found(tmp_path / "manifest.csv", table, [], 0, 8)
    pairs = list(_pairs(found, tmp_path, 10**8))
    assert [pair.notes[0][0] for pair in pairs] == ["two.png", "three.png", "one.png"]
    assert {picture.shape for pair in pairs for picture in pair.pictures} == {(LOOKED_AT // 2, LOOKED_AT, 3)}
