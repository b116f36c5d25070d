"""Stages that are frozen keep every bit, and rates by depth are timm's own."""

import pytest
import timm
import torch
from timm.optim._param_groups import param_groups_layer_decay
from torch import nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.depths import _stages, freeze_stages, layer_scales
from ssl_pcb.training.checkpoint import load_backbone, save_backbone
from ssl_pcb.training.lineage import TrainedOn

# What begins the names of the tensors that a stage holds, as the models' own definitions have them.
PREFIXES = {
    "resnet18": {"stem": ("conv1.", "bn1."), "stage1": ("layer1.",), "stage4": ("layer4.",)},
    "resnext50_32x4d": {"stem": ("conv1.", "bn1."), "stage2": ("layer2.",)},
    "densenet121": {
        "stem": ("features.conv0.", "features.norm0."),
        "stage1": ("features.denseblock1.", "features.transition1."),
        "stage4": ("features.denseblock4.", "features.norm5."),  # the last norm has no stage of its own
    },
    "efficientnet_b0": {
        "stem": ("conv_stem.", "bn1."), "stage1": ("blocks.0.",), "stage7": ("blocks.6.", "conv_head.", "bn2."),
    },
    "test_efficientnet": {"stem": ("conv_stem.", "bn1."), "stage1": ("blocks.0.",)},
    "test_resnet": {"stem": ("conv1.", "bn1."), "stage1": ("layer1.",)},
    "test_nfnet": {"stem": ("stem.",), "stage1": ("stages.0.",), "stage4": ("stages.3.", "final_conv.")},
    "test_convnext": {"stem": ("stem.",), "stage1": ("stages.0.",), "stage4": ("stages.3.", "head.norm.")},
}  # fmt: skip
TRAINED = ("resnet18", "densenet121", "test_efficientnet", "test_resnet", "test_nfnet", "test_convnext")


def backbone(name, **keys):
    torch.manual_seed(0)
    return Backbone(BackboneConfig(name=name, **keys), 1)


def trained(network, steps=2, size=64):
    """Names of the tensors that a few steps at a large rate move; num_batches_tracked is no part of a frozen norm."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    head = nn.Linear(network.dim, 2)
    learning = [each for each in (*network.parameters(), *head.parameters()) if each.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=0.1, weight_decay=0.1)
    network.train()
    for _ in range(steps):
        head(network(torch.rand(4, 1, size, size))).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def of(network, prefixes):
    return {name for name in network.state_dict() if name.removeprefix("network.").startswith(prefixes)}


@pytest.mark.parametrize("name", PREFIXES)
def test_a_stage_holds_what_the_network_calls_so(name):
    network = backbone(name)
    names = {id(each): each_name for each_name, each in network.network.named_parameters()}
    stages = {stage: {names[id(each)] for each in held} for stage, held in _stages(network).items()}
    for stage, prefixes in PREFIXES[name].items():
        assert stages[stage] == {each for each in names.values() if each.startswith(prefixes)}
    assert list(stages) == ["stem", *(f"stage{number}" for number in range(1, len(stages)))]
    assert sum(map(len, stages.values())) == len(names)  # each weight lies in one


@pytest.mark.parametrize("name", TRAINED)
def test_a_frozen_stage_keeps_its_weights_and_statistics_and_the_others_learn(name):
    network, frozen = backbone(name), ("stem", "stage1")
    trained(network, steps=1)  # so that statistics are no longer those of the beginning
    before = {each: tensor.clone() for each, tensor in network.state_dict().items()}
    freeze_stages(network, frozen)
    kept = of(network, sum((PREFIXES[name].get(stage, ()) for stage in frozen), ()))
    moved = trained(network)
    assert kept
    assert not moved & kept
    assert all(torch.equal(network.state_dict()[each], before[each]) for each in kept)
    assert {each for each in network.state_dict() if each.endswith((".weight", "running_mean"))} - kept <= moved
    assert any("running_mean" in each for each in kept) == (name not in ("test_nfnet", "test_convnext"))


@pytest.mark.parametrize("name", TRAINED)
def test_with_all_stages_frozen_only_the_head_learns(name):
    network = backbone(name)
    freeze_stages(network, list(_stages(network)))
    assert not any(each.requires_grad for each in network.parameters())
    assert trained(network) == set()


def test_a_frozen_stage_computes_what_it_did():
    network, images = backbone("test_resnet"), torch.rand(4, 1, 32, 32)
    trained(network, steps=1, size=32)
    before = network.eval()(images)
    freeze_stages(network, ["stem", "stage1", "stage2", "stage3", "stage4"])
    assert torch.allclose(network.train()(images), before, atol=1e-5)


def test_weights_of_a_frozen_network_are_those_of_a_whole_one(tmp_path):
    network, images = backbone("test_resnet"), torch.rand(4, 1, 32, 32)
    freeze_stages(network, ["stem", "stage2"])
    trained(network, size=32)
    save_backbone(network, tmp_path, TrainedOn())
    again = backbone("test_resnet")
    load_backbone(again, tmp_path)
    assert torch.allclose(again.eval()(images), network.eval()(images), atol=1e-5)


def test_the_maps_of_strides_and_a_neck_learn_behind_a_frozen_stem():
    network = backbone("test_resnet", strides=(8, 16), neck=4)
    freeze_stages(network, ["stem", "stage1"])
    kept = of(network, ("conv1.", "bn1.", "layer1."))
    moved = trained(network)
    assert not moved & kept
    assert {each for each in network.state_dict() if each.startswith("neck.")} & moved


def test_the_copies_of_other_methods_keep_learning_statistics():
    """What has no gradient is not yet frozen: a momentum copy gathers statistics of its own."""
    network = backbone("test_resnet")
    network.requires_grad_(False)
    freeze_stages(network, [])
    assert any("running_mean" in each for each in trained(network, size=32))


@pytest.mark.parametrize("strides", [(), (8, 16)])
def test_an_unknown_stage_is_refused_with_those_there_are(strides):
    network = backbone("test_resnet", strides=strides)
    there = "stem, stage1, stage2, stage3" + ("" if strides else ", stage4")
    with pytest.raises(UserError) as refused:
        freeze_stages(network, ["stem", "layer1"])
    assert str(refused.value) == f"freeze: 'test_resnet' has no layer1, only {there}"


def test_a_network_whose_layers_timm_does_not_know_is_refused():
    network = backbone("test_resnet")
    network.network = nn.Sequential(nn.Conv2d(1, 1, 1))
    for run, key in (
        (lambda: freeze_stages(network, ["stem"]), "freeze"),
        (lambda: layer_scales(network, 0.5), "layer_decay"),
    ):
        with pytest.raises(UserError, match=f"^{key}: timm does not say what the layers of 'test_resnet' are"):
            run()


# Rates by depth ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["resnet18", "densenet121", "test_efficientnet", "test_nfnet", "test_convnext", "test_vit"]
)
def test_rates_are_timms_of_the_same_network_with_its_classifier(name):
    network, decay = backbone(name), 0.6
    whole = timm.create_model(name, in_chans=1, num_classes=2)
    names = {id(each): each_name for each_name, each in whole.named_parameters()}
    groups = param_groups_layer_decay(whole, layer_decay=decay)
    expected = {names[id(each)]: group["lr_scale"] for group in groups for each in group["params"]}
    named = {id(each): each_name for each_name, each in network.network.named_parameters()}
    found = {named[id(each)]: scale for each, scale in layer_scales(network, decay).items()}
    assert found == pytest.approx({each: expected[each] for each in found})
    assert len(found) == len(named)
    assert {expected[each] for each in expected.keys() - found.keys()} == {1.0}  # the classifier


def test_rates_fall_towards_the_input():
    network = backbone("test_resnet", strides=(8, 16), neck=4)
    scales = layer_scales(network, 0.5)
    depth = [
        scales[network.network.get_parameter(f"{name}.conv1.weight")] for name in ("layer1.0", "layer2.0", "layer3.0")
    ]
    assert 0 < depth[0] < depth[1] < depth[2] < 1
    assert not any(each in scales for each in network.neck.parameters())


def test_a_decay_of_one_scales_nothing():
    assert layer_scales(backbone("test_resnet"), 1.0) == {}
