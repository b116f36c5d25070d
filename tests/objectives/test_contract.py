"""What training, resuming and checkpoints ask of every method. The union of configs is walked."""

import copy
from typing import get_args

import pytest
import torch

import ssl_pcb.config.method as methods
from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.optim import AdamWConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.objectives.output import StepOutput
from ssl_pcb.training.optim import build_optimizer

B, SIZE = 6, 32
VARIANTS = get_args(get_args(methods.MethodConfig)[0])
SMALL = {"hidden_dim": 16, "output_dim": 8, "prediction_dim": 4, "queue": 4, "dim": 8, "decoder_width": 8}


def make(variant, seed=0, **keys):
    torch.manual_seed(seed)
    finds = variant is methods.DefectPretextConfig  # without NT-Xent it has no heads to be small
    keys = {key: value for key, value in SMALL.items() if key in variant.model_fields and not finds} | keys
    mapped = {"strides": (8, 16), "neck": 10, "pool": "max"} if finds else {}
    backbone = Backbone(BackboneConfig(name="test_resnet", **mapped), 1)
    return build_objective(variant(**keys), backbone, ViewMaker(ViewConfig(), SIZE)), backbone


def some_batch(seed=1):
    pixels = torch.randint(0, 256, (B, 1, SIZE + 8, SIZE + 8), generator=torch.Generator().manual_seed(seed))
    return Batch(pixels.to(torch.uint8), torch.full((B,), -1))


def step(objective, optimizer, seed=0):
    output = objective(some_batch(seed), torch.Generator().manual_seed(seed))
    output.loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return output.loss.item()


def test_every_config_is_in_the_union_under_a_name_of_its_own():
    written = {value for name, value in vars(methods).items() if name.endswith("Config") and "name" in getattr(
        value, "model_fields", {}) and value.__module__ == methods.__name__}  # fmt: skip
    assert written == set(VARIANTS)
    assert len({variant().name for variant in VARIANTS}) == len(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant().name)
class TestMethod:
    def test_it_trains_the_backbone_that_it_was_given(self, variant):
        objective, backbone = make(variant)
        assert objective.backbone is backbone

    @pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
    def test_a_finite_loss_in_float32_with_gradients_for_all_that_is_trained(self, variant, bf16):
        objective, _ = make(variant)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = objective(some_batch(), torch.Generator().manual_seed(0))
        assert isinstance(output, StepOutput)
        assert output.loss.shape == ()
        assert output.loss.dtype == torch.float32
        assert torch.isfinite(output.loss)
        assert all(value.shape == () and not value.requires_grad for value in output.logs.values())
        output.loss.backward()
        for name, parameter in objective.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
        assert any(parameter.grad.any() for parameter in objective.backbone.parameters())

    def test_the_loss_falls_on_one_batch(self, variant):
        objective, _ = make(variant)
        optimizer = build_optimizer(AdamWConfig(lr=3e-3), objective, B)
        losses = [step(objective, optimizer) for _ in range(21)]
        # The first step is not counted: a queue of random negatives is easier than one of real ones.
        assert sum(losses[-3:]) < sum(losses[1:4])

    def test_the_optimizer_has_what_is_trained_and_nothing_else(self, variant):
        objective, _ = make(variant)
        optimizer = build_optimizer(AdamWConfig(), objective, B)
        held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
        assert sorted(held) == sorted(id(p) for p in objective.parameters() if p.requires_grad)

    def test_taken_up_from_its_state_it_goes_on_with_the_same_bits(self, variant):
        objective, _ = make(variant)
        optimizer = build_optimizer(AdamWConfig(), objective, B)
        for seed in range(3):
            step(objective, optimizer, seed)
        resumed, _ = make(variant, seed=5)
        again = build_optimizer(AdamWConfig(), resumed, B)
        resumed.load_state_dict(copy.deepcopy(objective.state_dict()))
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for seed in range(3, 6):
            torch.manual_seed(seed)
            expected = step(objective, optimizer, seed)
            torch.manual_seed(seed)
            assert step(resumed, again, seed) == expected

    def test_evaluation_changes_nothing(self, variant):
        objective, _ = make(variant)
        before = {name: value.clone() for name, value in objective.state_dict().items()}
        with torch.no_grad():
            objective.eval()(some_batch(), torch.Generator().manual_seed(0))
        assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
