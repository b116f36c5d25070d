"""Tar files from anywhere: only images and json get in, and a damaged file is noticed before training."""

import io
import json
import tarfile
import zlib

import numpy as np
import pytest
from shard_files import SIZE, encoded, foreign, numbers, picture, settings, write_tar

from ssl_pcb.data.shards.opening import LocalTar, opened_shard
from ssl_pcb.data.shards.pool import open_shards
from ssl_pcb.data.shards.tar import read_samples
from ssl_pcb.errors import UserError

GOOD = ("00.png", encoded(picture(0)))


def header(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def refusal(path):
    with pytest.raises(UserError) as refused:
        open_shards(str(path), settings(3), 0, True)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def everything(path):
    with opened_shard(str(path), None) as file:
        return list(read_samples(file, "shard", lambda _: True))


@pytest.mark.parametrize("name", ["00.pyd", "00.pth", "00.pickle", "00.pkl", "00.npy", "00.cls", "00", ".png", "00.txt",
                                  "00.mask.png", "00.tar"])  # fmt: skip
def test_other_members_are_refused_by_name(name, tmp_path):
    message = refusal(write_tar(tmp_path / "s.tar", [GOOD, (name, b"x")]))
    assert "s.tar" in message
    assert f"'{name}'" in message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
                                  tarfile.GNUTYPE_SPARSE])  # fmt: skip
def test_links_and_devices_are_refused(kind, tmp_path):
    (tmp_path / "secret.png").write_bytes(GOOD[1])
    link = header("01.png", kind, str(tmp_path / "secret.png"))
    assert "'01.png' is a link or device" in refusal(write_tar(tmp_path / "s.tar", [GOOD, (link, b"")]))


@pytest.mark.parametrize("name", ["/00.png", "../00.png", "a/../../00.png", "..\\00.png"])
def test_names_stay_in_the_archive(name, tmp_path):
    assert "leads out of the archive" in refusal(write_tar(tmp_path / "s.tar", [(name, GOOD[1])]))


def test_folders_and_long_names_are_read(tmp_path):
    long = "x" * 120 + "/" + "y" * 150 + "/" + "ü" * 60
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "s.tar", "w", format=form) as tar:
            tar.addfile(header("folder", tarfile.DIRTYPE))
            for name, data in ((f"{long}.PNG", GOOD[1]), (f"{long}.json", b"{}"), ("b.jpeg", b"B")):
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(data), 1.5
                tar.addfile(member, io.BytesIO(data))
        one, other = everything(tmp_path / "s.tar")
        assert (one.name, one.image, one.facts) == (f"shard: {long}", GOOD[1], b"{}")
        assert (other.name, other.image, other.facts) == ("shard: b", b"B", b"")


def test_a_huge_extended_header_is_refused(tmp_path):
    big = header("00.png", tarfile.XHDTYPE)
    assert "an extended header has 70,000 bytes" in refusal(write_tar(tmp_path / "s.tar", [(big, b"x" * 70_000)]))


def test_a_member_of_negative_size_is_damage(tmp_path):
    member = tarfile.TarInfo("00.png")
    member.size = -512
    (tmp_path / "s.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    assert "is cut off or damaged" in refusal(tmp_path / "s.tar")


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.XHDTYPE])
@pytest.mark.parametrize("size", [1 << 70, 1 << 63, (1 << 63) - 512])
def test_a_member_larger_than_any_disk_is_damage(kind, size, tmp_path):
    member = header("folder", kind)
    member.size = size
    (tmp_path / "s.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    assert "is cut off or damaged" in refusal(tmp_path / "s.tar")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("00.json", b"{}"), ("01.png", GOOD[1])], "sample '00' has no image"),
        ([("00.png", GOOD[1]), ("00.jpg", b"x")], "sample '00' has two image members"),
        ([("00.png", GOOD[1]), ("00.json", b"[1]")], "00.json: is not a JSON object"),
        ([("00.png", GOOD[1]), ("00.json", b"[" * 500_000)], "00.json: is not a JSON object"),
        ([("00.png", GOOD[1]), ("00.json", b"\xff")], "00.json: is not a JSON object"),
        ([("00.png", GOOD[1]), ("00.json", b" " * (1 << 20) + b"{}")], "has 1,048,578 bytes"),
        ([("00.png", GOOD[1]), ("00.json", b'{"split": "valid"}')], "split 'valid' is not one of"),
        ([("00.png", GOOD[1]), ("00.json", b'{"size": "big", "margin": 0}')], "size 'big' is not a number"),
        ([], "hold no samples"),
    ],
)
def test_samples_that_make_no_sense_are_named(members, said, tmp_path):
    assert said in refusal(write_tar(tmp_path / "s.tar", members))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8])
def test_a_truncated_shard_is_noticed_before_training(share, tmp_path):
    whole = foreign(tmp_path / "whole.tar", range(9)).read_bytes()
    foreign(tmp_path / "a.tar", range(10, 19))
    (tmp_path / "cut.tar").write_bytes(whole[: int(len(whole) * share)])
    assert f"{tmp_path / 'cut.tar'}: is cut off or damaged; copy it anew" in refusal(tmp_path / "[ac]*.tar")


def test_every_cut_and_every_damaged_header_is_noticed(tmp_path):
    whole = write_tar(tmp_path / "s.tar", [("00.png", b"x" * 600), ("00.json", b"{}"), ("01.png", b"y")]).read_bytes()
    last = max(place for place, byte in enumerate(whole) if byte) // 512 * 512 + 512
    for end in range(0, last + 1, 128):
        with pytest.raises(UserError, match="is cut off or damaged"):
            list(read_samples(LocalTar(io.BytesIO(whole[:end])), "s", lambda _: True))
    for start in (0, 512 + 1024, 512 + 1024 + 1024):
        spoilt = bytearray(whole)
        spoilt[start + 3] ^= 1
        with pytest.raises(UserError, match="is cut off or damaged"):
            list(read_samples(LocalTar(io.BytesIO(bytes(spoilt))), "s", lambda _: True))
    assert len(list(read_samples(LocalTar(io.BytesIO(whole)), "s", lambda _: True))) == 2


def test_a_truncated_shard_of_an_index_is_noticed_before_training(shards):
    file = shards / "shard-000002.tar"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    message = refusal(shards / "index.json")
    assert f"{file}: has " in message
    assert "copy it anew" in message


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_named_from_any_process(workers, tmp_path):
    spoilt = bytearray(encoded(picture(4)))
    spoilt[len(spoilt) // 2] ^= 255
    members = [(f"{n}.png", bytes(spoilt) if n == 4 else encoded(picture(n))) for n in range(12)]
    path = write_tar(tmp_path / "s.tar", members)
    pool = open_shards(str(path), settings(3), 0, True, workers)
    with pytest.raises(UserError) as refused:
        list(pool.batches(0, 4))
    assert "s.tar: 4: damaged" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_image_is_png_or_jpg_whatever_its_name(tmp_path):
    path = write_tar(tmp_path / "s.tar", [("0.png", encoded(picture(1), "TIFF"))])
    with pytest.raises(UserError, match=r"s\.tar: 0: its image is neither png nor jpg"):
        list(open_shards(str(path), settings(3), 0, True).batches(0, 1))


def test_an_image_bomb_is_refused_before_decoding(tmp_path):
    bomb = bytearray(encoded(picture(1)))
    bomb[16:24] = (40_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    path = write_tar(tmp_path / "s.tar", [("0.png", bytes(bomb))])
    with pytest.raises(UserError, match="40000 x 40000 pixels are more than"):
        list(open_shards(str(path), settings(3), 0, True).batches(0, 1))


def test_the_same_keys_in_two_shards_are_two_samples(tmp_path):
    for name, number in (("a", 1), ("b", 2)):
        write_tar(tmp_path / f"{name}.tar", [("0.png", encoded(picture(number)))])
    pool = open_shards(str(tmp_path / "*.tar"), settings(3), 0, True)
    assert sorted(numbers(next(iter(pool.batches(0, 2))))) == [1, 2]


def test_foreign_images_of_any_size_are_cut_to_the_size(tmp_path):
    wide = np.full((20, 50), 90, np.uint8)
    write_tar(tmp_path / "s.tar", [("a.jpg", encoded(wide, "JPEG")), ("b.png", encoded(picture(1, 70)))])
    for channels in (1, 3):
        batch = next(iter(open_shards(str(tmp_path / "s.tar"), settings(channels), 0, True).batches(0, 2)))
        assert batch.inputs.shape == (2, channels, SIZE, SIZE)
        assert batch.labels.tolist() == [-1, -1]
        assert any((image == 90).all() for image in batch.inputs)


def test_splits_that_are_kept_apart_are_skipped_aloud(tmp_path, caplog):
    words = ("train", "val", "test", "holdout", "", None)
    foreign(tmp_path / "s.tar", range(24), lambda number: {"split": words[number % 6], "label": None})
    with caplog.at_level("WARNING"):
        pool = open_shards(str(tmp_path / "s.tar"), settings(3), 0, False)
    assert [f"4 samples of split '{word}'" in caplog.text for word in ("val", "test", "holdout")] == [True] * 3
    assert sorted(n for batch in pool.batches(0, 1) for n in numbers(batch)) == [0, 6, 12, 18]
    assert len(pool) == len(pool.batches(0, 1)) == 4


def test_samples_without_a_split_must_be_asked_for(tmp_path):
    def facts(number):
        if number < 3:
            return {"split": "val", "group": "judged"}
        return {"group": "judged" if number == 3 else "free", "label": "Defective" if number == 4 else ""}

    foreign(tmp_path / "s.tar", range(10), facts)
    write_tar(tmp_path / "t.tar", [("copy.png", encoded(picture(0))), ("new.png", encoded(picture(20)))])
    with pytest.raises(UserError, match="take the 6 unlabelled ones without a split with --use-unsplit"):
        open_shards(str(tmp_path / "?.tar"), settings(3), 0, False)
    pool = open_shards(str(tmp_path / "?.tar"), settings(3), 0, True)
    assert sorted(n for batch in pool.batches(0, 1) for n in numbers(batch)) == [5, 6, 7, 8, 9, 20]


def test_an_index_that_hides_validation_samples_is_found_out(shards):
    index = json.loads((shards / "index.json").read_text())
    file = shards / "shard-000000.tar"
    file.write_bytes(file.read_bytes().replace(b'"split": "train"', b'"split":   "val"'))
    assert index["shards"][0]["bytes"] == file.stat().st_size
    with pytest.raises(UserError, match="is of split 'val', its index says otherwise"):
        list(open_shards(str(shards / "index.json"), settings(3), 0, False).batches(0, 44))
