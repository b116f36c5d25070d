"""Golden images put together from repeats of a pattern."""

from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ssl_pcb.data.golden import repeats
from ssl_pcb.data.golden.consensus import consensus, voters
from ssl_pcb.data.golden.find import _pool, find_golden
from ssl_pcb.data.golden.repeats import Pool, Repeat, Stack
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.errors import UserError
from ssl_pcb.imaging.decode import decode as decode_file
from ssl_pcb.imaging.tiling import tile_grid

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


@pytest.mark.parametrize("shape", [(3, 4), (7, 9), (1, 1)])
@pytest.mark.parametrize("hidden", [False, True])
def test_squared_differences_are_those_of_a_naive_search(shape, hidden):
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(2, 7, 9, generator=rng)
    pattern = torch.rand(*shape, generator=rng)
    weight = torch.randint(0, 2, shape, generator=rng).float() if hidden else torch.ones(shape)
    found = Stack(images).squared_differences(pattern, weight)
    h, w = shape
    wanted = torch.stack(
        [
            torch.stack(
                [(weight * (each[y : y + h, x : x + w] - pattern) ** 2).sum() for x in range(each.shape[1] - w + 1)]
            )
            for each in images
            for y in range(each.shape[0] - h + 1)
        ]
    ).view(found.shape)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_repeat_is_found_to_the_pixel(folder):
    pool = opened_pool([folder / f"{number}.png" for number in range(9)])
    found = {each.image: each for each in pool.repeats(4, (48, 48, 112, 112))[1]}
    assert 4 not in found
    for other in (2, 3, 5, 6):
        assert (found[other].down, found[other].across) == (-2 * (other - 4), 3 * (other - 4))
        assert found[other].difference < 0.1


def test_repeats_on_the_same_image_count_but_not_where_they_overlap_the_block(tmp_path):
    twice = np.tile(board(1, 96), (1, 3))
    Image.fromarray(twice).save(tmp_path / "twice.png")
    pool = opened_pool([tmp_path / "twice.png"])
    _, [found] = pool.repeats(0, (0, 0, 64, 64))
    assert (found.across % 96, found.down, found.difference) == (0, 0, pytest.approx(0, abs=1e-6))
    assert found.across >= 64


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


@pytest.mark.parametrize(("block", "side"), [(128, 391), (100, 320)])
@pytest.mark.parametrize("shift", [(0, 0), (3, 7), (5, 4)])
def test_repeats_are_found_wherever_a_block_begins(tmp_path, block, side, shift):
    panel = board(4, 420)
    for name, (y, x) in (("here", (0, 0)), ("there", shift)):
        picture = panel[y : y + side, x : x + side].copy()
        picture[0, :9] = 90 if name == "there" else 60  # no exact copy
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    pool = opened_pool([tmp_path / "here.png", tmp_path / "there.png"], block)
    for x1, y1, x2, y2 in tile_grid(side, side, pool.block):
        if y1 > pool.block + 7 and x1 > pool.block + 7:  # with its surroundings on both
            for places in pool.repeats(0, (x1, y1, x2, y2)):
                [found] = [each for each in places if each.image == 1]
                assert found.difference < 1e-4
                assert (found.down, found.across) == (-shift[0], -shift[1])


def test_a_pattern_is_not_looked_for_in_images_too_small_for_it(tmp_path):
    panel = board(5)
    shapes = {"large": (200, 200), "other": (200, 240), "flat": (40, 240), "narrow": (240, 70)}
    for name, (height, width) in shapes.items():
        Image.fromarray(panel[:height, :width]).save(tmp_path / f"{name}.png")
    pool = opened_pool([tmp_path / f"{name}.png" for name in shapes], 64)
    for box in tile_grid(200, 200, pool.block):
        for found in chain(*pool.repeats(0, box)):
            height, width = pool.sizes[found.image]
            assert 0 <= box[0] + found.across <= width - box[2] + box[0]
            assert 0 <= box[1] + found.down <= height - box[3] + box[1]


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


def voted(*measures, surrounded=()):
    """Who votes of places with these measures: difference, surroundings, elsewhere, worst, inside."""
    places = [Repeat(number, 0, 0, *each) for number, each in enumerate(measures)]
    found, repeated = voters([places[each] for each in surrounded], places, 0.1)
    return [each.image for each in found], repeated


SAME, OTHER, ELSEWHERE = (0.02, 0.01, 0.02, 0.1, 0.01), (0.3, 0.01, 0.02, 0.9, 0.2), (0.02, 0.02, 0.3, 0.9, 0.2)
"""Alike in all; surrounded alike but other inside; elsewhere."""


def test_three_places_that_are_surrounded_alike_and_show_the_same_vote():
    assert voted(OTHER, SAME, SAME, SAME, ELSEWHERE, surrounded=range(5)) == ([1, 2, 3], True)
    assert voted(*[SAME] * 12, surrounded=range(12)) == (list(range(7)), True)
    nearer = [(0.02, 0.01 * (4 - number), 0.02, 0.1, 0.01) for number in range(4)]
    assert voted(*nearer, surrounded=range(4)) == ([3, 2, 1], True)


def test_what_stands_there_each_time_is_the_pattern_and_what_is_only_like_it_is_not():
    like = (0.02, 0.01, 0.02, 0.1, 0.05)
    assert voted(SAME, SAME, SAME, OTHER, OTHER, OTHER, surrounded=[3, 4, 5]) == ([0, 1, 2], True)
    assert voted(like, like, like, OTHER, OTHER, OTHER, surrounded=[3, 4, 5]) == ([3, 4, 5], True)
    assert voted(SAME, SAME, OTHER, OTHER, OTHER, surrounded=[2, 3, 4]) == ([2, 3, 4], True)
    assert voted(SAME, SAME, SAME, OTHER, OTHER, surrounded=[3, 4]) == ([0, 1, 2], False)


def test_where_nothing_is_repeated_the_most_alike_vote_and_others_no_worse_than_twice_the_best():
    def chosen(*differences):
        return voted(*((each, 0.5, 0.9, 0.9, 0.5) for each in differences), surrounded=[0])

    assert chosen(0.02, 0.01, 0.05, 0.09) == ([1, 0, 2], False)
    assert chosen(0.3, 0.7, 0.8) == ([0], False)
    assert chosen(0.5, 0.3, 0.55, 0.7) == ([1, 0, 2], False)
    assert chosen(0.06, 0.11, 0.115) == ([0, 1, 2], False)
    assert voters([], [], 0.1) == ([], False)


def test_an_image_has_one_vote_where_nothing_is_repeated():
    first, again, other = (Repeat(image, 0, down, *ELSEWHERE) for image, down in ((0, 5), (0, 6), (1, 5)))
    assert voters([first], [again, other], 0.1) == ([first], False)


def test_what_is_hidden_has_no_part_in_choosing_places(tmp_path):
    """The same places are found whatever the block shows."""
    panel = board(12, 420)
    spoilt = panel[:400, :400].copy()
    spoilt[147:257, 147:257] ^= 255
    for name, picture in {"a": panel[:400, :400], "b": panel[7:407, 11:411], "c": spoilt}.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    pool = Pool([tmp_path / f"{name}.png" for name in "abc"], 64, [1], bit_depth=8, max_pixels=10**9)
    block = (170, 170, 234, 234)
    clean, hidden = (pool.repeats(image, block)[0] for image in (0, 2))
    [[here], [there]] = ([each for each in places if each.image == 1] for places in (clean, hidden))
    assert (here.across, here.down, here.surroundings) == (there.across, there.down, there.surroundings) == (-11, -7, 0)
    assert here.inside == there.elsewhere == 0
    assert there.inside > 0.1


def test_edges_a_pixel_off_are_no_difference_and_spots_are(tmp_path):
    panel = np.full((400, 400), 255, np.uint8)
    panel[:, 195:215] = 0
    wider, spot = panel.copy(), panel.copy()
    wider[:, 194:215] = 0
    spot[190:210, 222:236] = 0
    for name, picture in {"a": panel, "wider": wider, "spot": spot}.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    pool = opened_pool([tmp_path / f"{name}.png" for name in ("a", "wider", "spot")], 64)
    found = {each.image: each for each in pool.repeats(0, (170, 170, 234, 234))[0]}
    assert (found[1].worst, found[1].inside, found[1].elsewhere) == (0, 0, 0)
    assert found[2].worst > 0.7


@pytest.mark.parametrize("greys", [(0, 255), (90, 150), (100, 116)])
def test_what_is_repeated_does_not_depend_on_contrast(tmp_path, greys):
    """Boards that have nothing in common, and three that are one."""
    for number, seed in enumerate([100, 101, 102, 103, 104, 105, 105, 105, 105]):
        picture = np.where(board(seed, 400)[number : number + 384, :384] > 0, *reversed(greys)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    pool = opened_pool([tmp_path / f"{number}.png" for number in range(9)], 64)
    assert consensus(pool, 1).repeated <= 2
    assert consensus(pool, 6).repeated >= 20


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


def test_images_of_other_sizes_and_in_colour_are_searched_together(tmp_path):
    panel = board(3)
    Image.fromarray(panel[:200, :260]).save(tmp_path / "a.png")
    Image.fromarray(panel[30:130, 40:170]).convert("RGB").save(tmp_path / "b.png")
    pool = opened_pool([tmp_path / "a.png", tmp_path / "b.png"])
    made = consensus(pool, 1)
    assert made.picture.shape == (100, 130, 3)
    assert (made.picture[..., 0] != panel[30:130, 40:170]).mean() < 0.01


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


def test_blocks_are_a_tenth_of_the_images_side_unless_they_are_given(tmp_path):
    for name, shape in {"a": (480, 640), "b": (640, 480), "c": (500, 500)}.items():
        Image.new("L", shape).save(tmp_path / f"{name}.png")
    files = [tmp_path / f"{name}.png" for name in "abc"]
    assert [opened_pool(files, block).block for block in (None, 30, 300)] == [48, 30, 80]


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

    monkeypatch.setattr(repeats, "decode", decode)
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


def test_where_nothing_is_repeated_nothing_is_written(tmp_path, ssl_pcb_cli):
    Image.fromarray(board(8)[:20, :20]).save(tmp_path / "0.png")
    Manifest.build([{"path": "0.png", "group": "a"}], tmp_path).write(tmp_path / "m.csv")
    ended = ssl_pcb_cli("data", "golden", tmp_path / "m.csv", "--out", tmp_path / "g")
    assert (ended.code, (tmp_path / "g").exists()) == (2, False)
    assert "say which images show one board" in ended.err
