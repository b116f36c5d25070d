"""Which epoch is kept: the best, of equals the last, and when waiting ends."""

import pytest
from torch import nn

from ssl_pcb.config.load import load_config
from ssl_pcb.config.supervised import FinetuneConfig
from ssl_pcb.stages.selection import keep_best
from ssl_pcb.training.loop import Progress


@pytest.mark.parametrize(
    ("measures", "patience", "kept", "ended"),
    [
        ([0.5, 0.9, 0.7, 0.8], None, 2, 4),
        ([0.5, 1.0, 1.0, 0.9], None, 3, 4),  # few labels are soon all in order
        ([1.0, 1.0, 1.0, 1.0], 2, 3, 3),  # equals are kept, and waited for no longer than others
        ([0.5, 0.4, 0.6, 0.5, 0.5], 2, 3, 5),
    ],
)
def test_the_best_is_kept_and_of_equals_the_last(measures, patience, kept, ended):
    config = load_config(FinetuneConfig, None, {"select": "auroc", "patience": patience})
    model, progress = nn.Linear(1, 1), Progress()
    for epoch, measure in enumerate(measures, 1):
        progress.epoch = epoch
        nn.init.constant_(model.weight, epoch)
        keep_best(model, progress, {"val_auroc": measure}, config)
        if progress.stopped:
            break
    assert (progress.kept["epoch"], progress.epoch) == (kept, ended)
    assert progress.kept["model"]["weight"].item() == kept
