import numpy as np
from PIL import Image, ImageEnhance

from ssl_pcb.data.near_duplicates import MAX_DISTANCE, cluster_hashes, cluster_images
from ssl_pcb.errors import UserError

RNG = np.random.default_rng(0)


def test_clusters_are_the_components_of_a_naive_search(monkeypatch):
    centres = RNG.random((40, 256)) < 0.5
    hashes = centres[RNG.integers(0, 40, 300)].copy()
    for row in hashes:
        flips = RNG.choice(256, RNG.integers(0, 16), replace=False)
        row[flips] ^= True
    near = (hashes[:, None] != hashes).sum(2) <= MAX_DISTANCE
    naive = np.arange(300)
    for _ in range(300):
        naive = np.array([naive[row].min() for row in near])
    for entries in (20_000_000, 700):  # one block, and blocks of a few rows
        monkeypatch.setattr("ssl_pcb.data.near_duplicates._BLOCK_ENTRIES", entries)
        found = cluster_hashes(hashes)
        assert ((found[:, None] == found) == (naive[:, None] == naive)).all()


def test_copies_and_near_copies_share_a_cluster_and_others_do_not(tmp_path):
    paths = []
    for number in range(4):
        coarse = Image.fromarray(RNG.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        image = coarse.resize((96, 96), Image.Resampling.BICUBIC)
        brighter = ImageEnhance.Brightness(image).enhance(1.05)
        for name, picture in (("a.png", image), ("b.png", image), ("c.jpg", brighter)):
            paths.append(tmp_path / f"{number}{name}")
            picture.save(paths[-1])
    (tmp_path / "bad.png").touch()
    result = cluster_images([*paths, tmp_path / "bad.png"])
    assert result[:12] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert isinstance(result[12], UserError)
