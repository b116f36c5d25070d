"""What a sweep will cost, said before it begins."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import numpy as np
from lightning_fabric import Fabric

from ssl_pcb.augment.views import ViewMaker
from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.runtime import RuntimeConfig
from ssl_pcb.config.stages import StageConfig
from ssl_pcb.config.supervised import CrossvalConfig, SupervisedConfig
from ssl_pcb.data.manifest import LABELS
from ssl_pcb.data.pool import training_rows
from ssl_pcb.data.samplers import build_sampler
from ssl_pcb.data.samples import Samples, load_samples
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.depths import freeze_stages
from ssl_pcb.models.symmetries import SYMMETRIES, one_view
from ssl_pcb.objectives.build import build_objective
from ssl_pcb.stages.classifier import build_classifier
from ssl_pcb.stages.costs import duration, forward_seconds, sample_seconds
from ssl_pcb.stages.crossval import repeatable
from ssl_pcb.stages.sweep_plan import Planned
from ssl_pcb.training.fastest import Workload, resolve_runtime
from ssl_pcb.training.processes import alone

log = logging.getLogger(__name__)

AROUND = 10.0
"""Seconds that a run takes on 2 cores before it learns something and after: imports, reports, files."""

PROBES = 10.0
"""Seconds of linear-eval's heads, likewise."""

Fastest = dict[tuple[RuntimeConfig, str, int], RuntimeConfig]
"""What :func:`resolve_runtime` found for settings, network and size: measured and told once."""


def announce_sweep(runs: Sequence[Planned]) -> None:
    """Say how long ``runs`` will take one after another, from a trial of each that differs in more than the seed.

    What cannot be tried is said, and left to its run: it may fail without stopping the others.

    Raises:
        UserError: If there is no such network, or it has no such stages to freeze.
    """
    opened: dict[DataConfig, tuple[Samples, DataConfig]] = {}
    fastest: Fastest = {}
    found: dict[str, float] = {}
    for run in runs:
        keys = _without_seed(run)
        if keys in found:
            continue
        data, found[keys] = run.config.data, AROUND
        try:
            if isinstance(run.config, PretrainConfig) and run.config.shards is not None:
                raise UserError("shards tell their number of samples only when they are read")
            opened[data] = opened.get(data) or load_samples(data)
        except UserError as error:
            log.warning("%s: its cost is not known (%s)", run.entry or "pretraining", error)
            continue
        _refuse_unknown_network(run, _channels(run.config, opened[data][0]))
        try:
            found[keys] += _run_seconds(run.config, *opened[data], fastest)
        except (UserError, RuntimeError) as error:
            log.warning("%s: its cost is not known (%s)", run.entry or "pretraining", str(error).splitlines()[0])
    total = sum(found[_without_seed(run)] for run in runs)
    log.info("expected: about %s for %d runs, one after another", duration(total), len(runs))


def _refuse_unknown_network(run: Planned, channels: int) -> None:
    try:
        config = run.config
        backbone = Backbone(config.backbone.model_copy(update={"weights": "none"}), channels, config.data.context)
        freeze_stages(backbone, run.config.freeze if isinstance(run.config, SupervisedConfig) else ())
    except UserError as error:
        raise UserError(f"runs.{run.entry or 'pretraining'}: {error}") from None


def _channels(config: StageConfig, samples: Samples) -> int:
    """Input channels of the network of ``config``; a probe's are taken for those of images alone."""
    both = config.sees_references if isinstance(config, PretrainConfig) else isinstance(config, SupervisedConfig)
    return samples.channels if both else samples.store.spec.channels


def _without_seed(run: Planned) -> str:
    return json.dumps([run.stage, run.config.model_dump(mode="json", exclude={"runtime", "checkpoint"})])


def _run_seconds(config: StageConfig, samples: Samples, data: DataConfig, fastest: Fastest) -> float:
    config = config.model_copy(update={"data": data})
    network = config.backbone.model_copy(update={"weights": "none"})
    backbone = Backbone(network, _channels(config, samples), data.context)
    work = Workload.of(backbone, data.image_size)
    asked = (config.runtime, work.name, work.size)
    if asked not in fastest:
        fastest[asked] = resolve_runtime(config.runtime, work)
    fabric = alone(fastest[asked])
    if isinstance(config, LinearEvalConfig):
        judged = len(samples.rows("train", "holdout", "val", labelled=True))
        return PROBES + 2 * judged * forward_seconds(backbone, data.image_size, fabric)
    if isinstance(config, PretrainConfig):
        return _pretraining_seconds(config, backbone, samples, fabric)
    return _supervised_seconds(config, samples, backbone, fabric)


def _pretraining_seconds(config: PretrainConfig, backbone: Backbone, samples: Samples, fabric: Fabric) -> float:
    data = config.data
    views = ViewMaker(config.view, data.image_size, data.context, data.references)
    objective = build_objective(config.method, backbone, views, references=data.references)
    rows = training_rows(samples, config.use_unsplit)
    dataset, shown = samples.pixels(rows), len(rows) * config.training.epochs
    return shown * sample_seconds(objective, dataset, config.training.batch_size, fabric)


def _supervised_seconds(config: SupervisedConfig, samples: Samples, backbone: Backbone, fabric: Fabric) -> float:
    batch_size, epochs = config.training.batch_size, config.training.epochs
    rows, judged = samples.supervised("train"), len(samples.supervised("val"))
    labels = samples.labels[rows]
    model = build_classifier(config, backbone, np.bincount(labels, minlength=len(LABELS)))
    dataset = samples.pixels(rows, boxes=True)
    steps = config.steps_per_epoch
    if steps is None:
        sampler = build_sampler(config.sampler, labels, config.runtime.seed, batch_size)
        steps = round(config.fraction * len(sampler.epoch(0))) // batch_size
    step = sample_seconds(model, dataset, batch_size, fabric) * batch_size
    with one_view(backbone):
        view = forward_seconds(backbone, samples.store.spec.size, fabric)
    at_last = len(SYMMETRIES) if backbone.tta else 1
    once = steps * epochs * step + judged * (epochs + at_last) * view
    if not isinstance(config, CrossvalConfig):
        return once
    return config.folds * (once + _repeated_seconds(config, samples, fabric))


def _repeated_seconds(config: CrossvalConfig, samples: Samples, fabric: Fabric) -> float:
    """A fold's share of what repeating the pretraining takes, which on its training boards alone takes less."""
    repeated = repeatable(config)
    if repeated is None:
        return 0.0
    network = repeated.backbone.model_copy(update={"weights": "none"})
    backbone = Backbone(network, _channels(repeated, samples), repeated.data.context)
    return (1 - 1 / config.folds) * _pretraining_seconds(repeated, backbone, samples, fabric)
