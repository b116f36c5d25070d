"""An exported model whose scores are known: how bright a sample is. It takes no torch and no training."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ssl_pcb.deploy.facts import KEY, ModelFacts

SIZE = 16


def facts(**changes):
    """Facts of a grey model on whole images; scores from 0 are NG, from -20 REVIEW."""
    calibration = {"method": "platt", "rate": 0.5, "parameters": {"slope": 0.1, "offset": 0.0}}
    operating = {
        "low": -20.0, "high": 0.0, "unfamiliar_from": None, "defect_rate": 0.01, "calibration": calibration,
        "chosen": "a test",
    }  # fmt: skip
    given = {
        "model": "0123456789ab", "network": "brightness", "unit": "image", "tile": None, "image_size": SIZE,
        "margin": 0, "channels": 1, "bit_depth": 8, "references": False, "max_pixels": 1_000_000,
        "operating": operating | changes.pop("operating", {}),
    }  # fmt: skip
    return ModelFacts(**(given | changes))


def write_brightness(file, text, channels=1, size=SIZE):
    """A model that scores a sample by its mean grey, less 100, and carries ``text``."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["grey", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "hundred"], ["score"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
        numpy_helper.from_array(np.float32(100), "hundred"),
    ]
    graph = helper.make_graph(
        nodes, "brightness",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", channels, size, size])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if text is not None:
        helper.set_model_props(model, {KEY: text})
    onnx.save(model, file)
    return file


@pytest.fixture
def brightness(tmp_path):
    """Writes such a model: ``brightness(tile=32)`` gives its file."""

    def make(name="model.onnx", **changes):
        found = facts(**changes)
        return write_brightness(tmp_path / name, found.model_dump_json(), found.inputs)

    return make
