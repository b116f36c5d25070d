"""Fixtures that every test folder shares."""

import logging
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# A shell that starts a job in the background makes it ignore SIGINT, and all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real board images beside the checkout; skips, saying so, where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real board images (../shared/data) are not here")
    return folder


@dataclass(frozen=True)
class Ended:
    """What a command left: exit code and both streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def ssl_pcb_cli(monkeypatch, capsys):
    """Runs the command line in this process: ``ssl_pcb_cli("finetune", "--out", folder)``."""
    from ssl_pcb.cli import main

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ssl-pcb", *map(str, arguments)])
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:  # the next command finds the logging of a fresh process
            root.handlers[:] = handlers
            root.setLevel(level)
            logging.captureWarnings(False)
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def synthetic_boards(tmp_path_factory) -> Path:
    """Manifest of 6 small colour boards of 12 images, split by board; not to be changed."""
    from ssl_pcb.data.synthetic.generate import synthesize

    folder = tmp_path_factory.mktemp("boards") / "set"
    return synthesize(folder, boards=6, images_per_board=12, image_size=32, style="colour", defect_rate=0.5)


@pytest.fixture
def disk(tmp_path):
    """Mounts a small disk of its own: ``disk("64k")``."""
    mounted = []

    def mount(size):
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)  # at once, whatever a failed test holds open
