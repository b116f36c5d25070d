"""An epoch of shards: every sample once over all processes and workers, in an order that the seed decides."""

import itertools
import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch
from shard_files import SIZE, encoded, foreign, numbers, picture, settings, write_tar
from torch.utils.data import IterableDataset

from ssl_pcb.data.loaders import ALONE, Share, streamed_batches
from ssl_pcb.data.shards import shuffle
from ssl_pcb.data.shards.pool import open_shards
from ssl_pcb.data.shards.shuffle import shuffled
from ssl_pcb.errors import UserError

KEPT = set(range(44))


@pytest.fixture
def open_pool(shards):
    def opened(channels="auto", **changes):
        given = {"text": str(shards / "index.json"), "config": settings(channels), "seed": 5, "use_unsplit": False}
        return open_shards(**given | changes)

    return opened


def shown(pool, epoch, batch_size, share=ALONE):
    return [numbers(batch) for batch in pool.batches(epoch, batch_size, share)]


def flat(batches):
    return list(itertools.chain(*batches))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [6, 12])
def test_an_epoch_shows_every_sample_once(open_pool, workers, world, batch_size):
    pool = open_pool(workers=workers)
    steps = 44 // batch_size
    seen = []
    for rank in range(world):
        loader = pool.batches(1, batch_size, Share(rank, world))
        assert len(loader) == steps
        batches = [numbers(batch) for batch in loader]
        assert [len(batch) for batch in batches] == [batch_size // world] * steps
        seen += flat(batches)
    assert len(seen) == len(set(seen)) == steps * batch_size
    assert set(seen) <= KEPT


def test_what_fills_no_batch_is_something_else_in_every_epoch(shards, open_pool):
    for text in (shards / "index.json", foreign(shards / "one.tar", range(44))):
        pool = open_pool(text=str(text))
        left = [KEPT - set(flat(shown(pool, epoch, 40))) for epoch in range(12)]
        assert all(len(out) == 4 for out in left)
        assert len(set.union(*left)) > 12


@pytest.mark.parametrize("workers", [0, 2])
def test_the_order_is_that_of_seed_and_epoch(open_pool, workers):
    first = shown(open_pool(workers=workers), 3, 6)
    assert shown(open_pool(workers=workers), 3, 6) == first
    assert shown(open_pool(workers=workers), 4, 6) != first
    assert shown(open_pool(workers=workers, seed=6), 3, 6) != first


def test_only_the_shards_at_the_ends_of_runs_are_opened_twice(open_pool, monkeypatch):
    from ssl_pcb.data.shards import stream

    opened = []
    read = stream.read_numbers

    def counting(shard, size, numbers):
        opened.append(shard)
        return read(shard, size, numbers)

    monkeypatch.setattr(stream, "read_numbers", counting)
    for rank in range(2):
        shown(open_pool(), 0, 2, Share(rank, 2))
    assert len(set(opened)) == 5
    assert len(opened) <= 5 + 2  # between the two processes, and where the row begins


def test_labels_come_along(open_pool):
    for batch in open_pool().batches(0, 11):
        assert batch.labels.dtype == torch.int64
        assert batch.labels.tolist() == [(1, 0, -1)[number % 3] for number in numbers(batch)]


def test_an_excerpt_is_the_same_every_time(open_pool):
    pool = open_pool()
    one, other = pool.excerpt(12, 7), pool.excerpt(12, 7)
    batch = one.__getitems__(range(12))
    assert len(one) == len(set(numbers(batch))) == 12
    assert numbers(batch) == numbers(other.__getitems__(range(12)))
    assert batch.labels.tolist() == [(1, 0, -1)[number % 3] for number in numbers(batch)]
    assert numbers(pool.excerpt(12, 8).__getitems__(range(12))) != numbers(batch)
    assert len(pool.excerpt(1000, 7)) == 44


def test_what_was_seen_is_known_with_and_without_an_index(shards, boards, open_pool, config):
    from ssl_pcb.data.store import open_store

    store, _ = open_store(boards, config)
    train = np.flatnonzero(boards.frame["split"] == "train")
    expected = {store.hashes[row].ljust(16, b"\0").hex() for row in train}
    for text in (shards / "index.json", shards / "*.tar", shards):
        images, groups = open_pool(text=str(text)).seen()
        assert images == expected
        assert groups == {"t0", "t1", "t2", "t3"}


def test_an_image_without_json_is_known_by_its_own_contents(tmp_path, boards, config, open_pool):
    from ssl_pcb.data.store import open_store

    write_tar(tmp_path / "s.tar", [("x.png", (tmp_path / "46.png").read_bytes())])
    store, _ = open_store(boards, config)
    images, groups = open_pool(text=str(tmp_path / "s.tar"), use_unsplit=True).seen()
    assert images == {store.hashes[46].ljust(16, b"\0").hex()}
    assert groups == {""}


def test_a_table_of_another_length_is_refused_before_it_is_unpacked(shards, open_pool, monkeypatch):
    import pyarrow.parquet

    index = json.loads((shards / "index.json").read_text())
    index["samples"] -= 1
    index["shards"][0]["samples"] -= 1
    (shards / "index.json").write_text(json.dumps(index))
    monkeypatch.setattr(pyarrow.parquet, "read_table", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(UserError, match=r"samples\.parquet: has 44 rows, the index says 43; copy both anew"):
        open_pool()


@pytest.mark.parametrize("busy", [False, True])
def test_a_killed_worker_is_one_line(open_pool, busy):
    """Whether the process waits for a batch or does something else when it hears of it."""

    def epoch():
        for number, _ in enumerate(open_pool(workers=2).batches(0, 2)):
            if number == 0:
                os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
            if busy:
                time.sleep(0.2)

    with pytest.raises(UserError, match=r"shard_workers: a process that reads shards was killed .*--shard-workers"):
        epoch()


def test_other_faults_of_a_batch_keep_their_traceback():
    class Broken(IterableDataset):
        def __iter__(self):
            raise RuntimeError("a defect")

    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="a defect"):
            list(streamed_batches(Broken(), workers))


def test_records_tell_one_set_from_another(shards, open_pool):
    record = open_pool().describe()
    assert record["images_fingerprint"] == open_pool(seed=9).describe()["images_fingerprint"]
    assert record["splits"]["train"] == {"samples": 44, "NonDefective": 15, "Defective": 15, "groups": 4}
    assert record["board_disjoint"]
    counted = open_pool(text=str(shards / "*.tar")).describe()
    assert counted["images_fingerprint"] == open_pool(text=str(shards / "*.tar")).describe()["images_fingerprint"]
    fewer = open_pool(text=str(shards / "shard-{000000..000003}.tar")).describe()
    assert fewer["images_fingerprint"] != counted["images_fingerprint"]


def test_another_size_is_refused_with_the_mend(shards, open_pool):
    for text in (shards / "index.json", shards / "*.tar"):
        with pytest.raises(UserError, match=r"holds samples of 32 px, not 64; take them with --image-size 32"):
            open_pool(text=str(text), config=settings(image_size=64))


def test_shards_of_two_kinds_are_not_mixed(shards, open_pool):
    foreign(shards / "x.tar", range(3))
    with pytest.raises(UserError, match=r"x\.tar: these samples are of any size, those before 32 px"):
        open_pool(text=str(shards / "*.tar"))


def test_channels_follow_the_index_the_images_or_the_user(shards, open_pool, tmp_path):
    grey = write_tar(tmp_path / "g.tar", [(f"{n}.png", encoded(picture(n)[..., 0])) for n in range(8)])
    assert open_pool().channels == 3
    assert open_pool(text=str(foreign(tmp_path / "c.tar", range(8)))).channels == 3
    assert open_pool(text=str(grey), use_unsplit=True).channels == 1
    assert next(iter(open_pool(channels=1).batches(0, 4))).inputs.shape == (4, 1, SIZE, SIZE)
    assert next(iter(open_pool(text=str(grey), channels=3, use_unsplit=True).batches(0, 4))).inputs.shape[1] == 3


def test_a_large_shard_is_counted_in_pieces(open_pool, tmp_path, monkeypatch):
    from ssl_pcb.data.shards import survey

    monkeypatch.setattr(survey, "AT_ONCE", 4)
    path = foreign(tmp_path / "x.tar", range(18), lambda n: {"split": "train", "group": f"b{n % 5}"})
    pool = open_pool(text=str(path))
    assert pool.seen()[1] == {"b0", "b1", "b2", "b3", "b4"}
    assert [pool.shards.table.names[code] for code in pool.shards.table.groups] == [f"b{n % 5}" for n in range(18)]
    assert sorted(flat(shown(pool, 0, 18))) == list(range(18))


def test_a_buffer_gives_everything_once_and_holds_no_more_than_it_may(monkeypatch):
    held = most = 0

    def items():
        nonlocal held, most
        for number in range(500):
            held, most = held + 1, max(most, held + 1)
            yield number

    given = []
    for item in shuffled(items(), lambda _: 1, 50, np.random.default_rng(0)):
        held -= 1
        given.append(item)
    assert sorted(given) == list(range(500))
    assert given[:100] != list(range(100))
    assert most == 51
    monkeypatch.setattr(shuffle, "BUFFER", 1000)
    drawn = shuffled(range(500), lambda _: 100, 50, np.random.default_rng(0))
    assert all(item <= place + 10 for place, item in enumerate(drawn))
