"""Places of an image and its golden image: alike ones are pulled together, differing ones never."""

import pytest
import torch
import torch.nn.functional as F

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import GeometryConfig, PhotometryConfig, ViewConfig
from ssl_pcb.config.method import SimCLRConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.objectives.reference_contrast import DIFFERENT, PLACES, SAME, ReferenceContrast
from ssl_pcb.training.runtime import make_generator

B, SIZE = 6, 64
STILL = ViewConfig(
    geometry=GeometryConfig(symmetries=False, rotation=0, translation=0, shrink=0),
    photometry=PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0),
)


def generator(seed=0):
    return make_generator(torch.device("cpu"), seed)


def make(view=STILL, **keys):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet", strides=(8, 16), pool="avg_max", norm="group", **keys), 1)
    config = SimCLRConfig(hidden_dim=16, output_dim=8)
    return build_objective(config, backbone, ViewMaker(view, SIZE), references=True)


def pairs(broken=()):
    """Bars, and the same as golden image; the samples ``broken`` have a hole in their middle."""
    golden = torch.zeros(B, 1, SIZE, SIZE, dtype=torch.uint8)
    golden[..., ::16] = 255
    for column in range(4):
        golden[..., 4 + 16 * column : 12 + 16 * column] = 255
    images = golden.clone()
    for sample in broken:
        images[sample, :, 24:40, 16:48] = 0
    return Batch(torch.cat([images, golden], 1), torch.full((B,), -1))


def test_geometry_is_shared_and_each_picture_has_a_light_of_its_own():
    objective, seen = make(ViewConfig()), []
    images, references = objective.show(pairs(), generator())
    torch.testing.assert_close(images, references)
    objective.backbone.wide_maps = lambda shown: seen.append(shown) or Backbone.wide_maps(objective.backbone, shown)
    objective(pairs(), generator())
    first, again, golden = seen[0].chunk(3)
    for one, other in ((first, again), (first, golden), (again, golden)):
        assert (one - other).abs().mean() > 0.01
    makes_no_light = make(STILL)
    makes_no_light.backbone.wide_maps = objective.backbone.wide_maps
    makes_no_light(pairs(), generator())
    first, again, golden = seen[1].chunk(3)
    assert torch.equal(first, again)
    assert torch.equal(first, golden)


def test_no_cell_that_is_pulled_to_its_golden_image_is_made_of_places_that_differ():
    """A cell is read off the coarsest map too: change that where something differs, and alike cells stay equal."""
    objective, batch = make(), pairs(broken=range(B))
    images, references = objective.show(batch, generator())
    coarse = torch.rand(B, 3, SIZE // 16, SIZE // 16, generator=generator())
    maps = [torch.rand(B, 3, SIZE // 8, SIZE // 8, generator=generator()), coarse]
    apart = F.adaptive_max_pool2d((images - references).abs(), maps[0].shape[2:])
    judged = objective._judged(apart, maps).flatten(1)
    assert torch.equal(judged >= DIFFERENT, (apart >= DIFFERENT).flatten(1))
    alike = judged <= SAME
    assert 0 < alike.float().mean() < (apart <= SAME).float().mean()
    differs = F.adaptive_max_pool2d(apart, coarse.shape[2:]) > SAME
    spoilt = [maps[0], torch.where(differs, coarse + 1, coarse)]
    cells, others = objective._cells(maps), objective._cells(spoilt)
    assert torch.equal(cells[alike], others[alike])
    assert not torch.equal(cells, others)


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_maps_of_few_cells_give_as_many_places(cells):
    places = ReferenceContrast._draw(torch.zeros(2, cells), generator())
    assert sorted(places[0].tolist()) == list(range(cells))


def test_half_of_the_places_differ_where_enough_do_and_none_that_differs_a_little_is_drawn():
    most = torch.zeros(3, 64)
    most[1, :3] = 0.9  # three differing places
    most[1, 3:40] = (SAME + DIFFERENT) / 2  # many doubtful ones
    most[2, 7] = 0.9
    for seed in range(20):
        places = ReferenceContrast._draw(most, generator(seed))
        drawn = most.gather(1, places)
        assert all(len(set(row)) == PLACES for row in places.tolist())
        assert (drawn >= DIFFERENT).sum(1).tolist() == [0, PLACES // 2, 1]
        assert ((drawn > SAME) & (drawn < DIFFERENT)).sum() == 0


def test_alike_places_take_the_golden_image_and_differing_ones_are_pushed_from_it():
    objective = make()
    z = F.normalize(torch.randn(3, 4, 8, generator=generator()), dim=-1).requires_grad_()
    most = torch.tensor([0.0, 1.0, (SAME + DIFFERENT) / 2, 0.0])
    objective._compare(z.flatten(0, 1), most).loss.backward()
    _, again, golden = z.grad
    assert golden[0].norm() > 0
    assert again[0].norm() == 0  # alike: the positive is the golden image's place
    assert again[1].norm() > 0
    assert golden[2].norm() == 0  # doubtful: neither pulled nor pushed
    assert again[2].norm() > 0

    def loss(place, side):
        moved = z.detach().clone()
        moved[2, place] = side * (moved[0, place] + (place == 1) * moved[1, place])
        return objective._compare(moved.flatten(0, 1), most).loss.item()

    assert loss(0, 1) < loss(0, -1)
    assert loss(1, 1) > loss(1, -1)  # differing: the nearer the golden place, the worse


def test_the_loss_of_planted_differences_falls_and_tells_them_apart():
    objective = make().train()
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    logs = []
    for step in range(30):
        output = objective(pairs(broken=(0, 2, 4)), generator(step))
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        logs.append({name: value.item() for name, value in output.logs.items()} | {"loss": output.loss.item()})
    assert logs[0]["differing"] == pytest.approx(3 * PLACES / 2 / (B * PLACES))
    assert logs[-1]["loss"] < logs[0]["loss"]
    assert logs[-1]["difference_auroc"] > 0.9


@pytest.mark.parametrize("keys", [{"strides": ()}, {"neck": 4, "pool": "max"}], ids=str)
def test_a_network_without_maps_of_its_own_is_refused_with_the_mend(keys):
    backbone = Backbone(BackboneConfig(**({"name": "test_resnet", "strides": (8, 16)} | keys)), 1)
    with pytest.raises(UserError, match=r"^data.references: .* backbone.strides=\[8,16\], backbone.pool=avg_max"):
        build_objective(SimCLRConfig(), backbone, ViewMaker(STILL, SIZE), references=True)
