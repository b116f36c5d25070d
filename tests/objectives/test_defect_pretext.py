"""The map of defects: its targets, what it logs, and that it learns to find what is painted."""

import numpy as np
import pytest
import torch

from ssl_pcb.augment.defects.paint import NULL, Painted
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import ArrayDataset, Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.defect_pretext import DefectPretext
from ssl_pcb.stages.painting import warn_of_hidden_defects

SIZE = 32
MAPS = {"strides": (8, 16), "neck": 10, "pool": "max"}


def make(network=MAPS, **keys):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet", **network), 1)
    return DefectPretext(DefectPretextConfig(**keys), backbone, ViewMaker(ViewConfig(), SIZE))


def painted(change, kinds, retouched=None):
    none = torch.zeros(len(kinds), dtype=torch.bool)
    shown = none if retouched is None else retouched
    return Painted(torch.zeros_like(change), change, torch.tensor(kinds), shown, torch.full((len(kinds), 1, 1, 1), 0.1))


def test_the_target_is_the_clear_share_of_a_cell_against_a_naive_loop():
    objective = make(kind_weight=0)
    change = torch.zeros(2, 1, SIZE, SIZE)
    change[0, 0, 8:10, 9:13] = 0.6  # 8 of 64 pixels of cell (1, 1): half of what counts in full
    change[0, 0, 24:32, 24:32] = 0.6  # all of cell (3, 3)
    change[1, 0, :8, :8] = 0.05  # too faint to be asked for
    log_odds = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(1))
    target = torch.zeros(2, 4, 4)
    target[0, 1, 1], target[0, 3, 3] = 0.5, 1.0
    total = 0.0
    for odds, wanted in zip(log_odds.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = torch.sigmoid(torch.tensor(odds))
        total += (1 + 7 * wanted) * -(wanted * p.log() + (1 - wanted) * (1 - p).log())
    found = objective.judge(both(log_odds), painted(change, [0, 1]))
    assert found.loss.item() == pytest.approx(total.item() / 32, rel=1e-5)


def test_each_kind_has_a_map_of_its_own():
    objective = make(kind_weight=1, positive_weight=1)
    change = torch.zeros(2, 1, SIZE, SIZE)
    change[:, :, :8, :8] = 0.6
    found = torch.full((2, 10, 4, 4), -20.0)
    found[:, 0, 0, 0] = 20.0
    found[0, 1 + 4, 0, 0] = found[1, 1 + 7, 0, 0] = 20.0
    assert objective.judge(found, painted(change, [4, 7])).loss.item() == pytest.approx(0, abs=1e-6)
    wrong = objective.judge(found, painted(change, [4, 6])).loss.item()
    assert wrong == pytest.approx(2 * 20 / 32, rel=1e-4)  # one cell of 2 x 16 missed by 20, one wrongly told by 20


def both(log_odds):
    """The neck's map with nothing to tell of kinds."""
    return torch.cat([log_odds[:, None], torch.full((len(log_odds), 9, *log_odds.shape[1:]), -20.0)], 1)


def test_the_most_suspicious_unpainted_cells_are_left_out():
    objective, whole = make(kind_weight=0.5, trim=3 / 32), make(kind_weight=0.5)
    change = torch.zeros(2, 1, SIZE, SIZE)
    change[0, 0, :8, :8] = 0.6  # cell (0, 0), the most suspicious of all: painted, so that it stays
    found = torch.randn(2, 10, 4, 4, generator=torch.Generator().manual_seed(2))
    found[0, 0, 0, 0] = 9.0
    spared = [(0, 2, 1), (1, 0, 3), (1, 3, 3)]
    for image, row, column in spared:
        found[image, 0, row, column] = 6.0
    found.requires_grad_()
    loss = objective.judge(found, painted(change, [4, NULL])).loss
    softplus = torch.nn.functional.softplus
    dropped = sum(
        softplus(found[image, :, row, column]).dot(torch.tensor([1.0] + [0.5] * 9)) for image, row, column in spared
    )
    assert loss.item() == pytest.approx(
        (whole.judge(found, painted(change, [4, NULL])).loss - dropped / 32).item(), rel=1e-5
    )
    loss.backward()
    still = found.grad.abs().sum(1) == 0
    assert sorted(map(tuple, still.nonzero().tolist())) == spared


def test_the_logged_auroc_counts_pairs():
    objective = make()
    change = torch.zeros(5, 1, SIZE, SIZE)
    change[:2, :, :8, :8] = 1.0
    log_odds = torch.zeros(5, 4, 4)
    log_odds[:, 0, 0] = torch.tensor([3.0, 1.0, 2.0, 0.5, 1.0])  # two defects, three nulls, the last one retouched
    kinds = [0, 3, NULL, NULL, NULL]
    retouched = torch.tensor([False, False, False, False, True])
    logs = objective.judge(both(log_odds), painted(change, kinds, retouched)).logs
    assert logs["painted_auroc"].item() == pytest.approx((3 + 1 + 0.5) / 6)
    assert logs["retouched_auroc"].item() == pytest.approx((1 + 0.5) / 2)


def test_what_shows_nothing_counts_as_no_defect():
    logs = make().judge(both(torch.zeros(1, 4, 4)), painted(torch.zeros(1, 1, SIZE, SIZE), [2])).logs
    assert logs["painted_auroc"] == 0.5
    assert logs["which"] == pytest.approx(0, abs=1e-6)


def test_the_first_feature_is_the_most_suspicious_cells_log_odds():
    backbone = make().backbone.eval()
    images = torch.rand(3, 1, SIZE, SIZE)
    (found,) = backbone.maps(images)
    assert backbone(images).shape == (3, 10)
    assert backbone(images)[:, 0].tolist() == [each.max().item() for each in found[:, 0]]


def test_it_learns_to_find_what_is_painted():
    """Bars at random places; after training, painted images score above clean ones that it never saw."""
    painting = {"generators": ["pin_hole", "island", "break"], "null_share": 0.5, "min_contrast": 1.0}
    objective = make(MAPS | {"neck": 4}, defect=painting)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)

    def boards(count):
        pixels = torch.full((count, 1, SIZE, SIZE), 30, dtype=torch.uint8)
        for image, at in zip(pixels, torch.randint(0, 6, (count,), generator=generator).tolist(), strict=True):
            for start in range(at, SIZE - 8, 14):
                image[..., start : start + 8] = 220
        return Batch(pixels, torch.full((count,), -1))

    for _ in range(200):
        output = objective(boards(32), generator)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    objective.eval()
    with torch.no_grad():
        images, truth, _ = objective.show(boards(200), generator)
        scores = objective.backbone(images)[:, 0]
    defective = (truth.change > 0).flatten(1).any(1)
    apart = scores[defective][:, None] > scores[truth.kinds == NULL][None]
    assert apart.float().mean() > 0.85


@pytest.mark.parametrize(("contrast", "said"), [(200, False), (20, False), (0, True)])
def test_pictures_on_which_no_defect_can_be_seen_are_said(contrast, said, caplog):
    pixels = np.full((64, SIZE, SIZE, 1), 30, np.uint8)
    pixels[:, :, ::8] += contrast
    pixels[:, :, 1::8] += contrast
    data = ArrayDataset(pixels, np.full(64, -1), np.arange(64))
    along = {"generators": ["break", "nick"]}  # of a pattern, which a picture of one tone has not
    warn_of_hidden_defects(make({**MAPS, "neck": 3}, defect=along), data, seed=0)
    assert ("of the painted defects 0 % can be seen" in caplog.text) == said
