"""Heat maps against what they are by definition, and measures of them against planted maps."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from ssl_pcb.config.load import load_config
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.evaluation.heat_maps import cell_scores, grad_cam, heat_maps
from ssl_pcb.evaluation.pointing import energy_inside, inside, pointing_hits
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.stages.classifier import build_classifier

NECK = {"backbone.name": "resnet18", "backbone.strides": [8, 16], "backbone.neck": 3, "backbone.pool": "max"}
NETWORKS = {
    "own end": {"backbone.name": "test_resnet"},
    "neck, max": NECK,
    "neck, avg_max": NECK | {"backbone.pool": "avg_max"},
    "two maps": {"backbone.name": "resnet18", "backbone.strides": [8, 16], "backbone.pool": "gem"},
    "mlp": NECK | {"head.name": "mlp"},
    "over symmetries": NECK | {"backbone.tta": "symmetries"},
    "attention": {"backbone.name": "test_resnet", "head.name": "attention", "head.heads": 2},
}


def classifier(keys, size=48):
    config = load_config(FinetuneConfig, overrides=keys | {"data.image_size": size, "data.channels": 1})
    torch.manual_seed(0)
    return build_classifier(config, Backbone(config.backbone, 1), np.ones(2, np.int64)).eval()


@pytest.fixture
def images():
    return torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("keys", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("way", [heat_maps, cell_scores, grad_cam])
def test_maps_are_of_the_images_pixels_and_change_nothing(keys, way, images):
    model = classifier(keys)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    maps = way(model, images)
    assert maps.shape == (3, 48, 48)
    assert maps.dtype == torch.float32
    assert not maps.requires_grad
    assert 0 <= maps.min() <= maps.max() <= 1 + 1e-6
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(way(model, images[1:2])[0], way(model, images[1:2])[0])


@pytest.mark.parametrize("way", [heat_maps, cell_scores])
def test_over_symmetries_a_map_turns_with_its_image(way, images):
    over, one = classifier(NETWORKS["over symmetries"]), classifier(NECK)
    for turn in (lambda pictures: pictures.mT, lambda pictures: pictures.flip(-1)):
        torch.testing.assert_close(way(over, turn(images)), turn(way(over, images)), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(way(one, turn(images)), turn(way(one, images)), atol=1e-3)
    wide = images[..., :32, :]
    torch.testing.assert_close(way(over, wide.mT), way(over, wide).mT, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("keys", NETWORKS.values(), ids=NETWORKS)
def test_the_brightest_place_has_the_images_own_probability(keys, images):
    """Behind maxima of several maps no cell need have it."""
    model = classifier(keys)
    maps, cells = heat_maps(model, images), cell_scores(model, images)
    own = torch.sigmoid(model.classifier.scores(model.seen(images))).detach()
    torch.testing.assert_close(maps.amax((1, 2)), own, atol=1e-5, rtol=1e-4)
    for each, of in zip(maps, cells, strict=True):
        torch.testing.assert_close(each / each.max(), of / of.max(), atol=1e-5, rtol=1e-4)


def test_behind_an_average_they_are_class_activation_maps(images):
    model = classifier(NETWORKS["own end"])
    layer = model.classifier.head.layer
    weight, bias = (each[1] - each[0] for each in (layer.weight, layer.bias))
    last = model.backbone.feature_map(images).double()
    naive = torch.sigmoid(torch.einsum("d,ndhw->nhw", weight.double(), last) + bias.double())
    naive = interpolate(naive[:, None].float(), (48, 48), mode="bilinear")[:, 0]
    torch.testing.assert_close(cell_scores(model, images), naive.detach(), atol=1e-5, rtol=1e-5)


def test_behind_a_maximum_each_cell_is_judged_as_the_head_judges(images):
    model = classifier(NECK)
    (found,) = model.backbone.maps(images)
    naive = torch.stack([
        torch.stack([model.classifier.scores(found[:, :, row, column]) for column in range(found.shape[3])], -1)
        for row in range(found.shape[2])
    ], -2)  # fmt: skip
    naive = interpolate(torch.sigmoid(naive)[:, None], (48, 48), mode="bilinear")[:, 0]
    torch.testing.assert_close(cell_scores(model, images), naive.detach(), atol=1e-5, rtol=1e-5)


def test_grad_cam_is_the_map_weighed_by_mean_gradients(images):
    model = classifier(NETWORKS["own end"])
    last = model.backbone.feature_map(images).detach().requires_grad_()
    score = model.classifier.scores(model.backbone.pooled_end(last)).sum()
    (gradient,) = torch.autograd.grad(score, last)
    naive = torch.relu((gradient.mean((2, 3), keepdim=True) * last).sum(1, keepdim=True))
    naive = naive / naive.amax((1, 2, 3), keepdim=True).clamp(min=1e-30)
    naive = interpolate(naive, (48, 48), mode="bilinear")[:, 0].detach()
    torch.testing.assert_close(grad_cam(model, images), naive, atol=1e-5, rtol=1e-5)


def test_a_planted_defect_is_pointed_at():
    model = classifier(NECK)
    with torch.no_grad():  # a network that answers to one bright cell
        for each in model.parameters():
            each.zero_()
        model.classifier.head.layer.weight[1, 0] = 1
    planted = torch.full((1, 3, 6, 6), -5.0)
    planted[0, 0, 4, 1] = 5
    model.backbone.maps = lambda images: [planted]
    found = cell_scores(model, torch.zeros(1, 1, 48, 48))[0]
    row, column = divmod(int(found.argmax()), 48)
    assert 32 <= row < 40
    assert 8 <= column < 16


def test_pointing_and_energy_of_planted_maps():
    covered = inside([(2, 3, 6, 5), (20, 20, 24, 24)], 32)
    assert covered.sum() == 4 * 2 + 4 * 4
    assert covered[3, 2]
    assert not covered[2, 3]
    hit, miss, flat, empty = np.zeros((4, 32, 32))
    hit[22, 21], hit[0, 0] = 3, 1
    miss[0, 0], miss[4, 4] = 3, 1
    flat[:] = 1
    maps, boxes = np.stack([hit, miss, flat, empty]), np.stack([covered] * 4)
    share = covered.mean()
    assert pointing_hits(maps, boxes) == pytest.approx([1, 0, share, share])
    assert energy_inside(maps, boxes) == pytest.approx([0.75, 0.25, share, 0])
