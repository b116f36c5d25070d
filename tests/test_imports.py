"""Rooms import only from rooms to their left, and what prediction and the command line need has no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ssl_pcb

PACKAGE = Path(ssl_pcb.__file__).parent
ORDER = (
    "errors < config < imaging, decision < data, augment < losses < models < objectives < training < evaluation"
    " < audit, reports < stages < cli"
)
RANK = {room: rank for rank, rooms in enumerate(ORDER.split(" < ")) for room in rooms.split(", ")}
FILES = sorted(file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE)
FILES += [Path("errors.py")]


def imported(tree: ast.AST) -> set[str]:
    """Rooms that a module imports anywhere, in functions too."""
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("ssl_pcb.")} & set(RANK)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_rooms_import_only_from_their_left(file):
    room = file.parts[0].removesuffix(".py")
    found = imported(ast.parse((PACKAGE / file).read_text(encoding="utf-8")))
    wrong = {other for other in found - {room} if RANK[other] >= RANK[room]}
    assert not wrong, f"{room} may not import from {', '.join(sorted(wrong))}"


def test_the_check_sees_imports_inside_functions():
    source = "def f():\n    from ssl_pcb.stages.start import start_stage\n    import ssl_pcb.cli.data\n"
    assert imported(ast.parse(source)) == {"stages", "cli"}


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "lightly", "lightning_fabric", "timm", "faiss",
                                      "sklearn", "scipy", "safetensors", "cleanlab"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""
IMPORTS = """
import importlib, pkgutil
for room in ("imaging", "decision", "config", "cli"):
    package = importlib.import_module(f"ssl_pcb.{room}")
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
import ssl_pcb.data.manifest
"""
COMMANDS = """
from ssl_pcb.cli import main
for arguments in (["--help"], ["finetune", "--help"], ["config", "show", "finetune"]):
    sys.argv = ["ssl-pcb", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, arguments
"""


def without_torch(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, cwd=PACKAGE.parent)


def test_prediction_and_command_line_work_without_torch():
    done = without_torch(IMPORTS + COMMANDS)
    assert done.returncode == 0, done.stderr
    assert "loss.class_weights" in done.stdout
    assert "--sampler" in done.stdout


def test_a_training_command_without_torch_says_what_to_install():
    done = without_torch("from ssl_pcb.cli import main\nsys.argv = ['ssl-pcb', 'finetune']\nmain()\n")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "the 'train' extra" in done.stderr
