"""Concurrent requests become batches, none is lost, and there is an end to what may wait."""

from threading import Event

import pytest

from ssl_pcb.deploy.items import Item
from ssl_pcb.deploy.service.batcher import WORKERS, Batcher
from ssl_pcb.deploy.service.limits import BusyError, Held, Limits
from tests.deploy.service.conftest import until


class Batches:
    """A judge that answers with names, once the gate is open, and notes what it was given."""

    def __init__(self, **limits):
        self.gate, self.sizes, self.faults = Event(), [], set()
        self.batcher = Batcher(self.judge, Limits(max_pixels=1, **limits), self.sizes.append)
        self.batcher.start()

    def judge(self, items):
        items = list(items)
        assert self.gate.wait(30)
        for item in items:
            if item.name in self.faults:
                raise RuntimeError(item.name)
            yield f"judged {item.name}"

    def add(self, *names):
        return self.batcher.add([Item(name, b"") for name in names])

    def occupy(self):
        """Give each worker one image, which keeps it until the gate opens."""
        answers = []
        for number in range(WORKERS):
            answers += self.add(f"busy {number}")
            until(lambda taken=number + 1: not self.batcher.waiting and len(self.sizes) == taken)
        return answers


@pytest.fixture
def batches():
    made = []

    def make(**limits):
        made.append(Batches(**limits))
        return made[-1]

    yield make
    for each in made:
        each.gate.set()
        each.batcher.stop()


def results(answers):
    return [each.result(30) for each in answers]


def test_what_waits_is_judged_together_up_to_the_batch_size_and_each_gets_its_own_answer(batches):
    found = batches(batch=4, wait=0)
    busy = found.occupy()
    names = [str(number) for number in range(10)]
    answers = [answer for name in names for answer in found.add(name)]
    assert found.batcher.waiting == 10
    found.gate.set()
    assert results(answers) == [f"judged {name}" for name in names]
    assert results(busy) == ["judged busy 0", "judged busy 1"]
    assert sorted(found.sizes) == [1, 1, 2, 4, 4]


def test_a_batch_that_is_not_full_waits_for_others_but_not_for_ever(batches):
    patient, hasty = batches(batch=2, wait=30), batches(batch=100, wait=0.001)
    first = patient.add("a")
    second = patient.add("b")
    for each in (patient, hasty):
        each.gate.set()
    assert results(first + second) == ["judged a", "judged b"]
    assert patient.sizes == [2]
    assert results(hasty.add("alone")) == ["judged alone"]


def test_beyond_the_queue_all_of_a_request_are_turned_away_and_those_before_stay(batches):
    found = batches(batch=4, wait=0, queue=3)
    busy = found.occupy()
    answers = found.add("a", "b")
    with pytest.raises(BusyError, match="2 images wait, of 3 that may"):
        found.add("c", "d")
    answers += found.add("e")
    found.gate.set()
    assert results(busy + answers)[-3:] == ["judged a", "judged b", "judged e"]


def test_the_end_answers_what_was_added(batches):
    found = batches(batch=2, wait=30)
    answers = found.add(*map(str, range(7)))
    found.gate.set()
    found.batcher.stop()
    assert all(each.done() for each in answers)
    assert results(answers) == [f"judged {number}" for number in range(7)]


def test_a_judge_that_fails_tells_those_who_asked_and_goes_on(batches):
    found = batches(batch=3, wait=30)
    found.faults.add("b")
    found.gate.set()
    first, second, third = found.add("a", "b", "c")
    assert first.result(30) == "judged a"
    for each in (second, third):
        with pytest.raises(RuntimeError, match="b"):
            each.result(30)
    assert results(found.add("d", "e", "f")) == ["judged d", "judged e", "judged f"]


def test_bytes_are_held_no_longer_than_they_are_needed():
    held = Held(10)
    with held.bytes(6):
        with pytest.raises(BusyError), held.bytes(5):
            pass
        with held.bytes(4):
            assert held.now == 10
    assert held.now == 0
