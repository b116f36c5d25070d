"""Classifiers whose errors under each corruption are known beforehand."""

import json

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn

from ssl_pcb.audit.camera.corruptions import CORRUPTIONS
from ssl_pcb.audit.camera.effects import Judged, measure_corruptions, measure_shifts
from ssl_pcb.audit.camera.overlap import SHIFT
from ssl_pcb.audit.camera.scoring import CLEAN, SHIFTS, Key, camera_changes, scores_under, shift_changes
from ssl_pcb.audit.robustness import Robustness
from ssl_pcb.audit.robustness_sheet import LINES, SHOWN, draw_robustness, robustness_figure
from ssl_pcb.audit.robustness_words import sentences, shift_lines, table
from ssl_pcb.augment.views import centre, plain_view
from ssl_pcb.data.loaders import Batch
from ssl_pcb.errors import UserError

SIZE, MARGIN, COUNT = 32, 8, 40


class Brightness(nn.Module):
    """Calls Defective what is at least so bright in its middle channel, on average."""

    size = SIZE

    def scores(self, pixels):
        return plain_view(pixels, SIZE)[:, 0].mean((1, 2))


class Place(Brightness):
    """Calls Defective what has a white pixel in its middle."""

    def scores(self, pixels):
        return plain_view(pixels, SIZE)[:, 0, SIZE // 2, SIZE // 2]


class Golden(Brightness):
    """Looks at the golden image alone."""

    def scores(self, pixels):
        return plain_view(pixels, SIZE)[:, -1].mean((1, 2))


def flat(levels):
    side = SIZE + 2 * MARGIN
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, side, side).clone()


def scored(model, pixels, channels=1):
    changes = dict([*camera_changes(SIZE, channels), *shift_changes(SIZE)])
    halves = [Batch(part, torch.zeros(len(part))) for part in pixels.chunk(2)]
    return scores_under(model, changes, channels, halves, Fabric(accelerator="cpu", devices=1))


def judged(labels, threshold, each=2):
    names = [f"{number // each}.png" for number in range(len(labels))]
    return Judged(np.asarray(labels), ["board"] * len(labels), names, threshold)


def measured(model, pixels, labels, threshold, each=2):
    scores, who = scored(model, pixels), judged(labels, threshold, each)
    return Robustness(
        judged=len(labels), defective=int(sum(labels)), unit="tile", clustered="source image",
        clean=who.rates(scores[CLEAN]), threshold=threshold,
        hardships=measure_corruptions(scores, who, 1, {"brighter": ["augment.some.key"]}, resamples=100, seed=0),
        shifts=measure_shifts(scores, who), shifts_trained_on=[],
    )  # fmt: skip


LABELS = [0, 1] * (COUNT // 2)
# Defective ones are bright, 0.55 to 0.74 of full scale, and nearer to the threshold than the dark good ones.
LEVELS = [round(255 * (0.21 + 0.01 * (n // 2) + 0.34 * (n % 2))) for n in range(COUNT)]
THRESHOLD = 0.505  # between grey levels, and between those that the offsets make


@pytest.fixture(scope="module")
def brightness():
    return measured(Brightness(), flat(LEVELS), LABELS, THRESHOLD)


def rates(found, name, rate):
    hardship = next(each for each in found.hardships if each.corruption.name == name)
    return [level.rates[rate] for level in hardship.levels]


def test_a_judge_of_brightness_calls_brighter_good_boards_defective_and_misses_darker_defects(brightness):
    values = np.array(LEVELS) / 255
    good, bad = values[::2], values[1::2]
    for severity, offset in enumerate((0.1, 0.2, 0.3, 0.4, 0.5)):
        calls, missed = np.mean(good + offset >= THRESHOLD), np.mean(bad - offset < THRESHOLD)
        assert rates(brightness, "brighter", "false_call_rate")[severity] == pytest.approx(calls)
        assert rates(brightness, "darker", "escape_rate")[severity] == pytest.approx(missed)
    assert set(rates(brightness, "brighter", "escape_rate")) == {0}
    assert set(rates(brightness, "darker", "false_call_rate")) == {0}
    assert rates(brightness, "darker", "escape_rate")[4] == 1


@pytest.mark.parametrize("name", ["rotation", "defocus", "motion_blur", "resolution", "contrast", "uneven_light"])
def test_what_leaves_the_mean_alone_flips_none_of_its_verdicts(brightness, name):
    for rate in ("escape_rate", "false_call_rate"):
        assert set(rates(brightness, name, rate)) == {0}
    hardship = next(each for each in brightness.hardships if each.corruption.name == name)
    assert {(level.changes["auroc"].value, level.changes["auroc"].low) for level in hardship.levels} == {(0, 0)}


def test_flat_boards_look_the_same_wherever_they_lie(brightness):
    for effect in brightness.shifts:
        assert (effect.flips.value, effect.score_change) == (0, 0)
        assert 0 < effect.flips.interval()[1] < 0.2  # of 20 images, none seen is no proof


def test_a_judge_of_one_pixel_flips_as_often_as_shifts_take_it_away():
    pixels = flat([0] * COUNT)
    middle = MARGIN + SIZE // 2
    for number in range(0, COUNT, 2):  # a bright square, left and right, up and down of the middle pixel
        pixels[number, 0, middle - 3 : middle + 3, middle - 3 : middle + 3] = 255
    found = {effect.pixels: effect for effect in measured(Place(), pixels, LABELS, 0.5).shifts}
    # The square reaches 3 px to one side of the pixel and 2 to the other.
    expected = {1: 0, 2: 0, 4: 1, 8: 1}
    for distance in SHIFTS:
        assert found[distance].flips.value == pytest.approx(expected[distance] / 2)
        assert found[distance].score_change == pytest.approx(expected[distance] / 2 / 0.5)


def test_the_hardest_is_named_with_the_severity_that_doubles_the_escapes(brightness):
    bad = np.array(LEVELS[1::2]) / 255
    first = 1 + next(n for n, offset in enumerate((0.1, 0.2, 0.3)) if (bad - offset < THRESHOLD).any())
    share = np.mean(bad - first / 10 < THRESHOLD)
    assert brightness.hardest.corruption.name == "darker"
    said = list(sentences(brightness))
    assert said[0].startswith("darker hurts most")
    assert f"from severity {first} (0.{first} of full scale taken away) {share:.1%} of the Defective tiles" in said[0]
    assert "the 0.0% of clean pictures" in said[0]


def test_nothing_is_said_to_hurt_where_nothing_does():
    pixels = flat([0] * COUNT)
    pixels[1::2] = 255
    found = measured(Brightness(), pixels, LABELS, THRESHOLD)
    mild = Robustness(**{**vars(found), "hardships": [h for h in found.hardships if h.harm == 0]})
    assert "rotation" in {each.corruption.name for each in mild.hardships}
    assert list(sentences(mild)) == ["no corruption costs balanced accuracy"]


def test_the_table_marks_what_training_knows(brightness):
    lines = {line.split()[0]: line for line in table(brightness)[1:]}
    assert lines["brighter"].endswith("*")
    assert not lines["darker"].endswith("*")
    assert lines["darker"].split()[-1] == "1"  # the first severity that doubles the escapes
    assert lines["rotation"].split()[-1] == "-"
    assert [line.split(" px")[0] for line in shift_lines(brightness)] == [f"shift by {each}" for each in SHIFTS]


def test_rows_hold_all_that_was_measured(brightness):
    rows = list(brightness.rows())
    assert len(rows) == 1 + 5 * 11 + len(SHIFTS)
    assert rows[0] == {"corruption": "clean", "level": 0, "escape_rate": 0, "false_call_rate": 0, "auroc": 1}
    darkest = next(row for row in rows if (row["corruption"], row["level"]) == ("darker", 5))
    assert (darkest["escape_rate"], darkest["escape_rate_change"], darkest["escape_rate_change_low"]) == (1, 1, 1)
    assert rows[-1]["corruption"] == SHIFT


def test_golden_images_stay_as_they_are():
    golden = torch.randint(0, 256, (6, 1, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN), dtype=torch.uint8)
    pixels = torch.cat([flat([10, 60, 110, 160, 210, 250]), golden], 1)
    scores = scored(Golden(), pixels)
    assert all(np.array_equal(each, scores[CLEAN]) for each in scores.values())


def test_the_same_seed_gives_the_same_scores():
    pixels = torch.randint(0, 256, (6, 1, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN), dtype=torch.uint8)
    first, again = scored(Brightness(), pixels), scored(Brightness(), pixels)
    assert all(np.array_equal(first[key], again[key]) for key in first)


def test_scores_that_are_no_numbers_are_refused():
    class Broken(Brightness):
        def scores(self, pixels):
            return super().scores(pixels) / 0 * 0

    with pytest.raises(UserError, match="NaN or infinite"):
        scored(Broken(), flat(LEVELS))


@pytest.fixture(scope="module")
def pictures():
    changes = dict([*camera_changes(SIZE, 1), *shift_changes(SIZE)])
    pixels = flat([120])
    pictures = {CLEAN: centre(pixels, SIZE)[0]}
    for key, change in changes.items():
        if key.level in SHOWN or key.name == SHIFT:
            pictures[key] = change(pixels, torch.Generator().manual_seed(0))[0]
    return pictures


def test_one_image_alone_is_told_of_without_intervals(pictures, tmp_path):
    found = measured(Brightness(), flat(LEVELS), LABELS, THRESHOLD, each=COUNT)
    rows = list(found.rows())
    assert {row["escape_rate_change_low"] for row in rows[1 : -len(SHIFTS)]} == {None}
    json.dumps(rows, allow_nan=False)
    assert next(sentences(found)).startswith("darker hurts most")
    draw_robustness(found, pictures, tmp_path / "one.png")
    assert (tmp_path / "one.png").exists()


def test_the_picture_shows_errors_where_they_are(brightness, pictures):
    cells = {axes.get_title().removesuffix(" *"): axes for axes in robustness_figure(brightness, pictures).axes}
    for hardship in brightness.hardships:
        axes = cells[hardship.corruption.name.replace("_", " ")]
        for rate, (colour, _) in LINES.items():
            (line,) = (each for each in axes.lines if each.get_color() == colour)
            rates = [brightness.clean[rate], *(level.rates[rate] for level in hardship.levels)]
            assert list(line.get_ydata()) == pytest.approx(rates)
        assert axes.get_ylim() == (0, 1)
        assert axes.get_title().endswith("*") == bool(hardship.trained_on)
    (flips,) = cells["shift"].lines
    assert list(flips.get_ydata()) == [each.flips.value for each in brightness.shifts]


def test_the_picture_shows_the_pictures(brightness, pictures, tmp_path):
    shown = [axes for axes in robustness_figure(brightness, pictures).axes if axes.images]
    assert len(shown) == 1 + len(SHOWN) * len(brightness.hardships) + len(SHIFTS) - 1  # none of a shift by one pixel
    bright = next(axes for axes in shown if axes.get_xlabel().startswith("5: 0.5"))
    assert bright.images[0].get_array().mean() == pytest.approx(120 + 127.5, abs=1)
    draw_robustness(brightness, pictures, tmp_path / "r.png")
    with Image.open(tmp_path / "r.png") as opened:
        assert opened.width > 1000


def test_every_corruption_has_every_severity():
    keys = {key for key, _ in camera_changes(SIZE, 3)}
    assert keys == {Key(each.name, severity) for each in CORRUPTIONS for severity in range(1, 6)}
