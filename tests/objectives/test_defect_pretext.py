"""The map of defects: its targets, what it logs, and that it learns to find what is painted."""

import pytest
import torch

from ssl_pcb.augment.defects.paint import NULL, Painted
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.defect_map import DefectScorer, image_score
from ssl_pcb.objectives.defect_pretext import DefectPretext

SIZE = 32


def make(strides=(8, 16), **keys):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet", strides=strides), 1)
    return DefectPretext(DefectPretextConfig(**keys), backbone, ViewMaker(ViewConfig(), SIZE))


def painted(change, kinds, retouched=None):
    none = torch.zeros(len(kinds), dtype=torch.bool)
    return Painted(torch.zeros_like(change), change, torch.tensor(kinds), none if retouched is None else retouched)


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
    found = objective.judge(log_odds, torch.zeros(2, 9, 4, 4), painted(change, [0, 1]))
    assert found.loss.item() == pytest.approx(total.item() / 32, rel=1e-5)


def test_the_logged_auroc_counts_pairs():
    objective = make()
    change = torch.zeros(5, 1, SIZE, SIZE)
    change[:2, :, :8, :8] = 1.0
    log_odds = torch.zeros(5, 4, 4)
    log_odds[:, 0, 0] = torch.tensor([3.0, 1.0, 2.0, 0.5, 1.0])  # two defects, three nulls, the last one retouched
    kinds = [0, 3, NULL, NULL, NULL]
    retouched = torch.tensor([False, False, False, False, True])
    logs = objective.judge(log_odds, torch.zeros(5, 9, 4, 4), painted(change, kinds, retouched)).logs
    assert logs["painted_auroc"].item() == pytest.approx((3 + 1 + 0.5) / 6)
    assert logs["retouched_auroc"].item() == pytest.approx((1 + 0.5) / 2)


def test_what_shows_nothing_counts_as_no_defect():
    logs = make().judge(torch.zeros(1, 4, 4), torch.zeros(1, 9, 4, 4), painted(torch.zeros(1, 1, SIZE, SIZE), [2])).logs
    assert logs["painted_auroc"] == 0.5
    assert logs["which"] == 0


def test_a_backbone_without_maps_is_refused():
    with pytest.raises(UserError, match=r"backbone.strides: a map of defects needs"):
        make(strides=())


def test_the_image_score_is_the_most_suspicious_cells():
    maps = torch.randn(3, 4, 4)
    assert image_score(maps).tolist() == [each.max().item() for each in maps]


def test_it_learns_to_find_what_is_painted():
    """Bars at random places; after training, painted images score above clean ones that it never saw."""
    objective = make(defect={"generators": ["pin_hole", "island", "break"], "null_share": 0.5, "min_contrast": 1.0})
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
        images, truth = objective.show(boards(200), generator)
        scores = DefectScorer(objective.backbone, objective.head)(images)[:, 0]
    defective = (truth.change > 0).flatten(1).any(1)
    apart = scores[defective][:, None] > scores[truth.kinds == NULL][None]
    assert apart.float().mean() > 0.85
