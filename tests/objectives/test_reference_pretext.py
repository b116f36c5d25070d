"""Painted defects beside golden images: what the network is shown, and of which places nobody can say anything."""

import numpy as np
import pytest
import torch

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import AS_IT_IS, ONLY_SYMMETRIES, GeometryConfig, ViewConfig
from ssl_pcb.config.defects import DefectConfig
from ssl_pcb.config.load import load_config
from ssl_pcb.config.method import DefectPretextConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.data.loaders import ArrayDataset, Batch
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.stages.painting import warn_of_other_light
from ssl_pcb.training.runtime import make_generator

B, SIZE = 16, 64


def generator(seed=0):
    return make_generator(torch.device("cpu"), seed)


NEARLY_ALL = 1 - 1e-6


def make(view=AS_IT_IS, null_share=0.5):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet", strides=(8, 16), neck=10, pool="max"), 2)
    config = DefectPretextConfig(defect=DefectConfig(null_share=null_share))
    return build_objective(config, backbone, ViewMaker(view, SIZE, references=True), references=True)


def pairs(hole=False):
    """Bars, and the same as golden image; with ``hole`` images have one in cell (3, 3) that these have not."""
    golden = torch.zeros(B, 1, SIZE, SIZE, dtype=torch.uint8)
    for column in range(4):
        golden[..., 4 + 16 * column : 12 + 16 * column] = 255
    images = golden.clone()
    if hole:
        images[..., 25:31, 20:28] = 0
    return Batch(torch.cat([images, golden], 1), torch.full((B,), -1))


def test_the_image_alone_is_painted_on():
    batch = pairs()
    shown = make().show(batch, generator())
    plain = batch.inputs[:, 1:] / 255
    assert torch.equal(shown.images[:, 1:], plain)
    change = (shown.images[:, :1] - plain).abs()
    painted = shown.painted.kinds >= 0
    assert (change.flatten(1).amax(1) > 0)[painted].all()
    assert torch.allclose(change[painted], shown.painted.change[painted])


def test_image_and_golden_image_lie_alike_and_each_has_a_light_of_its_own():
    aligned = ViewConfig(geometry=GeometryConfig(misalignment=0), photometry=AS_IT_IS.photometry)
    images, golden = make(aligned, null_share=NEARLY_ALL).show(pairs(), generator()).images.chunk(2, 1)
    assert (images - golden).abs().flatten(1).amax(1).median() < 0.05  # but for those that are retouched
    images, golden = make(ViewConfig(), null_share=NEARLY_ALL).show(pairs(), generator()).images.chunk(2, 1)
    assert (images - golden).abs().mean((1, 2, 3)).min() > 0.01


def test_where_the_image_differs_by_itself_nothing_is_taught():
    """Neither the loss nor what is logged knows of what the map says there, unless a defect is painted there too."""
    objective = make()
    for hole in (True, False):
        shown = objective.show(pairs(hole), generator())
        assert shown.unsure[:, 0, 27, 24].all() == hole
        good = shown.painted.kinds < 0
        found = torch.zeros(B, 10, 8, 8)
        suspicious = found.clone()
        suspicious[good, :, 3, 3] = 9.0
        before, after = (objective.judge(each, shown.painted, shown.unsure) for each in (found, suspicious))
        assert (before.loss == after.loss) == hole
        assert torch.equal(before.logs["painted_auroc"], after.logs["painted_auroc"]) == hole


def test_a_golden_image_that_lies_a_little_elsewhere_leaves_no_place_unsure():
    """It is compared as it is stored, so that the network is taught that such edges are no defects."""
    moved = AS_IT_IS.model_copy(update={"geometry": AS_IT_IS.geometry.model_copy(update={"misalignment": 3})})
    shown = make(moved, null_share=NEARLY_ALL).show(pairs(), generator())
    images, golden = shown.images.chunk(2, 1)
    assert ((images - golden).abs().flatten(1).amax(1) > 0.9).float().mean() > 0.5
    assert not shown.unsure.any()


def test_what_is_painted_leaves_no_place_unsure():
    """A painted defect is a difference too, and there to be taught."""
    shown = make(null_share=0.0).show(pairs(), generator())
    assert (shown.images[:, :1] != shown.images[:, 1:]).flatten(1).any(1).float().mean() > 0.5
    assert not shown.unsure.any()


def test_it_learns_that_a_difference_is_a_defect():
    """Boards of which some have a hole that nobody painted; after training these score above the others."""
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet", strides=(8, 16), neck=10, pool="max"), 2)
    config = DefectPretextConfig(defect=DefectConfig(null_share=0.3, min_contrast=1.0))
    objective = build_objective(config, backbone, ViewMaker(ONLY_SYMMETRIES, SIZE, references=True), references=True)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    for seed in range(60):
        objective(pairs(hole=True), generator(seed)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    backbone.eval()
    with torch.no_grad():
        broken, whole = (backbone(pairs(hole).inputs / 255)[:, 0] for hole in (True, False))
    assert broken.min() > whole.max()


def test_nt_xent_is_for_images_alone():
    network = {"backbone.strides": [8, 16], "backbone.neck": 10, "backbone.pool": "max"}
    keys = network | {"data.references": True, "method.name": "defect_pretext", "method.nt_xent_weight": 0.1}
    with pytest.raises(UserError, match=r"data.references: golden images are for painted defects .* without NT-Xent"):
        load_config(PretrainConfig, overrides=keys)


@pytest.mark.parametrize(("darker", "said"), [(1.0, False), (0.5, True)])
def test_golden_images_in_another_light_are_said(darker, said, caplog):
    inputs = pairs().inputs.permute(0, 2, 3, 1).numpy().copy()
    inputs[..., 1] = (inputs[..., 1] * darker).astype(inputs.dtype)
    data = ArrayDataset(inputs, np.full(B, -1), np.arange(B))
    warn_of_other_light(make(), data)
    assert ("images differ from their golden images in" in caplog.text) == said
