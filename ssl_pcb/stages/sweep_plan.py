"""From a sweep's file to the runs that it asks for, all of them checked before the first one begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ssl_pcb.config.load import explain, flatten, load_config, read_yaml
from ssl_pcb.config.presets import PRESETS, recipe_for
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.stages import STAGES, StageConfig
from ssl_pcb.config.supervised import SupervisedConfig
from ssl_pcb.config.sweep import PretrainPart, SweepConfig, SweepEntry
from ssl_pcb.errors import UserError
from ssl_pcb.stages.checks import refuse_missing_weights

PLACE = {"out", "device", "devices", "nodes", "timeout", "threads", "ledger"}
"""Keys of where and how a run is made; changing them makes no other run of it."""

LONGEST = 120
"""Most characters of an entry's name in that of its folder, which some systems hold to 255 in all."""

SHARED = ("data", "runtime", "backbone")
"""Groups of keys that a pretraining has from the run that starts from it."""

OF_GRADIENT_HEAD = {"sampler", "loss", "optimizer", "training"}
"""Keys of linear-eval that its logistic probe has no use for."""


@dataclass(frozen=True)
class Planned:
    """One run.

    Attributes:
        entry: Row of the leaderboard that it belongs to.
        asks: What that entry asks.
        against: Entry that it is compared with; empty = the first one.
        stage: Name of the stage.
        seed: Its seed.
        config: Validated; ``runtime.out`` is :attr:`folder`.
        before: The pretraining whose weights it starts from, or ``None``.
    """

    entry: str
    asks: str
    against: str
    stage: str
    seed: int
    config: StageConfig
    before: Planned | None = None

    @property
    def folder(self) -> Path:
        """Its run folder; other keys, or another manifest, have another one."""
        assert self.config.runtime.out is not None
        return self.config.runtime.out


def read_sweep(file: Path) -> SweepConfig:
    """The sweep in a YAML file.

    Raises:
        UserError: One line naming the key.
    """
    try:
        return SweepConfig.model_validate(read_yaml(file))
    except ValidationError as error:
        raise UserError(f"{file}: {explain(error, SweepConfig)}") from None


def plan_runs(sweep: SweepConfig, out: Path) -> list[Planned]:
    """All runs into folders below ``out``: first every entry with its first seed, then with the second one.

    Raises:
        UserError: If an entry's keys do not make a config, naming the entry and the key.
    """
    if not sweep.runs and not sweep.grid:
        raise UserError("runs: the sweep has no entry; list some, or give a grid")
    entries = [*_entries(sweep)]
    names = [entry.name for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"grid: a value is given twice, which makes '{twice}' two entries of one run; give each once")
    for key, name in [("baseline", sweep.baseline), *((f"runs.{each.name}.against", each.against) for each in entries)]:
        if name is not None and name not in names:
            raise UserError(f"{key}: '{name}' is none of the sweep's entries, which are {', '.join(names)}")
    deepest = max(len(entry.seeds or sweep.seeds) for entry in entries)
    return [
        _planned(sweep, entry, seeds[number], out)
        for number in range(deepest)
        for entry in entries
        if number < len(seeds := entry.seeds or sweep.seeds)
    ]


def chosen_runs(runs: Sequence[Planned], names: Sequence[str]) -> list[Planned]:
    """Those of the entries ``names``, and of what these are compared with.

    Raises:
        UserError: If a name is none of theirs.
    """
    against = {run.entry: run.against or runs[0].entry for run in runs}
    unknown = next((name for name in names if name not in against), None)
    if unknown is not None:
        raise UserError(f"--only: '{unknown}' is none of the sweep's entries, which are {', '.join(against)}")
    chosen, looked_at = set(names), set[str]()
    while left := chosen - looked_at:
        looked_at |= left
        chosen |= {against[name] for name in left}
    return [run for run in runs if run.entry in chosen]


def _entries(sweep: SweepConfig) -> Iterator[SweepEntry]:
    """The listed entries, each once for every combination of the grid."""
    for entry in sweep.runs or (SweepEntry(name="run"),):
        for values in product(*sweep.grid.values()):
            varied, keys = dict(zip(sweep.grid, values, strict=True)), flatten(entry.keys)
            twice = next((key for key in varied if key in keys), None)
            if twice is not None:
                raise UserError(f"runs.{entry.name}: {twice}: the grid sets it too; take it out of one of them")
            parts = [f"{_leaf(key)}={value}" for key, value in varied.items()]
            name = ",".join([entry.name, *parts] if sweep.runs else parts)
            yield entry.model_copy(update={"name": name, "keys": keys | varied})


def _leaf(key: str) -> str:
    """``loss`` of ``loss.name``, ``lr`` of ``optimizer.lr``."""
    *_, section, last = ["", *key.split(".")]
    return section if last == "name" else last


def _planned(sweep: SweepConfig, entry: SweepEntry, seed: int, out: Path) -> Planned:
    stage = entry.stage or sweep.stage
    preset, own = PRESETS[entry.preset].keys if entry.preset else {}, flatten(entry.keys)
    layers: list[Mapping[str, Any]] = [flatten(sweep.keys), preset, own, {"runtime.seed": seed}]
    before = None
    try:
        _refuse_sets(layers[:-1])
        if entry.pretrain is not None:
            _refuse_sets([flatten(entry.pretrain.keys)])
            if stage == "crossval":
                raise UserError("pretrain: crossval repeats a finished pretraining itself; name one in keys.checkpoint")
            if "checkpoint" in own:
                raise UserError("checkpoint: the entry's pretrain gives it; take out one of them")
            before = _pretraining(entry.pretrain, layers, seed, out)
            network = before.config.backbone.model_dump(exclude={"tta", "weights", "init"})  # not how it was begun
            layers = [flatten({"backbone": network}), *layers, {"checkpoint": str(before.folder)}]
        config = _config(stage, entry.config or sweep.config, layers, f"{_safe(entry.name)}-{seed}", out, before)
        if isinstance(config, LinearEvalConfig) and config.reported_probe == "logistic":
            _refuse_idle({**preset, **own})
        if before is None:
            refuse_missing_weights(config)
    except UserError as error:
        raise UserError(f"runs.{entry.name}: {error}") from None
    if getattr(config, "test", False):
        raise UserError(f"runs.{entry.name}: test: a sweep is for choosing, and test boards are not; set test=false")
    against = entry.against or sweep.baseline or ""
    return Planned(entry.name, entry.asks, against, stage, seed, config, before)


def _refuse_sets(layers: Sequence[Mapping[str, Any]]) -> None:
    """Refuse keys that are the sweep's to set."""
    for key, instead in {
        "runtime.seed": "list the seeds of the sweep or of the entry",
        "runtime.out": "leave it out",
    }.items():
        if any(key in layer for layer in layers):
            raise UserError(f"{key}: a sweep sets it; {instead}")


def _refuse_idle(own: Mapping[str, Any]) -> None:
    """Refuse an entry whose difference to others could not show."""
    idle = next((key for key in own if key.split(".")[0] in OF_GRADIENT_HEAD), None)
    if idle is not None:
        raise UserError(
            f"{idle}: the leaderboard would rank linear-eval by its logistic probe, which this key does not change; "
            "set reported_probe=gradient_head"
        )


def _pretraining(part: PretrainPart, layers: Sequence[Mapping[str, Any]], seed: int, out: Path) -> Planned:
    """As ``ssl-pcb pretrain`` has it by itself, with what is said of data and network of the run after it."""
    shared = [{key: value for key, value in layer.items() if key.split(".")[0] in SHARED} for layer in layers]
    asked = [*shared, flatten(part.keys)]
    given = flatten(read_yaml(part.config)) if part.config else {}
    for layer in asked:
        given |= layer
    config = _config("pretrain", part.config, [recipe_for("pretrain", given), *asked], f"pretrain-{seed}", out)
    return Planned("", "", "", "pretrain", seed, config)


def _config(
    stage: str,
    file: Path | None,
    layers: Sequence[Mapping[str, Any]],
    name: str,
    out: Path,
    before: Planned | None = None,
) -> StageConfig:
    config = load_config(STAGES[stage], file, beneath=layers)
    if isinstance(config, SupervisedConfig) and config.downsizer and config.downsizer.checkpoint == "auto":
        raise UserError("downsizer.checkpoint: auto would hang on what else lies about; name a run, or none")
    if config.checkpoint == "auto":  # would hang on what else lies about, and on what the sweep has made by then
        config = config.model_copy(update={"checkpoint": "none"})
    said = config.model_dump(mode="json", exclude={"runtime": PLACE, "data": {"cache"}})
    if before is not None:  # however its path is spelled: machines may see one folder by several
        said["checkpoint"] = before.folder.name
    keyed = json.dumps([stage, said, _digest(config.data.manifest)], sort_keys=True)
    folder = out / f"{name}-{hashlib.sha256(keyed.encode()).hexdigest()[:8]}"
    return config.model_copy(update={"runtime": config.runtime.model_copy(update={"out": folder})})


@cache
def _digest(manifest: Path | None) -> str:
    """Of what a manifest says now: with other labels, runs are other runs."""
    try:
        return "" if manifest is None else hashlib.sha256(manifest.read_bytes()).hexdigest()
    except OSError:  # the run itself will say so
        return ""


def _safe(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._+=,-" else "_" for char in name)[:LONGEST]
