"""Trained models whose answer to each change is known beforehand."""

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from ssl_pcb.audit.changes import single_changes
from ssl_pcb.audit.invariance import measure_invariance
from ssl_pcb.audit.invariance_chart import invariance_figure
from ssl_pcb.audit.invariance_words import sentences, table
from ssl_pcb.data.loaders import Batch
from ssl_pcb.evaluation.figures import ESCAPES
from ssl_pcb.stages.audit_invariance import FLIPS, findings_of

SIZE, COUNT = 16, 120


class First(nn.Module):
    def scores(self, features):
        return features[:, 0]


class Mean(nn.Module):
    """Judges by the mean grey level."""

    size, classifier = SIZE, First()

    def seen(self, images):
        return images.mean((1, 2, 3))[:, None] - 0.5


class Halves(Mean):
    """Judges by which half of the picture is brighter."""

    def seen(self, images):
        left, right = (half.mean((1, 2, 3)) for half in images.chunk(2, dim=3))
        return torch.stack([left - right, right - left], 1)


@pytest.fixture(scope="module")
def boards():
    """Half of them bright on the left, the others on the right."""
    pixels = torch.full((COUNT, 1, SIZE, SIZE), 40, dtype=torch.uint8)
    pixels[::2, ..., : SIZE // 2] = 230
    pixels[1::2, ..., SIZE // 2 :] = 230
    return pixels


def measured(model, pixels):
    changes = list(single_changes(SIZE, 1))
    batches = [Batch(part, torch.zeros(len(part))) for part in pixels.chunk(2)]
    return measure_invariance(model, 0.0, batches, changes, Fabric(accelerator="cpu", devices=1))


@pytest.fixture(scope="module")
def halves(boards):
    return measured(Halves(), boards)


def named(found, name):
    return [each for each in found if each.change.name == name]


def test_a_model_that_minds_how_a_board_lies_is_found_out(halves):
    (turned,) = named(halves, "symmetries")
    # Of the eight symmetries two keep the brighter half and two swap it; under the others both are as bright.
    assert 0.25 < turned.flips.value < 0.75
    (finding,) = findings_of(halves)
    assert (finding.what, finding.limit) == ("symmetries flips verdicts", FLIPS)
    assert "augment.view.geometry.symmetries=true" in finding.mend
    assert finding.line().startswith("finding: symmetries flips verdicts (share of the verdicts 0.")
    assert next(sentences(halves)).startswith(
        "of the changes that no verdict should depend on, the worst is symmetries"
    )


def test_what_is_as_strong_as_in_training_counts_and_nothing_else_does(boards):
    bright = torch.full_like(boards, 145)  # a little above the threshold; so a darker picture is another verdict
    found = measured(Mean(), bright)
    assert {each.change.name for each in found if each.change.usual and each.flips.value > 0.1} == {
        finding.what.split()[0] for finding in findings_of(found)
    }
    (usual,) = (each for each in named(found, "brightness") if each.change.usual)
    assert usual.flips.value == pytest.approx(0.5 - (145 / 255 - 0.5) / 0.2, abs=0.2)
    assert any(each.flips.value > 0.3 for each in found if not each.change.usual)
    assert {finding.what.split()[0] for finding in findings_of(found)} == {"brightness"}


def test_a_model_of_nothing_passes(boards):
    class Blind(Mean):
        def seen(self, images):
            return torch.ones(len(images), 2)

    found = measured(Blind(), boards)
    assert findings_of(found) == []
    assert [each.similarity for each in found] == pytest.approx([1] * len(found))
    assert next(sentences(found)) == "no change as strong as the standard augmentation's turns a verdict over"


def test_the_table_marks_what_findings_are_about(halves):
    lines = table(halves)[1:]
    assert len(lines) == len(halves)
    assert sum(" * " in line for line in lines) == 9
    (line,) = (line for line in lines if line.split()[0] == "symmetries")
    assert f"{named(halves, 'symmetries')[0].flips.value:.1%}" in line


def test_the_picture_shows_each_share_where_it_is(halves):
    similarity, flips = invariance_figure(halves, FLIPS).axes
    names = [label.get_text().split(" (")[0] for label in similarity.get_yticklabels()]
    marks = [line for line in flips.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in marks] == [each.flips.value for each in halves]
    assert [names[round(line.get_ydata()[0])] for line in marks] == [each.change.name for each in halves]
    failed = np.array([line.get_color() == ESCAPES for line in marks])
    assert [each.change.name for each, red in zip(halves, failed, strict=True) if red] == ["symmetries"]
