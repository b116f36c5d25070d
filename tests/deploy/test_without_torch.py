"""An exported model judges where there is no torch."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PYTHON = """
import sys
import ssl_pcb
assert "numpy" not in sys.modules, "the package itself must load at once"
found = ssl_pcb.load_classifier("model.onnx")(["a.png"])
assert found[0].verdict == "NG", found
import ssl_pcb.cli.serve, ssl_pcb.stages.serve
left_out = {"torch", "scipy", "sklearn", "timm", "lightly", "lightning_fabric", "faiss", "onnx"} & set(sys.modules)
assert not left_out, left_out
"""


@pytest.fixture
def place(brightness, tmp_path):
    brightness()
    Image.fromarray(np.full((16, 16), 120, np.uint8)).save(tmp_path / "a.png")
    return tmp_path


def test_nothing_of_training_is_imported(place):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PYTHON], cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_base_install_and_the_extras_of_a_line_are_enough(place, tmp_path):
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    folder = "Scripts" if sys.platform == "win32" else "bin"
    install = [
        environment / folder / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt",
        f"{ROOT}[predict,serve]",
    ]  # fmt: skip
    subprocess.run(install, check=True)
    listed = subprocess.run(
        [environment / folder / "python", "-m", "pip", "list"], check=True, capture_output=True, text=True
    ).stdout
    assert "torch" not in listed
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [environment / folder / "ssl-pcb", "predict", "model.onnx", "a.png"]
    done = subprocess.run(command, cwd=place, env=ours, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert ",NG,20.0," in done.stdout.splitlines()[1].replace("a.png,,", ",")
    with subprocess.Popen(
        [command[0], "serve", "model.onnx", "--port", "0"], cwd=place, env=ours | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, text=True,
    ) as service:  # fmt: skip
        address = re.search(r"http://\S+", service.stdout.readline())[0]
        content = (place / "a.png").read_bytes()
        asked = Request(f"{address}/predict", content, {"content-type": "image/png"})
        with urlopen(asked) as answer:
            assert json.load(answer)["rows"][0]["verdict"] == "NG"
        service.terminate()
        assert service.wait(30) == 0
