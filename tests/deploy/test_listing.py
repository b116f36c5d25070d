"""What names on the command line mean."""

from itertools import islice, repeat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.deploy.listing import listed
from ssl_pcb.errors import UserError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with three images, two of them in ``in``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for name in ("a [1].png", "in/b.PNG", "in/deeper/c.jpg"):
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(name)
    Path("in/notes.txt").write_text("no image")
    return tmp_path


def names(*given, lines=()):
    return [item.name for item in listed(given, lines)]


def test_files_folders_and_globs_in_their_order(place):
    assert names("a [1].png", "in") == ["a [1].png", "in/b.PNG", "in/deeper/c.jpg"]
    assert names("in/**/*.jpg", "in/*.PNG") == ["in/deeper/c.jpg", "in/b.PNG"]
    assert names("absent.png") == ["absent.png"]  # its row will say so


def test_a_jpeg_by_its_other_name_is_an_image_of_a_folder(place):
    Path("in/deeper/c.jpg").rename("in/deeper/c.JFIF")
    assert names("in") == ["in/b.PNG", "in/deeper/c.JFIF"]


def test_what_a_folder_holds_beside_images_is_said(place, caplog):
    names("in")
    assert "in: 1 that do not end as images do" in caplog.text
    assert "in/notes.txt" in caplog.text


def test_a_list_on_standard_input_is_read_as_it_comes(place):
    endless = repeat("in/b.PNG\n")
    assert [item.name for item in islice(listed(["a [1].png", "-"], endless), 3)] == ["a [1].png", *["in/b.PNG"] * 2]
    assert names("-", lines=["x.png\r\n", "\n", " y.png\n"]) == ["x.png", " y.png"]


def test_a_manifest_brings_crops_and_golden_images(place):
    Path("in/m.csv").write_text("path,crop,reference,split,group\nb.PNG,0 0 8 8,deeper/c.jpg,train,1\nb.PNG,,,test,1\n")
    first, second = listed(["in/m.csv"], ())
    assert (first.source, first.crop, first.golden) == (
        (place / "in" / "b.PNG").resolve(), (0, 0, 8, 8), (place / "in" / "deeper" / "c.jpg").resolve()
    )  # fmt: skip
    assert (second.crop, second.golden) == (None, None)


def test_golden_images_are_one_for_all_or_one_of_the_same_name(place):
    (one,) = listed(["in/b.PNG"], (), Path("a [1].png"))
    (own,) = listed(["in/b.PNG"], (), Path("in"))
    assert (one.golden, own.golden) == (Path("a [1].png"), Path("in/b.PNG"))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["*.tif"], "no file matches"), (["empty"], "holds no image"), (["none.csv"], "no such manifest"),
        (["rows.csv"], "has no rows"), (["odd.csv"], "has no 'path' column"),
    ],
)  # fmt: skip
def test_what_names_no_image_is_refused_before_any_is_judged(place, given, reason):
    Path("empty").mkdir()
    Path("rows.csv").write_text("path\n")
    Path("odd.csv").write_text("what\nx\n")
    with pytest.raises(UserError, match=reason):
        listed(["a [1].png", *given], ())


def test_an_absent_golden_image_is_refused(place):
    with pytest.raises(UserError, match=r"--reference: none\.png does not exist"):
        listed(["in"], (), Path("none.png"))
