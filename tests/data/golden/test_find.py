"""Golden images of a whole manifest: none shows what its split must not see, and defects are outvoted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ssl_pcb.data.golden import pool
from ssl_pcb.data.golden.find import _pool, find_golden
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import decode as decode_file
from tests.data.golden.conftest import BLOCK, SIDE, board, opened


def test_a_defect_is_outvoted_and_the_pattern_kept(folder):
    find_golden(Manifest.read(folder / "m.csv"), folder / "g", block=BLOCK)
    table = Manifest.read(folder / "g" / "manifest.csv")
    for number in (3, 4, 5):
        made = opened(table.root / table.frame["reference"][number])
        clean, seen = opened(folder / f"clean-{number}.png"), opened(folder / f"{number}.png")
        inner = slice(24, -24)  # at the rim fewer views show the same
        assert (made != clean)[inner, inner].mean() < 0.01
        assert (seen != clean)[inner, inner].mean() > 0.003
        differs = (seen != clean) & (np.indices(clean.shape).min(0) > 24) & (np.indices(clean.shape).max(0) < SIDE - 24)
        assert (made[differs] == clean[differs]).mean() > 0.95


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_exact_copy_is_no_witness(tmp_path, mode):
    seen = board(2, 128)
    Image.fromarray(seen).save(tmp_path / "one.png")
    Image.fromarray(seen).convert(mode).save(tmp_path / "copy.png")
    rows = [{"path": f"{name}.png", "group": "b"} for name in ("one", "copy")]
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    with pytest.raises(UserError, match=r"^nothing that an image shows is repeated on another of its board; say"):
        find_golden(Manifest.read(tmp_path / "m.csv"), tmp_path / "g", block=64)
    assert not (tmp_path / "g").exists()


def test_copies_of_a_witness_have_one_vote(folder):
    """One image with a defect, listed four times over, against two without it."""
    panel = board(0)[:150, :150]
    spoilt = panel.copy()
    spoilt[66:74, 66:74] ^= 255
    shown = {"judged": 1, "clean": 2, "also_clean": 3} | {f"spoilt{copy}": 0 for copy in range(4)}
    for name, corner in shown.items():
        picture = (panel if corner else spoilt).copy()
        picture[:corner, :3] ^= 255  # no two but the spoilt ones are the same
        Image.fromarray(picture).save(folder / f"{name}.png")
    rows = [{"path": f"{name}.png", "group": "w"} for name in shown]
    Manifest.build(rows, folder).write(folder / "w.csv")
    find_golden(Manifest.read(folder / "w.csv"), folder / "w")
    table = Manifest.read(folder / "w" / "manifest.csv")
    assert (opened(table.root / table.frame["reference"][0]) == panel)[66:74, 66:74].all()


def test_golden_images_of_12_bit_files_are_as_bright_as_training_sees_their_images(tmp_path):
    panel = board(6)
    for number in range(4):
        picture = panel[number : number + 150, :150].astype(np.uint16) * 16
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    rows = [{"path": f"{number}.png", "group": "d"} for number in range(4)]
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    find_golden(Manifest.read(tmp_path / "m.csv"), tmp_path / "g")
    assert opened(tmp_path / "g" / "images" / "000000.png").max() == 255


def test_images_of_no_known_board_are_searched_together_and_what_is_repeated_nowhere_is_left_out(folder):
    """Near-duplicates that an import put together are no boards."""
    Image.fromarray(board(9)[:20, :20]).save(folder / "tiny.png")
    rows = [{"path": f"{number}.png", "group": f"~{number}"} for number in range(9)]
    rows += [{"path": "tiny.png", "group": "tiny", "reference": "clean-0.png"}]
    Manifest.build(rows, folder).write(folder / "n.csv")
    found = find_golden(Manifest.read(folder / "n.csv"), folder / "n", block=BLOCK)
    table = Manifest.read(folder / "n" / "manifest.csv").frame
    assert table["path"].str.endswith("tiny.png").sum() == 0
    assert table["reference"].ne("").all()
    assert (len(table), found.lacking, found.replaced) == (9, ["tiny.png"], 1)
    assert found.table["repeated"].sum() > found.table["blocks"].sum() / 2
    said = "\n".join(found.lines())
    assert "golden images for 9 of 10 images" in said
    assert "tiny.png; say which images show one board" in said
    assert "1 rows named another golden image" in said
    assert "not split yet" in said


def test_the_own_board_is_searched_before_the_library():
    own = pd.DataFrame({"path": list("abcd"), "split": ["train", "train", "holdout", "train"]})
    library = [Path(f"l{number}") for number in range(50)]
    for seed in range(5):
        files, searched = _pool(own, Path(), library, 5, [seed])
        assert files[:4] == [Path(name) for name in "abcd"]
        assert searched == [0, 1, 3, 4, 5]
        assert set(files[4:]) <= set(library)
        assert _pool(own, Path(), library, 2, [seed])[0] == files[:4]


@pytest.mark.parametrize("searched", ["board", "library"])
def test_golden_images_show_only_what_their_split_may_see(tmp_path, searched):
    """Every image has a grey of its own, by which a golden image tells whom it was taken from."""
    rows, greys = [], {}
    for number, (group, split) in enumerate(
        [("a", "train"), ("a", "train"), ("a", "holdout"), ("b", "train"), ("c", "val"), ("c", "val"), ("d", "test"),
         ("", "test"), ("", "test"), ("", "train"), ("", "holdout")]
    ):  # fmt: skip
        greys[number] = 20 * number + 10
        Image.new("L", (48, 48), greys[number]).save(tmp_path / f"{number}.png")
        rows.append({"path": f"{number}.png", "group": group, "split": split})
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    manifest = Manifest.read(tmp_path / "m.csv")
    find_golden(manifest, tmp_path / "g", library=manifest if searched == "library" else None, block=32)
    table = Manifest.read(tmp_path / "g" / "manifest.csv")
    own = {0: {1}, 1: {0}, 2: {0, 1}, 3: set(), 4: {5}, 5: {4}, 6: set(), 7: {8}, 8: {7}, 9: set(), 10: {9}}
    made = {
        int(Path(path).stem): name for path, name in zip(table.frame["path"], table.frame["reference"], strict=True)
    }
    for number, board_mates in own.items():
        allowed = board_mates | ({0, 1, 3, 9} - {number} if searched == "library" else set())
        assert (number in made) == bool(allowed)
        if number in made:
            shown = set(np.unique(opened(table.root / made[number])).tolist())
            assert shown & {greys[each] for each in allowed}
            assert shown <= {greys[each] for each in allowed | {number}}


def blob(picture, at, seed):
    """A ragged spot of some 20 px, of its own shape."""
    rng, (y, x) = np.random.default_rng(seed), at
    for _ in range(12):
        top, left = y + rng.integers(0, 14), x + rng.integers(0, 14)
        picture[top : top + 6, left : left + 6] = 0


def test_a_defects_like_does_not_vouch_for_it_and_what_stands_there_each_time_is_the_pattern(tmp_path):
    """On bare ground each image has a spot of its own, and a ring that all have at the same place."""
    panel = board(7, 440)
    panel[20:420, 20:420] = 255
    ring = np.hypot(*np.mgrid[-14:15, -14:15])
    panel[200:229, 280:309][(ring < 14) & (ring > 6)] = 0
    images = [(panel[n : n + 420, n : n + 420], panel[n : n + 420, n : n + 420].copy()) for n in range(12)]
    for number, (_, seen) in enumerate(images):
        blob(seen, (230 + 30 * (number % 4), 80 + 60 * (number // 4)), number)
        Image.fromarray(seen).save(tmp_path / f"{number}.png")
    rows = [{"path": f"{number}.png", "group": "e", "split": "train"} for number in range(12)]
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    find_golden(Manifest.read(tmp_path / "m.csv"), tmp_path / "g")
    table = Manifest.read(tmp_path / "g" / "manifest.csv")
    for name, (clean, seen) in zip(table.frame["reference"], images, strict=True):
        made = opened(table.root / name)
        assert (made == clean)[seen != clean].mean() > 0.9
        assert (made == clean)[180:240, 260:320].mean() > 0.99


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "3.png").write_bytes(b"no image"), "3.png: not an image"),
        (lambda folder: (folder / "g").mkdir() or (folder / "g" / "x").touch(), "g: exists already"),
    ],
)
def test_what_stops_it_leaves_nothing_behind(folder, ssl_pcb_cli, change, said):
    change(folder)
    before = sorted(folder.rglob("*"))
    ended = ssl_pcb_cli("data", "golden", folder / "m.csv", "--out", folder / "g")
    assert ended.code == 2
    assert said in ended.err
    assert sorted(folder.rglob("*")) == before


def test_a_library_without_training_images_and_a_manifest_without_any_are_refused(folder, ssl_pcb_cli):
    rows = [{"path": "0.png", "group": "a", "split": "val"}]
    Manifest.build(rows, folder).write(folder / "val.csv")
    (folder / "none.csv").write_text("path\n")
    asked = ("data", "golden", folder / "m.csv", "--out", folder / "g")
    ended = ssl_pcb_cli(*asked, "--library", folder / "val.csv")
    assert (ended.code, (folder / "g").exists()) == (2, False)
    assert "the library has no training image" in ended.err
    ended = ssl_pcb_cli("data", "golden", folder / "none.csv", "--out", folder / "g")
    assert (ended.code, (folder / "g").exists()) == (2, False)
    assert "the manifest names no image" in ended.err


def test_blocks_too_small_to_know_again_are_refused(folder, ssl_pcb_cli):
    ended = ssl_pcb_cli("data", "golden", folder / "m.csv", "--out", folder / "g", "--block", 8)
    assert (ended.code, ended.err) == (2, "ssl-pcb: error: --block 8: must be at least 16\n")


def test_a_library_that_says_nothing_of_splits_does_not_undo_those_of_the_manifest(tmp_path):
    rows = []
    for number, split in enumerate(["train", "val", "test", "holdout", "train"]):
        Image.new("L", (48, 48), 20 + 40 * number).save(tmp_path / f"{number}.png")
        rows.append({"path": f"{number}.png", "group": f"g{number}", "split": split})
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    for row in rows:
        (tmp_path / f"copy-{row['path']}").write_bytes((tmp_path / row["path"]).read_bytes())
    library = Manifest.build([{"path": name + row["path"]} for row in rows for name in ("", "copy-")], tmp_path)
    find_golden(Manifest.read(tmp_path / "m.csv"), tmp_path / "g", library=library, block=48)
    table = Manifest.read(tmp_path / "g" / "manifest.csv")
    for name, own in zip(table.frame["reference"], (20, 60, 100, 140, 180), strict=True):
        assert not set(np.unique(opened(table.root / name)).tolist()) & {60, 100, 140} - {own}


def test_of_a_large_library_so_many_images_are_read_as_are_searched(tmp_path, monkeypatch):
    for number in range(21):
        Image.fromarray(board(number, 48)).save(tmp_path / f"{number}.png")
    library = [{"path": f"{number}.png", "group": "old", "split": "train"} for number in range(20)]
    Manifest.build(library, tmp_path).write(tmp_path / "library.csv")
    Manifest.build([{"path": "20.png", "group": "new", "split": "test"}], tmp_path).write(tmp_path / "new.csv")
    read = set()

    def decode(file, **limits):
        read.add(file.name)
        return decode_file(file, **limits)

    monkeypatch.setattr(pool, "decode", decode)
    library = Manifest.read(tmp_path / "library.csv")
    found = find_golden(Manifest.read(tmp_path / "new.csv"), tmp_path / "g", library=library, most=5, block=48)
    assert "20.png" in read
    assert 4 <= len(read) - 1 <= 5  # the new image's own board counts among those that are searched
    assert not found.lacking


def test_a_board_that_is_all_kept_apart_has_no_golden_images(tmp_path):
    rows = []
    for number, group in enumerate("aabb"):
        Image.new("L", (96, 96), 50 + 40 * number).save(tmp_path / f"{number}.png")
        rows.append({"path": f"{number}.png", "group": group, "split": "holdout" if group == "a" else "train"})
    Manifest.build(rows, tmp_path).write(tmp_path / "m.csv")
    found = find_golden(Manifest.read(tmp_path / "m.csv"), tmp_path / "g", block=64)
    assert found.lacking == ["0.png", "1.png"]


def test_a_search_with_all_cores_leaves_torch_its_threads(folder):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        find_golden(Manifest.read(folder / "m.csv"), folder / "g", block=64)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_where_nothing_is_repeated_nothing_is_written(tmp_path, ssl_pcb_cli):
    Image.fromarray(board(8)[:20, :20]).save(tmp_path / "0.png")
    Manifest.build([{"path": "0.png", "group": "a"}], tmp_path).write(tmp_path / "m.csv")
    ended = ssl_pcb_cli("data", "golden", tmp_path / "m.csv", "--out", tmp_path / "g")
    assert (ended.code, (tmp_path / "g").exists()) == (2, False)
    assert "say which images show one board" in ended.err
