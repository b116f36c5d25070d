"""An exported model, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_pcb.deploy.facts import KEY, ModelFacts, read_facts
from ssl_pcb.deploy.predictor import Outputs, Predictor
from ssl_pcb.errors import UserError

INPUT, SCORE, DISTANCE = "pixels", "score", "distance"
"""Names of the input (B, C, S, S) uint8 and the outputs (B,) float32; the second one is optional."""


def open_onnx(file: Path, threads: int | None = None) -> Predictor:
    """The classifier in an exported model.

    Args:
        file: Written by ``ssl-pcb export``.
        threads: That compute; ``None`` = as onnxruntime finds best.

    Raises:
        UserError: If it is no such file.
    """
    network, text = open_network(file, threads)
    facts = read_facts(text, str(file))
    network.refuse_other_shapes(file, facts)
    return Predictor(facts, network)


def open_network(file: Path, threads: int | None = None) -> tuple[OnnxNetwork, str]:
    """The network alone, and the text of its facts.

    Raises:
        UserError: If it is no ONNX file.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such model; make one with 'ssl-pcb export RUN -o model.onnx'")
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise UserError(
            "the package onnxruntime is not installed, which runs .onnx models: in the project's folder, "
            "python -m pip install -e '.[predict]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a damaged file raises several kinds, none of which onnxruntime exports
        raise UserError(f"{file}: not an ONNX model that can be run ({_first_line(error)})") from None
    return OnnxNetwork(session), session.get_modelmeta().custom_metadata_map.get(KEY, "")


class OnnxNetwork:
    """Runs a session, which threads may share."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.outputs = [each.name for each in session.get_outputs()]

    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Scores and distances of samples (B, C, S, S) uint8."""
        try:
            found = dict(zip(self.outputs, self.session.run(None, {INPUT: pixels}), strict=True))
        except Exception as error:
            raise UserError(f"the model cannot be run ({_first_line(error)}); export it anew") from None
        distances = found.get(DISTANCE)
        return Outputs(found[SCORE].astype(np.float64), None if distances is None else distances.astype(np.float64))

    def refuse_other_shapes(self, file: Path, facts: ModelFacts) -> None:
        """Refuse a graph that does not take and give what ``facts`` say.

        Raises:
            UserError: If so.
        """
        taken = [(each.name, each.type, each.shape[1:]) for each in self.session.get_inputs()]
        wanted = [(INPUT, "tensor(uint8)", [facts.inputs, facts.image_size, facts.image_size])]
        asked = {SCORE, DISTANCE} if facts.operating.unfamiliar_from is not None else {SCORE}
        if taken != wanted or not asked <= set(self.outputs):
            raise UserError(f"{file}: its network is not the one that its facts describe; export the run anew")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
