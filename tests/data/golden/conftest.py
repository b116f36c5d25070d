"""Panels, and images of them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssl_pcb.data.golden.pool import Pool
from ssl_pcb.data.manifest import Manifest

SIDE, BLOCK = 160, 64


def board(seed, side=400):
    """A panel of black and white lines that no other seed has: nothing on it repeats by itself."""
    rng = np.random.default_rng(seed)
    panel = np.full((side, side), 255, np.uint8)
    for _ in range(120):
        top, left = rng.integers(0, side - 20, 2)
        panel[top : top + rng.integers(4, 40), left : left + rng.integers(4, 40)] = rng.choice([0, 255])
    return panel


@pytest.fixture
def folder(tmp_path):
    """Views of panel 0, each a few pixels elsewhere, and one defect on each that no other has."""
    panel = board(0)
    rows = []
    for number in range(9):
        y, x = 40 + 2 * number, 90 - 3 * number
        clean = panel[y : y + SIDE, x : x + SIDE]
        seen = clean.copy()
        spot = 12 + 14 * number
        seen[spot : spot + 8, 150 - spot : 158 - spot] ^= 255
        Image.fromarray(seen).save(tmp_path / f"{number}.png")
        Image.fromarray(clean).save(tmp_path / f"clean-{number}.png")
        rows.append({"path": f"{number}.png", "group": "a", "split": "train"})
    Manifest.build(pd.DataFrame(rows), tmp_path).write(tmp_path / "m.csv")
    return tmp_path


def opened_pool(files, block=BLOCK):
    return Pool(files, block, range(len(files)), bit_depth=8, max_pixels=10**9)


def opened(file):
    return np.asarray(Image.open(file)).astype(int)
