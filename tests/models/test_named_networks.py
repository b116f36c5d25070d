"""The networks that the requirements name: each builds, trains a step and gives features of its width."""

import pytest
import torch
from torch import nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone

WIDTHS = {
    "densenet121": 1024,
    "densenet201": 1920,
    "efficientnet_b3": 1536,
    "resnext50_32x4d": 2048,
    "resnext101_32x8d": 2048,
    "nf_resnet50": 2048,
    "nfnet_l0": 2304,
    "eca_nfnet_l0": 2304,
}
FAST = {"densenet121", "efficientnet_b3", "resnext50_32x4d"}
NORMALISER_FREE = ["nf_resnet50", "nfnet_l0", "eca_nfnet_l0"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in WIDTHS]
)
def test_a_named_network_trains_a_step(name, channels):
    torch.manual_seed(0)
    network = nn.Sequential(Backbone(BackboneConfig(name=name), channels), nn.Linear(WIDTHS[name], 2))
    assert network[0].dim == WIDTHS[name]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    images, labels = torch.rand(4, channels, 64, 64), torch.tensor([0, 1, 0, 1])
    before = network[0].network.get_parameter(next(name for name, _ in network[0].network.named_parameters())).clone()
    loss = nn.functional.cross_entropy(network(images), labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(value.grad).all() for value in network.parameters())
    optimizer.step()
    assert not torch.equal(next(network[0].network.parameters()), before)
    assert network.eval()(images).isfinite().all()


@pytest.mark.parametrize("name", NORMALISER_FREE)
def test_a_normaliser_free_network_has_no_norm_and_none_to_replace(name):
    network = Backbone(BackboneConfig(name=name), 1)
    assert not [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._NormBase | nn.GroupNorm)]
    for norm in ("group", "frozen"):
        with pytest.raises(UserError, match=rf"^backbone.norm: '{name}' has no batch norm.*set backbone.norm=own$"):
            Backbone(BackboneConfig(name=name, norm=norm), 1)


@pytest.mark.parametrize("name", ["test_nfnet", *(pytest.param(n, marks=pytest.mark.slow) for n in NORMALISER_FREE)])
def test_samples_of_a_normaliser_free_network_do_not_meet(name):
    torch.manual_seed(0)
    network = Backbone(BackboneConfig(name=name), 1).train()
    images = torch.rand(3, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[:1], network(images[:1]), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(network(images), network.eval()(images), rtol=1e-3, atol=1e-4)
