"""Batches made ahead of the step that uses them."""

import threading

import pytest
import torch

from ssl_pcb.data.loaders import Batch, fetched, one_ahead


def same(item):
    return item


@pytest.mark.parametrize("count", [0, 1, 5])
def test_all_items_come_prepared_and_in_order(count):
    assert list(one_ahead(range(1, count + 1), lambda item: 10 * item)) == [10 * item for item in range(1, count + 1)]


def test_the_next_item_is_made_while_the_caller_works():
    made = [threading.Event() for _ in range(3)]

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number + 1

    source = one_ahead(items(), same)
    assert next(source) == 1
    assert made[1].wait(10)  # although nobody has asked for it
    assert not made[2].is_set()
    assert list(source) == [2, 3]


def test_what_goes_wrong_in_the_thread_is_raised_where_the_item_is_taken():
    def items():
        yield 1
        raise OSError("the disk is gone")

    source = one_ahead(items(), same)
    assert next(source) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(source)


def test_who_stops_early_leaves_no_thread_behind():
    before = set(threading.enumerate())  # an earlier test's may still be ending
    source = one_ahead(iter(range(1, 100)), same)
    next(source)
    (started,) = set(threading.enumerate()) - before
    source.close()
    started.join(10)
    assert not started.is_alive()


def test_on_a_cpu_batches_are_what_they_were():
    batch = Batch(torch.ones(2, 1, 4, 4), torch.zeros(2))
    (found,) = fetched([batch], torch.device("cpu"))
    assert found.inputs.data_ptr() == batch.inputs.data_ptr()
