"""Images in, verdicts out, by a model whose scores are known."""

import io
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

import numpy as np
import pytest
from PIL import Image

from ssl_pcb import load_classifier
from ssl_pcb.deploy.items import Item
from ssl_pcb.imaging.decode import decode


def grey(level, height=16, width=16):
    return np.full((height, width), level, np.uint8)


def saved(file, array, **options):
    Image.fromarray(array).save(file, **options)
    return file


def test_verdicts_scores_and_probabilities_are_those_of_the_facts(brightness):
    dark, middle, bright = load_classifier(brightness())([grey(50), grey(90), grey(120)])
    assert [each.verdict for each in (dark, middle, bright)] == ["OK", "REVIEW", "NG"]
    assert bright.score == pytest.approx(20)
    odds = np.exp(0.1 * 20) * 0.01 / 0.99  # Platt's curve at a rate of one half, shifted to one in a hundred
    assert bright.probability == pytest.approx(odds / (1 + odds))
    assert (bright.model, len(bright.threshold), bright.error) == ("0123456789ab", 12, "")
    assert bright.unfamiliar is None
    assert [(each.box, each.verdict) for each in bright.suspects] == [((0, 0, 16, 16), "NG")]


def test_a_path_its_bytes_and_its_pixels_are_judged_alike(brightness, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    file = saved(tmp_path / "a.png", pixels)
    found = load_classifier(brightness())([file, str(file), file.read_bytes(), pixels, file])
    assert len({each.score for each in found}) == 1
    assert [each.path for each in found] == [str(file), str(file), "image 3", "image 4", str(file)]


def test_one_image_by_itself_is_one_image(brightness, tmp_path):
    """Not its letters, or lines of pixels that would each get a verdict."""
    rng, classifier = np.random.default_rng(0), load_classifier(brightness())
    for pixels in (rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((40, 30, 3), (40, 30, 1), (40, 30))):
        (expected,), (found,) = classifier([pixels]), classifier(pixels)
        assert (found.score, found.error) == (expected.score, "")
    file = saved(tmp_path / "a.png", pixels)
    assert [each.score for one in (file, str(file), file.read_bytes()) for each in classifier(one)] == [found.score] * 3
    assert len(classifier(np.stack([pixels[..., None]] * 4))) == 4


def test_a_panel_has_one_verdict_and_the_places_of_its_defects(brightness):
    panel = grey(50, 160, 224)
    panel[100:116, 40:56] = 255  # whole in the window at 32, 96, and in no other
    panel[10:20, 190:200] = 255
    (found,) = load_classifier(brightness(tile=32, operating={"low": -40.0, "high": -20.0}))([panel])
    assert found.windows == 9 * 13
    assert found.verdict == "NG"
    first, second = found.suspects
    assert first.box == (32, 96, 64, 128)
    assert (first.verdict, second.verdict) == ("NG", "REVIEW")
    assert second.box[0] <= 190 < 200 <= second.box[2]
    assert second.box[1] <= 10 < 20 <= second.box[3]
    assert found.score == first.score == pytest.approx(50 + 205 / 4 - 100, abs=0.5)


def test_a_good_panel_is_ok_and_a_tile_is_one_window(brightness):
    panel, tile = load_classifier(brightness(tile=32))([grey(50, 100, 64), grey(50, 32, 32)])
    assert (panel.verdict, panel.suspects, panel.windows) == ("OK", (), 3 * 6)
    assert tile.windows == 1


def test_a_crop_is_one_sample_with_its_surroundings_cut_as_in_training(brightness):
    panel = grey(50, 100, 100)
    panel[20:52, 20:52] = 200
    inside, beyond = load_classifier(brightness(tile=32, margin=2))(
        [Item("inside", panel, (20.0, 20.0, 52.0, 52.0)), Item("beyond", panel, (80.0, 80.0, 112.0, 112.0))]
    )
    assert inside.windows == 1
    assert inside.score == pytest.approx(100, abs=10)
    assert inside.score < 100  # its edges are mixed with what lies around, as those of training samples are
    assert "crops 80 80 112 112 of 100x100 px" in beyond.error


def test_any_number_of_images_is_judged_as_they_come(brightness):
    read = count()
    images = (grey(50 + next(read) % 2) for _ in count())
    found = list(islice(load_classifier(brightness()).stream(images, batch=4), 6))
    assert [each.score for each in found] == [-50, -49] * 3
    assert next(read) <= 12  # two or three batches were asked for


def test_tiles_of_one_file_in_any_order_are_each_its_own(brightness, tmp_path):
    files = [saved(tmp_path / f"{level}.png", grey(level, 32, 64)) for level in (10, 90)]
    crops = [(0.0, 0.0, 32.0, 32.0), (32.0, 0.0, 64.0, 32.0)]
    order = [(0, 0), (0, 1), (1, 0), (0, 1), (1, 1), (1, 0)]
    items = [Item("tile", files[file], crops[place], golden=files[1 - file]) for file, place in order]
    found = load_classifier(brightness(tile=32))(items)
    assert [each.score for each in found] == [(10, 90)[file] - 100 for file, _ in order]
    assert {round(each.difference, 2) for each in found} == {round(80 / 255, 2)}


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_batches_change_nothing(brightness, batch):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (rng.integers(20, 90), rng.integers(20, 90)), dtype=np.uint8) for _ in range(7)]
    classifier = load_classifier(brightness(tile=32))
    alone = [classifier([image])[0] for image in images]
    together = list(classifier.stream(images, batch=batch))
    assert [(a.score, a.windows, a.suspects) for a in alone] == [(b.score, b.windows, b.suspects) for b in together]


def test_threads_share_a_classifier(brightness):
    classifier = load_classifier(brightness())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda level: classifier([grey(level)])[0].score, range(200)))
    assert found == [level - 100 for level in range(200)]


def bomb(file):
    held = io.BytesIO()
    Image.fromarray(grey(0, 2000, 2000)).save(held, "PNG")
    file.write_bytes(held.getvalue())


def truncated(file):
    held = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(held, "PNG")
    file.write_bytes(held.getvalue()[:2000])


def deep(file):
    Image.fromarray(np.full((16, 16), 4000, np.uint16)).save(file)


UNREADABLE = {
    "empty": (lambda file: file.write_bytes(b""), "empty file"),
    "truncated": (truncated, "damaged or truncated"),
    "bomb": (bomb, "more than the 1,000,000 allowed"),
    "text": (lambda file: file.write_text("hello"), "not an image"),
    "deep": (deep, "more than the 8 bits that training images had"),
    "folder": (lambda file: file.mkdir(), "is a folder"),
    "absent": (lambda file: None, "no such image file"),
}


@pytest.mark.parametrize(("make", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_bad_file_has_its_error_and_the_others_go_on(brightness, tmp_path, make, reason):
    make(tmp_path / "bad.png")
    good = saved(tmp_path / "good.png", grey(50))
    before, bad, after = load_classifier(brightness())([good, tmp_path / "bad.png", good])
    assert before.verdict == after.verdict == "OK"
    assert reason in bad.error
    assert "\n" not in bad.error
    assert (bad.verdict, bad.score, bad.probability, bad.windows) == (None, None, None, 0)


SIZES = {
    "half of training's": ({"least_side": 60}, 30), "an odd half": ({"least_side": 61}, 31),
    "a quarter of the network's": ({}, 4), "a quarter of a tile": ({"tile": 8}, 2),
    "a quarter of the network's, tiles being larger": ({"tile": 32}, 4),
}  # fmt: skip


@pytest.mark.parametrize(("known", "least"), SIZES.values(), ids=SIZES)
def test_what_is_far_smaller_than_training_is_refused_and_the_others_go_on(brightness, known, least):
    below = least - 1
    classifier = load_classifier(brightness(**known))
    sides = [(least, least), (1, 1), (below, 200), (200, below), (least, 200)]
    good, *bad, after = classifier([grey(50, *each) for each in sides])
    assert good.verdict == after.verdict == "OK"
    for each, (height, width) in zip(bad, sides[1:], strict=False):
        assert each.verdict is None
        assert f"{width}x{height} px is too small for this model" in each.error
        assert f"send one of at least {least} px on each side" in each.error
        assert "\n" not in each.error


def test_what_is_far_larger_than_training_is_refused_but_for_panels(brightness):
    """Shrunk so far, a defect would be gone; a panel is judged by windows, of which none is shrunk."""
    for known, errs in (({"most_side": 60}, True), ({}, False), ({"most_side": 60, "tile": 32}, False)):
        fits, large = load_classifier(brightness(**known))([grey(50, 40, 120), grey(50, 40, 121)])
        assert fits.verdict == "OK"
        assert bool(large.error) == errs
    (found,) = load_classifier(brightness(most_side=60))([grey(50, 40, 121)])
    assert found.error.endswith(
        "121x40 px is too large for this model, whose training images have 60 px at most; send parts of at most 120 px "
        "on each side"
    )


def test_a_part_that_is_far_too_small_is_refused(brightness):
    small, whole = (Item("a", grey(50, 100, 100), box) for box in ((0.0, 0.0, 40.0, 15.0), (0.0, 0.0, 40.0, 16.0)))
    first, second = load_classifier(brightness(tile=32, least_side=32))([small, whole])
    assert "40x15 px is too small for this model, whose training images have 32 px and more" in first.error
    assert second.verdict == "OK"


def test_a_panel_above_the_limit_is_judged_when_it_is_meant(brightness, tmp_path):
    bomb(tmp_path / "panel.png")
    (found,) = load_classifier(brightness()).stream([tmp_path / "panel.png"], max_pixels=4_000_000)
    assert found.verdict == "OK"


def cmyk(file):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8), "CMYK").save(file, "TIFF")


def alpha(file):
    saved(file, np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8), format="PNG")


@pytest.mark.parametrize("make", [cmyk, alpha])
def test_unusual_files_are_read_as_training_reads_them(brightness, tmp_path, make):
    file = tmp_path / "odd.png"
    make(file)
    (found,) = load_classifier(brightness())([file])
    assert found.error == ""
    assert found.score == pytest.approx(decode(file, channels=1).mean() - 100, abs=1e-3)


@pytest.mark.parametrize(
    "array", [np.zeros((16, 16)), np.zeros((16, 16, 4), np.uint8), np.zeros(16, np.uint8), np.zeros((0, 16), np.uint8)]
)
def test_arrays_that_are_no_images_say_what_is_wanted(brightness, array):
    (found,) = load_classifier(brightness())([array])
    assert "give uint8 or uint16" in found.error


def test_deep_pixels_lose_the_bits_that_they_lose_in_training(brightness):
    (found,) = load_classifier(brightness(bit_depth=12))([np.full((16, 16), 90 << 4, np.uint16)])
    assert found.score == -10


def test_a_golden_image_gives_the_difference_beside_the_score(brightness):
    image, golden = grey(50, 64, 64), grey(50, 64, 64)
    image[30:50, 30:50] = 250
    classifier = load_classifier(brightness(tile=32))
    apart, alike, alone = classifier([Item("a", image, golden=golden), Item("b", golden, golden=golden), golden])
    assert apart.difference == pytest.approx(200 / 255, abs=0.02)
    assert alike.difference == 0
    assert alone.difference is None
    assert alike.score == alone.score


def test_golden_images_that_do_not_fit_are_refused(brightness):
    (other,) = load_classifier(brightness())([Item("a", grey(50), golden=grey(50, 20, 20))])
    assert "16x16 px and a golden image of 20x20 px" in other.error
    pair = load_classifier(brightness(references=True))
    missing, whole = pair([grey(50), Item("b", grey(50), golden=grey(90))])
    assert "name one with --reference" in missing.error
    assert whole.score == pytest.approx(70 - 100, abs=1)  # it sees both
