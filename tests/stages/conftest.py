"""Working folders of tests that run whole stages."""

import pytest

from ssl_pcb.data.manifest import Manifest


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv`` and its own cache."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest.read(synthetic_boards).write("m.csv")
        yield folder


@pytest.fixture(scope="module")
def paired(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv``, whose column ``reference`` names each image's clean twin."""
    folder = tmp_path_factory.mktemp("paired")
    manifest = Manifest.read(synthetic_boards)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest(manifest.frame.assign(reference=manifest.frame["twin"]), manifest.root).write("m.csv")
        yield folder
