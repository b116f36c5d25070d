"""How the data settings apply to shards, and what may not be learned from them."""

import imagecodecs
import numpy as np
import pytest
from shard_files import SIZE, encoded, foreign, picture, settings, write_tar

from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.data.shards.pool import open_shards
from ssl_pcb.errors import UserError
from ssl_pcb.stages.pretrain import open_pool


def deep(number, bits):
    """A grey png of 16 bits whose largest value needs ``bits``; its upper 8 bits are 0, 1, 2, ..."""
    values = np.arange(SIZE * SIZE).reshape(SIZE, SIZE) + number
    return imagecodecs.png_encode(((values % 256) << (bits - 8)).astype(np.uint16))


def opened(path, config, use_unsplit=True):
    return open_shards(str(path), config, 0, use_unsplit)


def images(pool):
    return np.concatenate([batch.inputs.numpy() for batch in pool.batches(0, 1)])


def expected(number):
    return (np.arange(SIZE * SIZE).reshape(SIZE, SIZE) + number) % 256


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("asked", ["auto", "given"])
def test_deep_images_keep_their_upper_bits(tmp_path, bits, asked):
    path = write_tar(tmp_path / "s.tar", [("0.png", deep(0, bits))])
    pool = opened(path, settings(1, bits if asked == "given" else "auto"))
    assert np.array_equal(images(pool)[0, 0], expected(0))
    assert pool.decoder.bit_depth == bits


def test_the_deepest_image_looked_at_decides(tmp_path):
    path = write_tar(
        tmp_path / "s.tar", [("0.png", deep(0, 10)), ("1.png", deep(7, 12)), ("2.png", encoded(picture(2)))]
    )
    pool = opened(path, settings("auto", "auto"))
    assert pool.decoder.bit_depth == 12
    shown = images(pool)[:, 0]
    assert any(np.array_equal(image, expected(7)) for image in shown)
    assert any(np.array_equal(image, expected(0) // 4) for image in shown)


def test_a_deeper_image_than_said_is_refused_by_name(tmp_path):
    path = write_tar(tmp_path / "s.tar", [("0.png", deep(0, 10)), ("1.png", deep(0, 12))])
    with pytest.raises(UserError, match=r"s\.tar: 1: holds the value .*set data\.bit_depth to 12"):
        images(opened(path, settings(1, 10)))


def test_a_deep_image_that_nobody_looked_at_is_refused_by_name(tmp_path, monkeypatch):
    from ssl_pcb.data.shards import pool

    monkeypatch.setattr(pool, "LOOKED_AT", 1)
    members = [(f"{number}.png", encoded(picture(number)[..., 0])) for number in range(1, 10)]
    path = write_tar(tmp_path / "s.tar", [("0.png", deep(0, 12)), *members])
    pool = opened(path, settings("auto", "auto"))
    assert pool.decoder.bit_depth == 8
    with pytest.raises(UserError, match=r"s\.tar: 0: .*set data\.bit_depth to 12"):
        images(pool)


def test_an_index_says_the_bit_depth(shards):
    assert opened(shards / "index.json", settings(3, "auto"), use_unsplit=False).decoder.bit_depth == 8


def test_large_images_are_refused_as_asked(tmp_path):
    path = foreign(tmp_path / "s.tar", range(3))
    for bit_depth in (8, "auto"):
        with pytest.raises(UserError, match=r"s\.tar: 0000\d: 32 x 32 pixels are more than the 1,000 allowed"):
            images(opened(path, settings(3, bit_depth, max_pixels=1000)))


def test_skip_bad_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data\.skip_bad: .*set it to false"):
        opened(foreign(tmp_path / "s.tar", range(3)), settings(3, skip_bad=True))


def test_the_stage_passes_the_settings_on_and_records_what_they_became(tmp_path):
    path = write_tar(tmp_path / "s.tar", [("0.png", deep(0, 12))])
    asked = PretrainConfig(shards=str(path), use_unsplit=True, data=settings("auto", "auto"))
    decided, pool, _ = open_pool(asked)
    assert (decided.data.channels, decided.data.bit_depth) == (1, 12)
    assert np.array_equal(images(pool)[0, 0], expected(0))
    with pytest.raises(UserError, match="more than the 1,000 allowed"):
        open_pool(asked.model_copy(update={"data": settings(max_pixels=1000, bit_depth="auto")}))


@pytest.mark.parametrize("split", ["val", "test", "holdout"])
@pytest.mark.parametrize("use_unsplit", [False, True])
def test_a_copy_of_an_image_that_is_kept_apart_is_not_trained_on(tmp_path, split, use_unsplit):
    foreign(tmp_path / "a.tar", range(8))
    foreign(tmp_path / "b.tar", [20, 21, 5], lambda number: {"split": split if number == 5 else "train"})
    with pytest.raises(UserError, match=r"1 samples of split 'train' are copies .* first number 6 of .*a\.tar"):
        opened(tmp_path / "*.tar", settings(3), use_unsplit)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_board_that_judges_is_not_trained_on(tmp_path, split):
    foreign(tmp_path / "a.tar", range(8), lambda number: {"split": "train", "group": f"board{number}"})
    foreign(tmp_path / "b.tar", [20], lambda _: {"split": split, "group": "board3"})
    with pytest.raises(UserError, match=r"1 boards are both in split 'train' and in .* first 'board3'"):
        opened(tmp_path / "*.tar", settings(3))


@pytest.mark.parametrize(("split", "group"), [("val", "~0001"), ("val", ""), ("holdout", "board3")])
def test_groups_that_are_no_boards_and_holdout_boards_may_be_shared(tmp_path, split, group):
    foreign(tmp_path / "a.tar", range(8), lambda _: {"split": "train", "group": group})
    foreign(tmp_path / "b.tar", [20], lambda _: {"split": split, "group": group})
    assert len(opened(tmp_path / "*.tar", settings(3))) == 8
