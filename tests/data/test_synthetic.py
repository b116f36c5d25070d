"""The synthetic boards: image, twin, mask, box and type are held against the copper itself."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.stats import binom, mannwhitneyu

from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.synthetic.defects import DEFECT_TYPES
from ssl_pcb.data.synthetic.embedded import embedded_manifest
from ssl_pcb.data.synthetic.generate import synthesize
from ssl_pcb.data.synthetic.sample import SyntheticSample, render_sample
from ssl_pcb.data.synthetic.styles import board_style
from ssl_pcb.errors import UserError


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def samples() -> list[SyntheticSample]:
    """Five binary and five colour boards, half of the images defective."""
    return [render_sample(5, board, index, defect_rate=0.5) for board in range(10) for index in range(22)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("synth") / "set", boards=10, images_per_board=6, image_size=48, seed=1)


def of_type(name: str) -> list[SyntheticSample]:
    """Samples with one defect of a type."""
    drawn = (render_sample(9, board, 0, defect_rate=1.0, type_rates={name: 1.0}) for board in itertools.count())
    return list(itertools.islice((sample for sample in drawn if len(sample.types) == 1), 6))


def labels(copper: np.ndarray) -> tuple[np.ndarray, int]:
    return ndimage.label(copper)


# What each defect does to the copper.


def test_open_interrupts_one_net() -> None:
    for sample in of_type("open"):
        assert not (sample.copper & ~sample.twin_copper).any()
        old, before = labels(sample.twin_copper)
        new, after = labels(sample.copper)
        assert after == before + 1
        cut = set(np.unique(old[sample.twin_copper & ~sample.copper]))
        assert len(cut) == 1
        assert len(np.unique(new[(old == cut.pop()) & sample.copper])) == 2


def test_short_bridges_exactly_two_nets() -> None:
    for sample in of_type("short"):
        assert not (sample.twin_copper & ~sample.copper).any()
        old, before = labels(sample.twin_copper)
        new, after = labels(sample.copper)
        assert after == before - 1
        bridge = np.unique(new[sample.copper & ~sample.twin_copper])
        assert len(bridge) == 1
        assert len(np.unique(old[(new == bridge[0]) & sample.twin_copper])) == 2


def test_mousebite_takes_copper_from_an_edge_without_parting_it() -> None:
    for sample in of_type("mousebite"):
        bite = sample.twin_copper & ~sample.copper
        assert bite.any()
        assert not (sample.copper & ~sample.twin_copper).any()
        assert labels(sample.copper)[1] == labels(sample.twin_copper)[1]
        assert (ndimage.binary_dilation(bite) & ~sample.twin_copper).any()  # open towards free space


def test_spur_sticks_out_of_one_net_without_joining_another() -> None:
    for sample in of_type("spur"):
        added = sample.copper & ~sample.twin_copper
        assert added.any()
        assert not (sample.twin_copper & ~sample.copper).any()
        old, before = labels(sample.twin_copper)
        assert labels(sample.copper)[1] == before
        touched = set(np.unique(old[ndimage.binary_dilation(added)])) - {0}
        assert len(touched) == 1


def test_copper_is_an_island() -> None:
    for sample in of_type("copper"):
        added = sample.copper & ~sample.twin_copper
        assert labels(sample.copper)[1] == labels(sample.twin_copper)[1] + 1
        assert not (ndimage.binary_dilation(added, iterations=2) & sample.twin_copper).any()


def test_pin_hole_is_a_hole_inside_copper() -> None:
    for sample in of_type("pin-hole"):
        removed = sample.twin_copper & ~sample.copper
        ring = ndimage.binary_dilation(removed, np.ones((3, 3)), iterations=2) & ~removed
        assert removed.any()
        assert sample.copper[ring].all()


# Image, twin, mask, box.


def test_image_and_twin_differ_only_within_reach_of_the_mask(samples: list[SyntheticSample]) -> None:
    for sample in samples:
        changed = (sample.image != sample.twin).any(axis=2)
        within = ndimage.maximum_filter(sample.mask, 2 * sample.reach + 1)
        assert not (changed & ~within).any()
        assert sample.reach <= 4
        assert changed.any() == sample.defective


def test_every_defect_is_visible(samples: list[SyntheticSample]) -> None:
    for sample in samples:
        for x1, y1, x2, y2 in np.array(sample.boxes, dtype=int).reshape(-1, 4):
            part = np.s_[y1:y2, x1:x2]
            contrast = np.abs(sample.image[part].astype(float) - sample.twin[part]).max()
            assert contrast >= 12  # grey levels


def test_the_mask_is_the_difference_of_the_copper(samples: list[SyntheticSample]) -> None:
    for sample in samples[::20]:
        changed = sample.copper ^ sample.twin_copper
        naive = np.array(
            [[changed[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].any() for x in range(128)] for y in range(128)]
        )
        assert (sample.mask == naive).all()


def test_boxes_are_tight_and_of_a_defects_size(samples: list[SyntheticSample]) -> None:
    for sample in samples:
        assert len(sample.boxes) == len(sample.types)
        rest = sample.mask.copy()
        for x1, y1, x2, y2 in np.array(sample.boxes, dtype=int).reshape(-1, 4):
            part = sample.mask[y1:y2, x1:x2]
            assert part[0].any()
            assert part[-1].any()
            assert part[:, 0].any()
            assert part[:, -1].any()
            assert 2 * 7 - 1 <= max(x2 - x1, y2 - y1) <= 2 * 43  # 7 to 43 units, two pixels each at zoom 2
            rest[y1:y2, x1:x2] = False
        assert not rest.any()


def test_a_larger_image_shows_the_defect_larger() -> None:
    small = render_sample(2, 1, 3, defect_rate=1.0)
    large = render_sample(2, 1, 3, defect_rate=1.0, image_size=256)
    assert large.image.shape == (256, 256, 3)
    assert small.image.shape == (128, 128, 3)
    extents = [
        max(x2 - x1, y2 - y1) / len(sample.image) for sample in (small, large) for x1, y1, x2, y2 in sample.boxes
    ]
    assert all(7 / 128 <= extent <= 44 / 128 for extent in extents)


def test_binary_boards_are_grey_and_nearly_black_and_white() -> None:
    for board in range(6):
        image = render_sample(3, board, 0, style="binary").image
        assert image.shape == (128, 128, 1)
        assert ((image > 70) & (image < 185)).mean() < 0.1
        assert min((image < 40).mean(), (image > 215).mean()) > 0.1


def test_boards_differ_in_light_and_colour() -> None:
    looks = [board_style(0, board, "colour") for board in range(10)]
    assert len({look.camera for look in looks}) == 10
    assert {look.paint.name for look in looks} == {"green", "blue", "red", "black", "white"}
    same = [render_sample(0, 3, index).board for index in range(3)]
    assert same[0] == same[1] == same[2]


# Rates and shortcuts.


def test_the_defect_rate_is_met(samples: list[SyntheticSample]) -> None:
    low, high = binom.interval(0.999, len(samples), 0.5)
    assert low <= sum(sample.defective for sample in samples) <= high
    shown = [sample.types[0] for sample in samples if sample.defective]
    for name in DEFECT_TYPES:
        low, high = binom.interval(0.9999, len(shown), 1 / 6)
        assert low <= shown.count(name) <= high


def test_type_rates_are_met() -> None:
    rates = {"open": 0.25, "copper": 0.75}
    first = [render_sample(4, 0, n, image_size=64, defect_rate=1.0, type_rates=rates).types[0] for n in range(60)]
    low, high = binom.interval(0.999, len(first), 0.75)
    assert low <= first.count("copper") <= high
    assert set(first) == {"open", "copper"}


def test_nothing_cheap_gives_the_label_away(samples: list[SyntheticSample]) -> None:
    truth = np.array([sample.defective for sample in samples])
    cheap = {
        "mean level": [sample.image.mean() for sample in samples],
        "contrast": [sample.image.std() for sample in samples],
        "brightest": [sample.image.max() for sample in samples],
        "levels": [len(np.unique(sample.image)) for sample in samples],
        "copper area": [sample.twin_copper.mean() for sample in samples],
        "file size": [_png_bytes(sample.image) for sample in samples],
        "channels": [sample.image.shape[2] for sample in samples],
    }
    for name, values in cheap.items():
        score = np.array(values, dtype=float)
        area = mannwhitneyu(score[truth], score[~truth]).statistic / (truth.sum() * (~truth).sum())
        assert abs(area - 0.5) < 0.1, (name, area)


def _png_bytes(image: np.ndarray) -> int:
    buffer = BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "png")
    return len(buffer.getvalue())


def test_the_clean_half_holds_the_same_pictures_as_the_twins() -> None:
    """Without its defect, an image is the very one that a lower rate leaves clean."""
    for board in range(4):
        defective = render_sample(8, board, 1, defect_rate=1.0)
        clean = render_sample(8, board, 1, defect_rate=0.0)
        assert not clean.defective
        assert (clean.image == defective.twin).all()


# The written set.


def test_the_same_arguments_write_the_same_bytes(tmp_path: Path) -> None:
    arguments = {"boards": 4, "images_per_board": 3, "image_size": 48}
    one, two = (
        synthesize(tmp_path / "a", seed=7, **arguments),
        synthesize(tmp_path / "b", seed=7, **arguments),
    )
    other = synthesize(tmp_path / "c", seed=8, **arguments)
    assert tree(one.parent) == tree(two.parent)
    assert tree(one.parent) != tree(other.parent)


def test_files_hold_what_render_sample_gives(small: Path) -> None:
    table = Manifest.read(small).frame
    row = table[table["label"] == "Defective"].iloc[0]
    board, index = int(row["group"].split("-b")[1]), int(Path(row["path"]).stem)
    sample = render_sample(1, board, index, image_size=48)
    for column, expected in (
        ("path", sample.image.squeeze()),
        ("twin", sample.twin.squeeze()),
        ("mask", sample.mask * np.uint8(255)),
    ):
        assert (np.asarray(Image.open(small.parent / row[column])) == expected).all()
    assert Manifest.read(small).sample(int(row.name)).boxes == sample.boxes
    assert row["types"] == ";".join(sample.types)


def test_split_is_by_board_and_mixed_in_style(small: Path) -> None:
    manifest = Manifest.read(small)
    table = manifest.frame
    assert len(manifest) == 60
    assert manifest.board_disjoint
    assert set(table["label"]) == {"Defective", "NonDefective"}
    sides = table.assign(side=table["split"].replace({"holdout": "train"})).groupby("side")
    assert sides["group"].nunique().to_dict() == {"test": 2, "train": 6, "val": 2}
    for _, side in sides:
        assert 0 < side["style"].eq("binary").mean() < 1
    assert table["split"].eq("holdout").sum() == round(0.1 * 6 * 6)
    assert table.groupby("group")["style"].nunique().max() == 1
    modes = {Image.open(small.parent / path).mode for path in table["path"][table["style"] == "binary"]}
    assert modes == {"L"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"boards": 2}, "boards"),
        ({"images_per_board": 0}, "images_per_board"),
        ({"image_size": 31}, "image_size"),
        ({"style": "purple"}, "purple"),
        ({"defect_rate": 1.1}, "defect_rate"),
        ({"defect_rate": float("nan")}, "defect_rate"),
        ({"type_rates": {"scratch": 0.5}}, "scratch"),
        ({"type_rates": {"open": -0.1}}, "open"),
        ({"type_rates": {"open": 0.0}}, "type_rates"),
        ({"seed": -1}, "seed"),
    ],
)
def test_nonsense_is_refused_and_leaves_nothing(tmp_path: Path, arguments: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        synthesize(tmp_path / "set", **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_full_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="not an empty folder"):
        synthesize(tmp_path, boards=3, images_per_board=1, image_size=32)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / "set", boards=3, images_per_board=1, image_size=32, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    steps: list[int] = []
    made = synthesize(out, boards=3, images_per_board=1, image_size=32, progress=steps.append)
    assert made == out / "manifest.csv"
    assert steps == [1, 1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_the_embedded_set_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "cache"))
    first = embedded_manifest(boards=3, images_per_board=1, image_size=32)
    written = first.stat().st_mtime_ns
    assert embedded_manifest(boards=3, images_per_board=1, image_size=32) == first
    assert first.stat().st_mtime_ns == written
    assert first.is_relative_to(tmp_path / "cache")
    assert len(Manifest.read(first)) == 3


def test_several_may_ask_for_the_embedded_set_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: embedded_manifest(boards=3, images_per_board=2, image_size=32), range(3)))
    assert len(set(found)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSL_PCB_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="SSL_PCB_CACHE"):
        embedded_manifest(boards=3, images_per_board=1, image_size=32)


def test_zoom_enlarges_the_defects() -> None:
    def median_side(zoom: float) -> float:
        samples = [render_sample(3, i % 4, i, image_size=64, zoom=zoom, defect_rate=1.0) for i in range(40)]
        return float(np.median([max(x2 - x1, y2 - y1) for sample in samples for x1, y1, x2, y2 in sample.boxes]))

    # Not quite in proportion: the largest defects of a place do not fit into a part of it.
    assert 1.5 < median_side(2.0) / median_side(1.0) < 2.2
    assert median_side(3.0) > 1.2 * median_side(2.0)
