"""What an exported model says of itself is untrusted text."""

import json

import numpy as np
import pytest

from ssl_pcb import load_classifier
from ssl_pcb.deploy.facts import MOST_TEXT, read_facts
from ssl_pcb.errors import UserError
from tests.deploy.conftest import facts, write_brightness


def changed(**values):
    """The facts as JSON with some values replaced; dotted keys reach inside."""
    found = json.loads(facts().model_dump_json())
    for key, value in values.items():
        *path, last = key.split("__")
        part = found
        for name in path:
            part = part[name]
        part[last] = value
    return json.dumps(found)


ISOTONIC = {"method": "isotonic", "rate": 0.5}
BAD = {
    "nothing": "",
    "no JSON": "\x80abc",
    "a list": "[]",
    "too long": " " * (MOST_TEXT + 1),
    "an unknown key": changed(other=1),
    "another version": changed(version=2),
    "NaN": changed(operating__low=float("nan")),
    "descending thresholds": changed(operating__low=1.0),
    "a rate of 1": changed(operating__defect_rate=1.0),
    "no method": changed(operating__calibration__method="pickle"),
    "text for a number": changed(operating__calibration__parameters={"slope": "os.system", "offset": 0}),
    "a parameter too many": changed(operating__calibration__parameters={"slope": 1, "offset": 0, "other": 0}),
    "an infinite parameter": changed(operating__calibration__parameters={"slope": 1e999, "offset": 0}),
    "a falling curve": changed(operating__calibration=ISOTONIC | {"parameters": {"scores": [0, 1], "values": [1, 0]}}),
    "an uneven curve": changed(operating__calibration=ISOTONIC | {"parameters": {"scores": [0, 1], "values": [1]}}),
    "a huge size": changed(image_size=10**9),
    "a name with a line break": changed(model="0123456789ab\nrm"),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_facts_are_refused_in_one_line(text):
    with pytest.raises(UserError, match=r"^model\.onnx: carries no usable facts") as refused:
        read_facts(text, "model.onnx")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_facts_survive_their_text():
    assert read_facts(facts().model_dump_json(), "x") == facts()


def test_an_export_of_an_earlier_version_is_read():
    found = json.loads(facts(least_side=128).model_dump_json())
    del found["least_side"]
    assert read_facts(json.dumps(found), "x") == facts(least_side=None)


@pytest.mark.parametrize(
    ("method", "parameters"),
    [("temperature", {"temperature": 2.0}), ("none", {}), ("isotonic", {"scores": [-1.0, 1.0], "values": [0.2, 0.8]})],
)
def test_every_calibration_travels(method, parameters):
    calibration = {"method": method, "rate": 0.5, "parameters": parameters}
    found = read_facts(facts(operating={"calibration": calibration}).model_dump_json(), "x")
    values = found.operating.calibration.calibration.probabilities(np.array([-1.0, 0.0, 1.0])).values
    assert values[1] == pytest.approx(0.5)
    assert (np.diff(values) > 0).all()


def test_thresholds_are_named_by_what_they_are_and_not_by_why():
    assert facts().operating.name == facts(operating={"chosen": "another reason"}).operating.name
    assert facts().operating.name != facts(operating={"low": -19.0}).operating.name
    assert facts().operating.name == facts(operating={"rate_given": True}).operating.name
    assert facts().operating.name != facts(operating={"defect_rate": 0.02}).operating.name


def test_the_share_of_validation_is_not_said_to_be_the_lines():
    """An earlier export does not say who gave the rate; at the calibration's own nobody did."""
    own = {"defect_rate": 0.5}
    for known, said in (
        ({"rate_given": True} | own, "the line's 50 % Defective"), ({}, "the line's 1 % Defective"),
        ({"rate_given": False}, "the validation set's 1 % Defective, not the line's"),
        (own, "the validation set's 50 % Defective, not the line's"),
    ):  # fmt: skip
        assert facts(operating=known).operating.at_rate.startswith(said)


def test_files_that_are_no_such_model_are_refused(tmp_path):
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "noise.onnx").write_bytes(bytes(range(256)))
    write_brightness(tmp_path / "foreign.onnx", None)
    write_brightness(tmp_path / "other.onnx", facts(image_size=8).model_dump_json())
    write_brightness(tmp_path / "blind.onnx", facts(operating={"unfamiliar_from": 0.5}).model_dump_json())
    for name, reason in {
        "absent": "no such model", "empty": "not an ONNX model", "noise": "not an ONNX model",
        "foreign": "carries no usable facts", "other": "not the one that its facts describe",
        "blind": "not the one that its facts describe",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=reason) as refused:
            load_classifier(tmp_path / f"{name}.onnx")
        assert "\n" not in str(refused.value)
