"""``ssl-pcb data shards`` from the command line."""

import json

import pytest


def test_shards_are_written_and_said(ssl_pcb_cli, synthetic_boards, tmp_path):
    ended = ssl_pcb_cli("data", "shards", synthetic_boards, tmp_path / "out", "--image-size", 32, "--per-shard", 10,
                        "--channels", 1, "--format", "jpg")  # fmt: skip
    assert ended.code == 0, ended.err
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert index["spec"]["channels"] == 1
    assert f"{index['samples']} images of " in ended.out
    assert f" in {len(index['shards'])} shards" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--channels", 2), "channels"),
        (("--image-size", 8), "image_size"),
        (("--per-shard", 0), "--per-shard"),
        (("--format", "webp"), "--format"),
        (("--margin", 2), "margin"),
    ],
)
def test_faulty_flags_are_one_line_and_write_nothing(ssl_pcb_cli, synthetic_boards, tmp_path, arguments, said):
    ended = ssl_pcb_cli("data", "shards", synthetic_boards, tmp_path / "out", *arguments)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert said in ended.err
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused(ssl_pcb_cli, synthetic_boards, tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    ended = ssl_pcb_cli("data", "shards", synthetic_boards, tmp_path)
    assert ended.code == 2
    assert ended.err == f"ssl-pcb: error: {tmp_path}: exists and is not an empty folder; name a new one\n"
