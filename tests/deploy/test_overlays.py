"""``predict --overlays``: a picture of each image that is not OK, none over another."""

from itertools import count, islice

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.deploy.items import Item
from ssl_pcb.deploy.overlays import drawn, overlay_name
from ssl_pcb.deploy.predictor import Outputs, Predictor
from ssl_pcb.errors import UserError
from tests.deploy.conftest import facts

LIMITS = {"max_pixels": None, "batch": 4}


@pytest.fixture
def classifier():
    """Scores by brightness, and sees its defects in what is bright."""
    return Predictor(
        facts(), lambda pixels: Outputs(pixels.mean((1, 2, 3), dtype=np.float64) - 100, None),
        lambda pixels: (pixels[:, 0] / 255).astype(np.float32),
    )  # fmt: skip


def items(*levels, name="../../a b/é<script>.png"):
    return [Item(name, np.full((16, 16), level, np.uint8)) for level in levels]


def test_what_is_not_ok_has_a_picture_named_after_its_row_and_its_image(classifier, tmp_path):
    bad = Item("bad.png", tmp_path / "absent.png")
    given = [*items(50, 120, 90, 50, 120), bad, *items(120, name="x" * 300)]
    found = list(drawn(classifier, given, tmp_path / "new" / "o", **LIMITS))
    assert [each.verdict for each in found] == ["OK", "NG", "REVIEW", "OK", "NG", None, "NG"]
    assert found == list(classifier.stream(given))
    files = sorted((tmp_path / "new" / "o").iterdir())
    assert [file.name for file in files] == [
        "000002-_script_.png", "000003-_script_.png", "000005-_script_.png", f"000007-{'x' * 80}.png"
    ]  # fmt: skip
    assert [file for file in tmp_path.rglob("*.png") if file not in files] == []
    for file in files:
        with Image.open(file) as picture:
            assert (picture.format, picture.size) == ("PNG", (480, 480))


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/b/../..", "con\n\x1b[31m.png", "..\\..\\x.png", "a\0b.png"])
def test_no_name_leaves_the_folder(name, tmp_path):
    found = overlay_name(3, name)
    assert (tmp_path / found).resolve().parent == tmp_path.resolve()
    assert found.isprintable()
    assert not set(found) & set('/\\ :*?"<>|')
    assert found != overlay_name(4, name)


def test_pictures_are_made_as_images_come(classifier, tmp_path):
    read = count()
    endless = (items(120 + 0 * next(read))[0] for _ in count())
    assert len(list(islice(drawn(classifier, endless, tmp_path / "o", **LIMITS), 3))) == 3
    assert len(list((tmp_path / "o").glob("*.png"))) == 3
    assert next(read) <= 12


def test_an_image_that_vanished_has_its_row_and_no_picture(classifier, tmp_path, caplog):
    file = tmp_path / "a.png"
    Image.fromarray(np.full((16, 16), 120, np.uint8)).save(file)

    def vanishing():
        yield Item("a", file)
        file.unlink()

    found = list(drawn(classifier, vanishing(), tmp_path / "o", **LIMITS))
    assert [each.verdict for each in found] == ["NG"]
    assert list((tmp_path / "o").iterdir()) == []
    assert "no overlay: a: no such image file" in caplog.text.replace(str(file), "a")


def test_folders_that_hold_something_or_are_none_are_refused_before_anything_is_read(classifier, tmp_path):
    (tmp_path / "file").write_text("x")
    for folder, reason in ((tmp_path, "is not empty"), (tmp_path / "file", "name another folder")):
        with pytest.raises(UserError, match=reason):
            drawn(classifier, iter(()), folder, **LIMITS)


def test_an_exported_model_is_told_to_name_its_run(brightness, tmp_path, ssl_pcb_cli):
    ended = ssl_pcb_cli("predict", brightness(), "a.png", "--overlays", tmp_path / "o")
    assert (ended.code, ended.out) == (2, "")
    assert "--overlays: an exported model cannot say where it looks; name the run folder" in ended.err
    assert not (tmp_path / "o").exists()
