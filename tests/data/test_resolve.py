"""Channels and bit depth found in the files, and what is said about the image size."""

import logging

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.resolve import describe_scale, probe_files, resolve
from ssl_pcb.errors import UserError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def resolved(folder, rows, **keys):
    manifest = Manifest.build(rows, folder)
    config = DataConfig(**keys)
    return resolve(config, manifest, probe_files(manifest, config)[0])


def grey_as_rgb(rng):
    grey = rng.integers(0, 256, (48, 64, 1), np.uint8)
    return Image.fromarray(np.repeat(grey, 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_grey_content_in_colour_files_is_one_channel(tmp_path, rng, suffix):
    grey_as_rgb(rng).save(tmp_path / f"a.{suffix}", **({"quality": 60} if suffix == "jpg" else {}))
    assert resolved(tmp_path, [{"path": f"a.{suffix}"}]).channels == 1


def test_real_colour_is_three_channels(tmp_path):
    Image.new("RGB", (48, 48), (30, 120, 60)).save(tmp_path / "a.png")
    Image.new("L", (48, 48), 60).save(tmp_path / "b.png")
    assert resolved(tmp_path, [{"path": "a.png"}, {"path": "b.png"}]).channels == 3


def test_a_small_spot_of_colour_counts(tmp_path):
    image = Image.new("RGB", (64, 64), (90, 90, 90))
    image.putpixel((5, 60), (200, 20, 20))
    image.save(tmp_path / "a.png")
    assert resolved(tmp_path, [{"path": "a.png"}]).channels == 3


def test_what_is_set_is_kept(tmp_path):
    Image.new("RGB", (48, 48), (30, 120, 60)).save(tmp_path / "a.png")
    config = resolved(tmp_path, [{"path": "a.png"}], channels=1, bit_depth=10)
    assert (config.channels, config.bit_depth) == (1, 10)


def test_one_coloured_image_in_many_is_said_and_read_as_grey(tmp_path, caplog):
    for index in range(40):
        Image.new("L", (8, 8), index).save(tmp_path / f"{index}.png")
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "marked.png")
    rows = [{"path": f"{index}.png"} for index in range(40)] + [{"path": "marked.png"}]
    with caplog.at_level(logging.WARNING):
        assert resolved(tmp_path, rows).channels == 1
    assert "marked.png" in caplog.text
    assert "data.channels=3" in caplog.text


@pytest.mark.parametrize(("highest", "bits"), [(255, 8), (1000, 10), (4095, 12), (4096, 14), (65535, 16)])
def test_bit_depth_is_that_of_the_values(tmp_path, highest, bits):
    pixels = np.full((32, 32), 3, np.uint16)
    pixels[4, 5] = highest
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    assert resolved(tmp_path, [{"path": "a.png"}]).bit_depth == bits


def test_bit_depth_is_that_of_the_deepest_file(tmp_path):
    for name, highest in (("a.png", 900), ("b.png", 4000), ("c.png", 700)):
        (tmp_path / name).write_bytes(imagecodecs.png_encode(np.full((32, 32), highest, np.uint16)))
    assert resolved(tmp_path, [{"path": name} for name in ("a.png", "b.png", "c.png")]).bit_depth == 12


def test_damaged_files_are_named_or_passed_over(tmp_path, rng):
    grey_as_rgb(rng).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(rng.integers(0, 4096, (64, 64), np.uint16)))
    for name in ("a.png", "b.png"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    (tmp_path / "c.png").write_bytes(imagecodecs.png_encode(np.full((32, 32), 900, np.uint16)))
    rows = [{"path": name} for name in ("a.png", "b.png", "c.png")]
    config = resolved(tmp_path, rows, skip_bad=True)
    assert (config.channels, config.bit_depth) == (1, 10)
    with pytest.raises(UserError, match=r"a\.png.*--skip-bad"):
        resolved(tmp_path, rows)


# The image size ---------------------------------------------------------------------------------------------


def said(folder, rows, size):
    manifest = Manifest.build(rows, folder)
    infos = probe_files(manifest, DataConfig())[0]
    sizes = np.array([(infos[path].width, infos[path].height) for path in manifest.frame["path"]])
    return describe_scale(manifest, sizes, size)


@pytest.fixture
def panel(tmp_path):
    Image.new("L", (600, 450)).save(tmp_path / "a.png")
    return tmp_path


def test_shrinking_is_said_with_what_the_median_defect_keeps(panel):
    rows = [{"path": "a.png", "boxes": "0 0 30 12;10 10 22 45;5 5 6 95"}]  # 30, 35 and 90 px
    scale, defect = said(panel, rows, 256)
    assert "600 px" in scale
    assert "256 px" in scale
    assert "shrunk to 43%" in scale
    assert defect == "the median defect covers 15 px of those 256 (3 boxes)"


def test_no_scaling_and_enlarging_are_said_too(panel):
    assert said(panel, [{"path": "a.png"}], 600)[0].endswith("kept as they are")
    assert "enlarged to 200%" in said(panel, [{"path": "a.png", "crop": "0 0 100 64"}], 200)[0]


def test_a_crop_is_measured_not_its_image(panel):
    rows = [{"path": "a.png", "crop": "0 0 128 128", "boxes": "3 3 35 9"}]
    scale, defect = said(panel, rows, 64)
    assert "shrunk to 50%" in scale
    assert "covers 16 px" in defect


def test_smaller_samples_that_grow_are_counted(panel):
    rows = [{"path": "a.png"}, {"path": "a.png"}, {"path": "a.png", "crop": "0 0 64 64"}]
    assert "1 smaller ones enlarged" in said(panel, rows, 256)[0]
