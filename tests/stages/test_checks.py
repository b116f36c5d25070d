"""What is refused, or said, before a stage begins."""

import pytest

from ssl_pcb.stages.checks import warn_of_queue


@pytest.mark.parametrize(("keys", "said"), [(4096, "about 4 times"), (1000, "about 1 times"), (999, "")])
def test_a_queue_that_holds_all_samples_is_said(keys, said, caplog):
    warn_of_queue(keys, 1000, "tile")
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)
