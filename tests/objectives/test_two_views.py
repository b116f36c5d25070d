"""The losses between two views, each as its paper writes it, on the projections that the network makes."""

import numpy as np
import pytest
import torch

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.augment import ViewConfig
from ssl_pcb.config.method import BarlowTwinsConfig, BYOLConfig, DCLConfig, SimSiamConfig, VICRegConfig
from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.data.loaders import Batch
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.objectives.two_views import spread, two_views

B, SIZE = 6, 32


def naive_dcl(first, second, config):
    """Equation 6 of arXiv 2110.06848 with weights of one, over all 2B anchors."""
    views = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (first, second)]
    total = 0.0
    for k in (0, 1):
        for i in range(B):
            anchor, others = views[k][i], [views[v][j] for v in (0, 1) for j in range(B) if j != i]
            negatives = sum(np.exp(anchor @ other / config.temperature) for other in others)
            total += -(anchor @ views[1 - k][i]) / config.temperature + np.log(negatives)
    return total / (2 * B)


def naive_barlow_twins(first, second, config):
    """Equations 1 and 2 of arXiv 2103.03230; 1e-5 beside the variance is that of the authors' batch norm."""
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (first, second))
    total = 0.0
    for i in range(a.shape[1]):
        for j in range(a.shape[1]):
            c = np.mean(a[:, i] * b[:, j])
            total += (1 - c) ** 2 if i == j else config.redundancy * c**2
    return total


def naive_vicreg(first, second, config):
    """Equations 1 to 6 of arXiv 2105.04906, the variance term halved and the distance a mean, as its code does."""
    dim = first.shape[1]
    invariance = np.mean((first - second) ** 2)
    variance = covariance = 0.0
    for z in (first, second):
        variance += np.maximum(0, 1 - np.sqrt(z.var(0, ddof=1) + 1e-4)).mean() / 2
        c = np.cov(z, rowvar=False)
        covariance += sum(c[i, j] ** 2 for i in range(dim) for j in range(dim) if i != j) / dim
    return config.invariance * invariance + config.variance * variance + config.covariance * covariance


NAIVE = [
    (DCLConfig(hidden_dim=16, output_dim=8), naive_dcl),
    (DCLConfig(hidden_dim=16, output_dim=8, temperature=0.5, head_batch_norm=False), naive_dcl),
    (BarlowTwinsConfig(hidden_dim=16, output_dim=8), naive_barlow_twins),
    (BarlowTwinsConfig(hidden_dim=16, output_dim=8, redundancy=0.5), naive_barlow_twins),
    (VICRegConfig(hidden_dim=16, output_dim=8), naive_vicreg),
    (VICRegConfig(hidden_dim=16, output_dim=8, invariance=2, variance=3, covariance=5), naive_vicreg),
]


def make(config):
    torch.manual_seed(0)
    return build_objective(config, Backbone(BackboneConfig(name="test_resnet"), 1), ViewMaker(ViewConfig(), SIZE))


@pytest.fixture
def batch():
    pixels = torch.randint(0, 256, (B, 1, SIZE + 8, SIZE + 8), generator=torch.Generator().manual_seed(1))
    return Batch(pixels.to(torch.uint8), torch.full((B,), -1))


def generator():
    return torch.Generator().manual_seed(2)


@pytest.mark.parametrize(("config", "naive"), NAIVE, ids=lambda value: getattr(value, "name", ""))
def test_the_loss_equals_the_naive_version(config, naive, batch):
    objective = make(config)
    loss = objective(batch, generator()).loss
    with torch.no_grad():
        projections = objective.project(two_views(objective.views, batch, generator())).double().numpy()
    expected = naive(*np.split(projections, 2), config)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def naive_prediction(predictions, targets):
    """The symmetric loss of arXiv 2011.10566: rows i and B + i are views of one sample."""
    p, z = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (predictions, targets))
    return -sum(p[i] @ z[B + i] + p[B + i] @ z[i] for i in range(B)) / (2 * B)


def outputs(objective, images, *parts):
    with torch.no_grad():
        for part in parts:
            images = part(images)
    return images.double().numpy()


@pytest.mark.parametrize("config", [SimSiamConfig(), BYOLConfig()], ids=lambda config: config.name)
def test_each_view_predicts_the_other(config, batch):
    objective = make(config)
    output = objective(batch, generator())
    images = two_views(objective.views, batch, generator())
    predictions = outputs(objective, images, objective.backbone, objective.head, objective.predictor)
    teacher = [objective.target] if config.name == "byol" else [objective.backbone, objective.head]
    targets = outputs(objective, images, *teacher)
    assert output.loss.item() == pytest.approx(naive_prediction(predictions, targets), rel=1e-4)
    unit = targets / np.linalg.norm(targets, axis=1, keepdims=True)
    assert output.logs["spread"].item() == pytest.approx(
        unit.std(0, ddof=1).mean() * np.sqrt(targets.shape[1]), rel=1e-4
    )


def test_simsiams_targets_are_constants(batch):
    """Only then does the gradient of the projection head equal that of a loss against stored targets."""
    objective = make(SimSiamConfig(hidden_dim=16, output_dim=8, prediction_dim=4))
    objective(batch, generator()).loss.backward()
    found = objective.head.layers[0].weight.grad.clone()
    objective.zero_grad()
    projections = objective.head(objective.backbone(two_views(objective.views, batch, generator())))
    stored = torch.cat(projections.detach().chunk(2)[::-1])
    (-torch.cosine_similarity(objective.predictor(projections), stored).mean()).backward()
    torch.testing.assert_close(found, objective.head.layers[0].weight.grad, rtol=1e-4, atol=1e-6)


def test_spread_tells_health_from_collapse():
    everywhere = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    assert spread(everywhere).item() == pytest.approx(1, abs=0.05)
    assert spread(torch.ones(500, 64) + 1e-6 * everywhere).item() == pytest.approx(0, abs=1e-4)
