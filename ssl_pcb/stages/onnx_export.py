"""Writing a network as ONNX, with all that turns images into its input and its scores into verdicts."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ssl_pcb.deploy.facts import KEY, ModelFacts
from ssl_pcb.deploy.onnx_network import DISTANCE, INPUT, SCORE
from ssl_pcb.errors import UserError
from ssl_pcb.stages.deployable import Deployable

MOST_BANK = 256 * 2**20
"""Bytes of training features that may travel in a model, so that it tells what is unfamiliar."""

SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter notes which module a node comes from."""


def write_onnx(module: Deployable, facts: ModelFacts, file: Path) -> None:
    """Write ``module`` and ``facts`` to ``file``, for batches of any length.

    Raises:
        UserError: If torch cannot export the network, or it compares with too many training images.
    """
    if module.bank is not None and module.bank.nbytes > MOST_BANK:
        raise UserError(
            f"the features of {len(module.bank):,} training images, which tell what is unfamiliar, take "
            f"{module.bank.nbytes / 2**20:,.0f} MiB, too much for a model file; evaluate the run without --unfamiliar"
        )
    shown = torch.zeros(2, facts.inputs, facts.image_size, facts.image_size, dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, (shown,), dynamo=True, verbose=False, input_names=[INPUT],
                output_names=[SCORE] if module.bank is None else [SCORE, DISTANCE],
                dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{facts.network}: torch cannot write this network as ONNX ({reason}); use the run") from None
    assert program is not None
    program.model.metadata_props[KEY] = facts.model_dump_json()
    program.save(file, external_data=False)


def quantise(file: Path, facts: ModelFacts, calibration: Iterator[NDArray[np.uint8]], out: Path) -> ModelFacts:
    """Write the network in ``file`` to ``out`` with weights and activations of 8 bits, by onnxruntime.

    Head and distances stay as they are: they cost next to nothing, and thresholds are about their decimals.

    Args:
        file: From :func:`write_onnx`.
        facts: Of it.
        calibration: Batches (B, C, S, S) of training samples, whose ranges of activations are taken.
        out: New file.

    Returns:
        The facts of the new model.
    """
    nodes = [node.name for node in onnx.load(file).graph.node if _in_backbone(node)]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "int8.onnx"
        quantize_static(
            file, made, _Batches(calibration), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=nodes,
        )  # fmt: skip
        model = onnx.load(made)
    facts = facts.model_copy(update={"model": f"{facts.model}-int8"})
    onnx.helper.set_model_props(model, {KEY: facts.model_dump_json()})
    onnx.save(model, out)
    return facts


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Hands batches to onnxruntime's calibration."""

    def __init__(self, batches: Iterator[NDArray[np.uint8]]) -> None:
        self.batches = batches

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch by the name of its input; ``None`` at the end."""
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def _in_backbone(node: Any) -> bool:
    return any(each.key == SCOPES and "'backbone'" in each.value for each in node.metadata_props)
