"""Autoencoding learns to rebuild, and only the target's real pixels count."""

import pytest
import torch

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import GeometryConfig, PhotometryConfig, ViewConfig
from ssl_pcb.config.method import AutoencoderConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.autoencoder import Autoencoding
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.training.runtime import make_generator

STILL = ViewConfig(
    geometry=GeometryConfig(symmetries=False, rotation=0, translation=0, shrink=0),
    photometry=PhotometryConfig(brightness=0, contrast=0, gamma=0, blur=0, noise=0),
)


def objective(size=32, view=STILL, **keys):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(name="test_resnet"), 1)
    config = AutoencoderConfig(**{"decoder_width": 16, "dim": 16, **keys})
    return build_objective(config, backbone, ViewMaker(view, size))


def generator(seed=0):
    return make_generator(torch.device("cpu"), seed)


def boards(count=8, size=32):
    """Bars of random places and widths."""
    drawn = torch.Generator().manual_seed(1)
    pixels = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    for image in pixels:
        at, width = torch.randint(2, size - 12, (1,), generator=drawn), torch.randint(3, 10, (1,), generator=drawn)
        image[:, :, at : at + width] = 255
    return Batch(pixels, torch.full((count,), -1))


def test_it_learns_one_batch_far_better_than_the_mean_image():
    model, batch = objective(), boards()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(120):
        loss = model(batch, generator(step)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    images = batch.inputs / 255
    mean_image = (images - images.mean(0)).square().mean()
    assert loss < 0.2 * mean_image
    with torch.no_grad():
        rebuilt = model.eval().show(batch, generator()).rebuilt
    assert (rebuilt - images).square().mean() < 0.3 * mean_image


def test_loss_and_logs_are_those_of_what_is_shown():
    model, batch = objective(mse=1.0, l1=1.0).eval(), boards()
    output, shown = model(batch, generator()), model.show(batch, generator())
    mse, l1 = (shown.rebuilt - shown.targets).square().mean(), (shown.rebuilt - shown.targets).abs().mean()
    assert output.logs["mse"].item() == pytest.approx(mse.item())
    assert output.loss.item() == pytest.approx((mse + l1).item())
    assert not output.logs["mse"].requires_grad


def test_padding_does_not_reach_the_loss():
    """At 40 px the network works on 64: whatever it makes of the ring, the loss is that of the 40."""
    model, batch = objective(40), boards(size=40)
    ring = torch.full((1, 1, 64, 64), 1e3)
    ring[..., 12:52, 12:52] = 0
    model.network.decoder.append(type("Spoil", (torch.nn.Module,), {"forward": lambda self, x: x + ring})())
    assert model(batch, generator()).loss < 1


@pytest.mark.parametrize("corruption", ["noise", "mask", "defect"])
def test_the_input_is_spoilt_and_the_target_is_not(corruption):
    model, batch = objective(corruption=corruption).eval(), boards()
    shown = model.show(batch, generator())
    assert torch.equal(shown.targets, batch.inputs / 255)
    assert not torch.equal(shown.inputs, shown.targets)
    expected = model.network(shown.inputs)
    assert torch.allclose(shown.rebuilt, expected)


def test_the_view_comes_from_the_generator():
    model, batch = objective(view=ViewConfig()).eval(), boards()
    targets = [model.show(batch, generator(seed)).targets for seed in (1, 1, 2)]
    assert torch.equal(targets[0], targets[1])
    assert not torch.equal(targets[0], targets[2])


def test_every_parameter_gets_a_gradient():
    model = objective()
    model(boards(), generator()).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_under_bf16_targets_stay_float32_and_the_loss_too():
    model = objective(ssim=1.0, corruption="noise")
    with torch.autocast("cpu", torch.bfloat16):
        output, shown = model(boards(), generator()), model.show(boards(), generator())
    assert output.loss.dtype == shown.targets.dtype == shown.inputs.dtype == torch.float32
    assert torch.isfinite(output.loss)


def test_the_backbone_is_stored_once():
    model = objective()
    assert isinstance(model, Autoencoding)
    assert model.backbone is model.network.backbone
    assert {name.split(".")[0] for name in model.state_dict()} == {"network"}


def test_squares_too_large_to_hide_some_and_show_some_are_refused():
    backbone = Backbone(BackboneConfig(name="test_resnet"), 1)
    with pytest.raises(UserError, match=r"method\.mask_size: squares of 17 px .* at most 16"):
        Autoencoding(AutoencoderConfig(corruption="mask", mask_size=17), backbone, ViewMaker(ViewConfig(), 32))
