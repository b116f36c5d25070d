"""What a network was trained on, and whether it has seen what it is to be judged on."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from ssl_pcb.errors import UserError
from ssl_pcb.training.lineage import TrainedOn, find_leak


def content(name):
    """As the hash of a file's contents."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def of(images="", groups=""):
    return TrainedOn.of([content(name) for name in images.split()], groups.split())


def weights(folder, metadata, **tensors):
    save_file({"x": torch.zeros(1), **tensors}, folder / "w.safetensors", metadata)
    return folder / "w.safetensors"


def test_the_record_travels_with_the_weights(tmp_path):
    seen = of("aa bb aa", "b1 b2")
    assert seen.images == {content("aa"), content("bb")}
    file = weights(tmp_path, seen.metadata(), **seen.tensors())
    assert TrainedOn.read(file) == seen
    (tmp_path / "elsewhere").mkdir()
    assert TrainedOn.read(file.rename(tmp_path / "elsewhere" / "copied.safetensors")) == seen


def test_a_record_that_is_all_metadata_is_read(tmp_path):
    """As files had it before."""
    seen = of("aa bb", "b1")
    record = {"groups": ["b1"], "images": sorted(seen.images)}
    assert TrainedOn.read(weights(tmp_path, {"trained_on": json.dumps(record)})) == seen


def test_a_hash_may_end_in_zeros(tmp_path):
    seen = TrainedOn.of(["ab" + "0" * 30, "0" * 32], [])
    assert seen.images == {"ab" + "0" * 30, "0" * 32}
    assert TrainedOn.read(weights(tmp_path, seen.metadata(), **seen.tensors())) == seen
    assert find_leak(seen, TrainedOn.of(["0" * 32], []))
    assert find_leak(seen, TrainedOn.of(["ab" + "0" * 29 + "1"], [])) is None


def test_a_checkpoint_from_elsewhere_has_no_record(tmp_path):
    assert TrainedOn.read(tmp_path / "timm.pth") is None
    assert TrainedOn.read(weights(tmp_path, {"format": "pt"})) is None


@pytest.mark.parametrize("table", [torch.zeros(2, 15, dtype=torch.uint8), torch.zeros(2, 16), torch.zeros(16), None])
def test_a_damaged_table_of_images_is_refused(tmp_path, table):
    tensors = {} if table is None else {"trained_on.images": table}
    with pytest.raises(UserError, match=r"w\.safetensors: damaged record"):
        TrainedOn.read(weights(tmp_path, of("a", "b1").metadata(), **tensors))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 3, "groups": []}', '{"images": ["a"]}', "null"])
def test_a_damaged_record_is_refused_not_taken_for_none(tmp_path, text):
    file = weights(tmp_path, {"trained_on": text})
    with pytest.raises(UserError, match=r"w\.safetensors: damaged record"):
        TrainedOn.read(file)


def test_a_shared_board_is_a_leak_even_with_other_images():
    assert find_leak(of("a", "b1 b2"), of("x", "b2 b3")) == (
        "trained on boards b2, which are validation or test boards here"
    )


def test_a_shared_image_is_a_leak_even_with_other_names():
    assert "1 images" in find_leak(of("a b", "b1"), of("b", "renamed"))


def test_many_boards_are_cut_short():
    names = " ".join(f"b{i}" for i in range(8))
    assert "b0, b1, b2 and 5 more" in find_leak(of(groups=names), of(groups=names))


def test_no_leak():
    assert find_leak(of("a", "b1"), of("c", "b2")) is None
    assert find_leak(of(), of("c", "b2")) is None


def test_stand_ins_and_missing_names_are_no_boards():
    """Clusters are numbered anew for every manifest: ~1 here is not ~1 there."""
    assert TrainedOn.of([], ["~1", "", "b1"]).groups == {"b1"}
    assert find_leak(TrainedOn.of([content("a")], ["~1", ""]), TrainedOn.of([content("c")], ["~1", ""])) is None


def test_a_chain_of_trainings_adds_up():
    assert of("a", "b1") | of("b", "b2") == of("a b", "b1 b2")
