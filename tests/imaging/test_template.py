"""The plain template difference without torch equals that of training."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ssl_pcb.augment.difference import difference
from ssl_pcb.imaging.template import SEEN, template_difference


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_measure_of_linear_eval(channels):
    rng = np.random.default_rng(channels)
    for _ in range(5):
        image, golden = rng.integers(0, 256, (2, 24, 24, channels), dtype=np.uint8)
        golden = np.where(rng.random((24, 24, 1)) < 0.9, image, golden)
        pair = [torch.from_numpy(each).permute(2, 0, 1)[None] / 255 for each in (image, golden)]
        expected = F.avg_pool2d(difference(*pair), SEEN, 1).max()
        assert template_difference(image, golden) == pytest.approx(float(expected), abs=1e-6)


def test_an_edge_that_lies_a_pixel_off_costs_nothing():
    image = np.zeros((24, 24, 1), np.uint8)
    image[:, 12:] = 255
    shifted = np.zeros_like(image)
    shifted[:, 13:] = 255
    assert template_difference(image, shifted) == 0
