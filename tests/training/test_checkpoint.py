"""Checkpoints: what is saved comes back, and nothing else gets in, least of all code."""

import pickle
import random
import zipfile

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.training.checkpoint import (
    checkpoint_bytes,
    copy_of,
    load_backbone,
    load_state,
    save_backbone,
    save_head,
    save_state,
)
from ssl_pcb.training.lineage import TrainedOn

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")

TINY = "test_resnet"


def backbone(name=TINY, channels=1, seed=0):
    torch.manual_seed(seed)
    return Backbone(BackboneConfig(name=name), channels)


def refusal(path, **kind):
    network = backbone(**kind)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(UserError) as refused:
        load_backbone(network, path)
    line = str(refused.value)
    assert line.startswith(str(path))
    assert "\n" not in line
    return line, all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_round_trip(tmp_path):
    saved = backbone(seed=1)
    saved.train()
    saved(torch.rand(4, 1, 32, 32))  # so that batch norm's buffers are not the fresh ones
    save_backbone(saved, tmp_path, TrainedOn())
    assert [file.name for file in tmp_path.iterdir()] == ["backbone.safetensors"]
    for path in (tmp_path, tmp_path / "backbone.safetensors"):
        loaded = backbone(seed=2)
        load_backbone(loaded, path)
        table = loaded.state_dict()
        assert all(torch.equal(tensor, table[name]) for name, tensor in saved.state_dict().items())


def test_millions_of_images_fit_beside_the_weights(tmp_path):
    """A safetensors file's metadata ends at 100 MB."""
    hashes = np.zeros((3_000_000, 2), ">u8")
    hashes[:, 0] = np.arange(len(hashes))
    seen = TrainedOn(hashes.tobytes(), frozenset({"b1"}))
    save_backbone(backbone(seed=1), tmp_path, seen)
    assert TrainedOn.read(tmp_path / "backbone.safetensors") == seen
    loaded = backbone(seed=2)
    load_backbone(loaded, tmp_path)
    assert torch.equal(next(loaded.parameters()), next(backbone(seed=1).parameters()))


def test_channels_last_weights_round_trip(tmp_path):
    saved = backbone(seed=1).to(memory_format=torch.channels_last)
    save_backbone(saved, tmp_path, TrainedOn())
    loaded = backbone(seed=2)
    load_backbone(loaded, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), loaded.parameters(), strict=True))


@pytest.mark.parametrize("kind", [{"name": "test_vit", "channels": 1}, {"channels": 3}], ids=str)
def test_another_network_is_refused(tmp_path, kind):
    save_backbone(backbone(), tmp_path, TrainedOn())
    line, untouched = refusal(tmp_path, **kind)
    assert "holds a test_resnet with 1 channel(s)" in line
    assert "--backbone or --checkpoint" in line
    assert untouched


def timm_state(name, channels=1, classes=10):
    return timm.create_model(name, in_chans=channels, num_classes=classes).state_dict()


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_a_foreign_state_dict_with_its_classifier_loads(tmp_path, name, wrapper):
    state = timm_state(name)
    torch.save({wrapper: state} if wrapper else state, tmp_path / "w.pth")
    loaded = backbone(name)
    load_backbone(loaded, tmp_path / "w.pth")
    table = loaded.network.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in table.items())
    assert len(state) > len(table)


def test_a_foreign_safetensors_file_loads(tmp_path):
    state = timm_state(TINY)
    save_file(state, tmp_path / "w.safetensors")
    loaded = backbone()
    load_backbone(loaded, tmp_path / "w.safetensors")
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.network.state_dict().items())


@pytest.mark.parametrize("other", ["resnet34", "resnet50"])
def test_a_foreign_file_of_another_network_is_refused(tmp_path, other):
    """resnet34 has every tensor of resnet18, with equal shapes: only what is left over tells them apart."""
    torch.save(timm_state(other), tmp_path / "w.pth")
    line, _ = refusal(tmp_path / "w.pth", name="resnet18")
    assert "resnet18" in line


def test_a_partial_file_is_refused(tmp_path):
    state = timm_state(TINY)
    del state[next(key for key in state if key.endswith("weight"))]
    torch.save(state, tmp_path / "w.pth")
    assert "1 tensors missing" in refusal(tmp_path / "w.pth")[0]


# Room on the disk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("best", [False, True])
def test_the_room_asked_for_is_what_a_second_epoch_takes(best, averaged, tmp_path):
    """While the next state is written the last one is still there, and the backbone may be beside them."""
    network = nn.Sequential(nn.Linear(200, 300), nn.BatchNorm1d(300), nn.Linear(300, 200))
    network[0].requires_grad_(False)
    optimizer = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad])
    network(torch.rand(8, 200)).sum().backward()
    optimizer.step()
    kept = {"model": copy_of(network)} if best else {}
    average = {"average": copy_of(network)} if averaged else {}
    save_state(
        tmp_path, objective=network.state_dict(), optimizer=optimizer.state_dict(), epoch=1, kept=kept, **average
    )
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    taken = 2 * (tmp_path / "state.pt").stat().st_size + weights
    assert checkpoint_bytes(network, best=best, averaged=averaged) == pytest.approx(taken, rel=0.03)


# Files that are none ----------------------------------------------------------------------------------------


def test_a_missing_path_and_an_empty_folder(tmp_path):
    assert "holds no backbone.safetensors" in refusal(tmp_path)[0]
    assert "'none'" in refusal(tmp_path / "nowhere")[0]


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "w.txt"])
@pytest.mark.parametrize("content", [b"", b"just some text\nin two lines\n", b"\x80\x02.", b"PK\x03\x04broken"])
def test_a_file_that_is_no_checkpoint(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name)[1]


def test_any_bytes_are_refused_in_one_line(tmp_path):
    noise = random.Random(0)
    file = tmp_path / "w.pt"
    starts = [b"", b"\x80\x02", b"PK\x03\x04", b"(lp0\n", b"c", b"\x80\x04\x95"]
    network = backbone()
    for index in range(300):
        file.write_bytes(starts[index % len(starts)] + noise.randbytes(noise.randrange(1, 60)))
        with pytest.raises(UserError) as refused:
            load_backbone(network, file)
        assert str(refused.value).startswith(str(file))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_a_truncated_safetensors_file(tmp_path, share):
    save_backbone(backbone(), tmp_path, TrainedOn())
    file = tmp_path / "backbone.safetensors"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(UserError, match="not a safetensors file") as refused:
        load_backbone(backbone(), tmp_path)
    assert "\n" not in str(refused.value)


def test_a_truncated_state_dict(tmp_path):
    torch.save(timm_state(TINY), tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:5000])
    assert "not a weights file" in refusal(tmp_path / "w.pth")[0]


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def zipped_pickle(payload, file):
    torch.save({"weight": payload}, file)


def bare_pickle(payload, file):
    file.write_bytes(pickle.dumps({"weight": payload}))


@pytest.mark.parametrize("write", [zipped_pickle, bare_pickle])
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.safetensors"])
def test_code_in_a_file_never_runs(tmp_path, write, name):
    write(Payload(tmp_path / "ran"), tmp_path / name)
    assert refusal(tmp_path / name)[1]
    assert not (tmp_path / "ran").exists()
    raw = (tmp_path / name).read_bytes()  # the payload is real: an ordinary unpickling runs it
    if write is zipped_pickle:
        raw = zipfile.ZipFile(tmp_path / name).read("w/data.pkl")
    pickle.loads(raw)
    assert (tmp_path / "ran").exists()


def test_code_in_a_resumed_state_never_runs(tmp_path):
    bare_pickle(Payload(tmp_path / "ran"), tmp_path / "state.pt")
    with pytest.raises(UserError, match=r"state\.pt"):
        load_state(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_table_of_something_else(tmp_path):
    torch.save({"epoch": 3, "names": ["a"]}, tmp_path / "w.pt")
    assert "holds no table of weights" in refusal(tmp_path / "w.pt")[0]
    torch.save(torch.zeros(3), tmp_path / "t.pt")
    assert "holds no table of weights" in refusal(tmp_path / "t.pt")[0]


# State and head ---------------------------------------------------------------------------------------------


def test_state_round_trip(tmp_path):
    assert load_state(tmp_path) is None
    save_state(tmp_path, epoch=3, kept={"score": 0.5, "model": {"w": torch.arange(3)}})
    save_state(tmp_path, epoch=4, kept={"score": 0.5, "model": {"w": torch.arange(3)}})
    state = load_state(tmp_path)
    assert state["epoch"] == 4
    assert state["kept"]["model"]["w"].tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_a_failed_save_keeps_the_state_before(tmp_path):
    save_state(tmp_path, epoch=3)
    with pytest.raises(Exception, match="pickle"):
        save_state(tmp_path, epoch=4, bad=lambda: None)
    assert load_state(tmp_path) == {"epoch": 3}


BIG = {"w": torch.ones(1 << 19)}
WRITERS = {
    "state": lambda folder: save_state(folder, epoch=4, more=BIG),
    "state, the disk full at its end": lambda folder: save_state(folder, epoch=4, more={"w": torch.ones(252_000)}),
    "head": lambda folder: save_head(BIG, folder),
    "backbone": lambda folder: save_backbone(backbone("resnet18"), folder, TrainedOn()),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_named_and_keeps_what_was_there(disk, write):
    folder = disk("1m")
    save_state(folder, epoch=3, some={"w": torch.ones(10_000)})
    with pytest.raises(UserError) as refused:
        write(folder)
    line = str(refused.value)
    assert line.startswith(f"{folder}/")
    assert f"No space left on device); free some space in {folder}" in line
    assert "\n" not in line
    assert [file.name for file in folder.iterdir()] == ["state.pt"]
    assert load_state(folder)["epoch"] == 3


@pytest.mark.parametrize("write", [WRITERS["state"], WRITERS["head"], WRITERS["backbone"]])
def test_a_quota_is_said_like_a_full_disk(tmp_path, write):
    """A limit on file sizes stands for it."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot be written \(File too large\); free some space in"):
            write(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_head_round_trip(tmp_path):
    from safetensors.torch import load_file

    head = torch.nn.Linear(5, 2)
    save_head(head.state_dict(), tmp_path)
    table = load_file(tmp_path / "head.safetensors")
    assert torch.equal(table["weight"], head.weight)
    assert torch.equal(table["bias"], head.bias)


def test_others_may_read_weights_as_they_may_any_other_file(tmp_path):
    save_head({"weight": torch.zeros(2)}, tmp_path)
    (tmp_path / "other").write_text("")
    assert (tmp_path / "head.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
