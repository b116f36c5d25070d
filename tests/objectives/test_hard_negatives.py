"""Painted copies as negatives: what shares what, what is masked, and that the two objectives learn from them."""

import pytest
import torch

from ssl_pcb.augment.defects.paint import NULL
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import PhotometryConfig, ViewConfig
from ssl_pcb.config.defects import DefectConfig
from ssl_pcb.config.method import DefectPretextConfig, SimCLRConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.objectives.defect_pretext import DefectPretext
from ssl_pcb.objectives.hard_negatives import HardNegatives, hard_nt_xent, trio
from ssl_pcb.objectives.joint_pretext import JointPretext
from ssl_pcb.objectives.simclr import SimCLR

SIZE, B = 32, 24
MAPS = {"strides": (8, 16), "neck": 10, "pool": "max"}
DARK = PhotometryConfig(brightness=0.1, contrast=0.2, gamma=0.2, blur=0, noise=0)


def boards(count=B, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tracks = torch.zeros(count, 1, 40, 40, dtype=torch.uint8)
    for each in tracks:
        for start in torch.randint(0, 36, (4,), generator=generator).tolist():
            each[:, :, start : start + 4] = 255
    return Batch(tracks, torch.full((count,), -1))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(config, network=None):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet", **(network or {})), 1)
    return build_objective(config, backbone, ViewMaker(ViewConfig(), SIZE))


def test_a_copy_differs_from_the_first_view_in_the_defect_alone():
    views = ViewMaker(ViewConfig(photometry=DARK), SIZE)
    images, painted = trio(views, DefectConfig(null_share=0.5), 2, boards(), generator())
    first, second, *copies = images.chunk(4)
    assert len(painted) == len(copies) == 2
    for copy, each in zip(copies, painted, strict=True):
        untouched = (each.kinds == NULL) & ~each.retouched
        torch.testing.assert_close(copy[untouched], first[untouched])
        # Contrast turns about each picture's mean, which a defect moves: everywhere else by that little.
        away = (copy - first).abs()[(each.change == 0) & (each.kinds != NULL)[:, None, None, None]]
        assert away.max() < 0.1
        assert (copy - first).abs()[each.change > 0.5].mean() > 0.3
    assert not torch.equal(first, second)
    assert not torch.equal(painted[0].kinds, painted[1].kinds)


def test_a_copy_on_which_nothing_can_be_seen_is_no_negative():
    """On one plain colour there is nothing to break, and what is pasted is of the same colour."""
    plain = Batch(torch.full((B, 1, 40, 40), 128, dtype=torch.uint8), torch.full((B,), -1))
    views = ViewMaker(ViewConfig(photometry=DARK), SIZE)
    defect = DefectConfig(generators=["cut_paste", "soft_paste"], null_share=0)
    _, painted = trio(views, defect, 1, plain, generator())
    unseen = ~painted[0].clear.flatten(1).any(1)
    assert unseen.any()
    assert (painted[0].kinds != NULL).all()
    assert (painted[0].kinds_inside(0)[unseen] == NULL).all()
    assert (painted[0].kinds_inside(0)[~unseen] == painted[0].kinds[~unseen]).all()
    projections = torch.randn(3 * B, 8, generator=generator(1)).requires_grad_()
    hard_nt_xent(projections, painted, 0.2).loss.backward()
    assert projections.grad[:B][unseen].norm() == 0  # the copy stands in for the first view


def test_a_null_copy_is_a_positive_and_no_negative():
    _, painted = trio(ViewMaker(ViewConfig(), SIZE), DefectConfig(null_share=0.5), 1, boards(), generator())
    null = painted[0].kinds == NULL
    projections = torch.randn(3 * B, 8, generator=generator(1)).requires_grad_()
    hard_nt_xent(projections, painted, 0.2).loss.backward()
    first, _, copies = projections.grad.chunk(3)
    assert (first[null].norm(), first[~null].norm() > 0) == (0, True)
    assert (copies.norm(dim=1) > 0).all()
    # Pulled to the second view where it is a positive, pushed from it where it is a negative.
    second = torch.nn.functional.normalize(projections.detach()[B : 2 * B], dim=1)
    pull = -(copies * second).sum(1)
    assert pull[null].mean() > 0 > pull[~null].mean()


def test_a_defect_around_the_tile_is_no_negative():
    _, painted = trio(ViewMaker(ViewConfig(), SIZE), DefectConfig(null_share=0.0), 1, boards(64), generator())
    context, inside = SIZE // 4, slice(SIZE // 4, SIZE - SIZE // 4)
    whole, own = (part.flatten(1).sum(1) for part in (painted[0].clear, painted[0].clear[..., inside, inside]))
    null = (2 * own < whole) | (whole == 0)
    assert 0 < null.sum() < 64
    projections = torch.randn(3 * 64, 8, generator=generator(1)).requires_grad_()
    hard_nt_xent(projections, painted, 0.2, context).loss.backward()
    first = projections.grad.chunk(3)[0]
    assert (first[null].norm(), (first[~null].norm(dim=1) > 0).all()) == (0, True)


def test_the_logged_auroc_tells_how_far_defects_lie_beside_retouches():
    _, painted = trio(ViewMaker(ViewConfig(), SIZE), DefectConfig(null_share=0.5), 1, boards(64), generator())
    anchors = torch.eye(2)[[0]].expand(64, 2)
    assert painted[0].retouched.any()
    for far, auroc in ((painted[0].kinds != NULL, 1.0), (painted[0].retouched, 0.0)):
        copies = torch.where(far[:, None], torch.eye(2)[[1]], anchors)
        logs = hard_nt_xent(torch.cat([anchors, anchors, copies]), painted, 0.2).logs
        assert logs["distance_auroc"].item() == pytest.approx(auroc)


def test_the_config_chooses_the_objective():
    assert type(build(SimCLRConfig())) is SimCLR
    assert type(build(SimCLRConfig(hard_negatives="synthetic"))) is HardNegatives
    assert type(build(DefectPretextConfig(), MAPS)) is DefectPretext
    assert type(build(DefectPretextConfig(nt_xent_weight=0.1), MAPS)) is JointPretext


@pytest.mark.parametrize(
    ("config", "network"),
    [
        (SimCLRConfig(hard_negatives="synthetic", copies=2), {}),
        (DefectPretextConfig(nt_xent_weight=1.0), MAPS),
    ],
    ids=["hard negatives", "joint"],
)
def test_the_loss_falls(config, network):
    objective = build(config, network).train()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        output = objective(boards(), generator(5))
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(output.loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert 0 <= output.logs["distance_auroc"] <= 1


def test_the_joint_loss_is_the_sum_of_its_parts():
    def loss(weight):
        objective = build(DefectPretextConfig(nt_xent_weight=weight), MAPS).train()
        output = objective(boards(), generator(5))
        return output.loss.item(), output.logs["nt_xent"].item()

    (one, contrast), (three, _) = loss(1.0), loss(3.0)
    assert three - one == pytest.approx(2 * contrast, rel=1e-4)
