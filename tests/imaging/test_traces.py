"""Traces of how files were saved, against files saved in known ways."""

import io

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.errors import UserError
from ssl_pcb.imaging.traces import file_traces

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8))


def traces(tmp_path, name="a.png", picture=PICTURE, **saving):
    path = tmp_path / name
    picture.save(path, **saving)
    return file_traces(path, path.read_bytes())


def test_quantisation_tables_are_those_of_the_quality(tmp_path):
    fine, same, coarse = (traces(tmp_path, f"{n}.jpg", quality=q) for n, q in enumerate((95, 95, 40)))
    assert fine.tables == same.tables != coarse.tables
    assert fine.coarseness < coarse.coarseness
    with Image.open(tmp_path / "2.jpg") as image:
        assert coarse.coarseness == pytest.approx(np.mean([*image.quantization[0], *image.quantization[1]]))


def test_a_file_without_such_tables_has_none(tmp_path):
    found = traces(tmp_path)
    assert (found.format, found.mode, found.ending) == ("PNG", "RGB", ".png")
    assert (found.tables, found.coarseness, found.encoding) == ("", 0.0, "")
    assert (found.width, found.height) == (40, 24)
    assert found.bytes == (tmp_path / "a.png").stat().st_size


def test_chroma_sampling_and_progression_are_told(tmp_path):
    full, half = (traces(tmp_path, f"{n}.jpg", subsampling=n) for n in (0, 2))
    assert full.encoding == "1x1 1x1 1x1"
    assert half.encoding == "2x2 1x1 1x1"
    assert traces(tmp_path, "p.jpg", subsampling=0, progressive=True).encoding == "1x1 1x1 1x1 progressive"


def test_camera_and_software_come_from_exif(tmp_path):
    exif = Image.Exif()
    exif[271], exif[305] = "Maker", "Editor 7"
    found = traces(tmp_path, "a.jpg", exif=exif)
    assert found.maker == "Maker Editor 7"
    assert found.exif == "271 305"
    assert "exif" in found.metadata.split()


def test_broken_exif_is_no_broken_image(tmp_path):
    assert traces(tmp_path, "a.jpg", exif=b"Exif\0\0broken").maker == ""


def test_a_resolution_is_told_with_its_value(tmp_path):
    assert "dpi=(96, 96)" in traces(tmp_path, "a.jpg", dpi=(96, 96)).metadata
    assert "dpi" not in traces(tmp_path, "b.jpg").metadata


def test_what_is_no_image_or_too_large_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"x\.png: not an image"):
        file_traces(tmp_path / "x.png", b"text")
    held = io.BytesIO()
    PICTURE.save(held, "PNG")
    with pytest.raises(UserError, match="40 x 24 pixels are more than the 100 allowed"):
        file_traces(tmp_path / "x.png", held.getvalue(), max_pixels=100)
