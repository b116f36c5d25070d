"""``pretrain``, ``linear-eval`` and ``finetune``: flags are generated from their config classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ssl_pcb.config.load import flatten, load_config, parse_set, read_yaml
from ssl_pcb.config.presets import PRESETS, recipe_for
from ssl_pcb.config.show import Key, describe
from ssl_pcb.config.stages import STAGES
from ssl_pcb.config.supervised import CrossvalConfig

log = logging.getLogger(__name__)

FLAGS = {
    "--data": "data.manifest",
    "--shards": "shards",
    "--out": "runtime.out",
    "--checkpoint": "checkpoint",
    "--method": "method.name",
    "--hard-negatives": "method.hard_negatives",
    "--backbone": "backbone.name",
    "--tta": "backbone.tta",
    "--image-size": "data.image_size",
    "--references": "data.references",
    "--epochs": "training.epochs",
    "--batch-size": "training.batch_size",
    "--augment": "augment.name",
    "--optimizer": "optimizer.name",
    "--lr": "optimizer.lr",
    "--schedule": "training.schedule.name",
    "--freeze": "freeze",
    "--head": "head.name",
    "--sampler": "sampler.name",
    "--loss": "loss.name",
    "--folds": "folds",
    "--test": "test",
    "--test-balance": "test_balance",
    "--transductive": "transductive",
    "--use-unsplit": "use_unsplit",
    "--skip-bad": "data.skip_bad",
    "--resamples": "resamples",
    "--seed": "runtime.seed",
    "--device": "runtime.device",
    "--devices": "runtime.devices",
    "--precision": "runtime.precision",
    "--layout": "runtime.layout",
    "--threads": "runtime.threads",
    "--profile": "profile",
}
"""The settings that people change daily, and the config key behind each; the rest goes through --set."""

VARIANTS = ("--method", "--augment", "--optimizer", "--schedule", "--head", "--sampler", "--loss")
"""The flags that choose among named variants."""

CHOICES = ("--tta", "--device", "--precision", "--layout", "--hard-negatives", "--test-balance")
"""The flags that choose among words."""

INTROS = {
    "pretrain": "Learn representations from all images of the training boards, labelled or not: by painted defects, or "
    "by SimCLR or another --method.",
    "linear-eval": "Probe a frozen backbone with logistic regression, a linear head and kNN, at several shares "
    "of the labels, beside a random-init backbone as the floor.",
    "finetune": "Train the Defective / NonDefective classifier end to end, from a checkpoint or from scratch.",
    "crossval": "Finetune once a fold, each judged on boards that it has not seen; pools the out-of-fold predictions.",
}


def stage_command(stage: str) -> click.Command:
    """The click command of a stage."""
    keys = describe(STAGES[stage])
    options: list[click.Parameter] = [
        click.Option(["--config", "config_file"], type=click.Path(path_type=Path), help="YAML file with any keys."),
        *([_preset()] if stage in ("finetune", "crossval") else []),
        *(_option(flag, found) for flag, name in FLAGS.items() if (found := [k for k in keys if k.name == name])),
        click.Option(
            ["--resume"], is_flag=True, help="Go on with the unfinished run in --out, or with the newest one."
        ),
        click.Option(
            ["--set", "sets"], multiple=True, metavar="KEY.SUB=VALUE",
            help=f"Any other key; 'ssl-pcb config show {stage}' lists them.",
        ),
    ]  # fmt: skip

    def run(
        config_file: Path | None, sets: tuple[str, ...], resume: bool, preset: str | None = None, **flags: Any
    ) -> None:
        asked = {FLAGS["--" + name.replace("_", "-")]: value for name, value in flags.items() if value is not None}
        asked |= parse_set(sets)
        keys = PRESETS[preset].keys if preset else {}
        if not resume and not preset:
            given = (flatten(read_yaml(config_file)) if config_file else {}) | flatten(asked)
            keys = recipe_for(stage, given)
            if keys and "method.name" not in given:
                log.info("painted defects, as README recommends; --method simclr or another does otherwise")
            if not keys and stage == "pretrain":
                keys = _as_before(given)
        run_stage(stage, config_file, asked, resume=resume, preset=keys)

    return click.Command(stage, params=options, callback=run, help=INTROS[stage])


def _as_before(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Method and views of the pretraining that goes on, where its user says nothing of the method."""
    from ssl_pcb.stages.weights import objective_of

    if any(key.startswith("method.") for key in given):
        return {}
    found = objective_of(str(given.get("checkpoint", "none")))
    if found:
        log.info("goes on with %s, as %s began; --method does otherwise", found["method.name"], given["checkpoint"])
    return {key: value for key, value in found.items() if key not in given}


def run_stage(
    stage: str, file: Path | None, asked: Mapping[str, Any], *, resume: bool, preset: Mapping[str, Any] | None = None
) -> Path:
    """Run ``stage``; returns its run folder."""
    from ssl_pcb.stages.crossval import crossval  # torch is imported from here on
    from ssl_pcb.stages.start import start_stage
    from ssl_pcb.stages.weights import backbone_of, newest_backbone

    schema = STAGES[stage]
    everything = {**(flatten(read_yaml(file)) if file else {}), **(preset or {}), **flatten(asked)}
    names_network = (key for key in everything if key.split(".")[0] == "backbone" and key != "backbone.tta")
    if not any(names_network):  # then it is that of the weights
        checkpoint = str(everything.get("checkpoint", schema.model_fields["checkpoint"].default))
        if checkpoint != "auto":
            found = backbone_of(checkpoint)
        else:  # another part of the network has no use for those weights
            apart = resume or stage == "crossval" or any(key.split(".")[0] == "downsizer" for key in everything)
            places = everything.get("data.manifest"), everything.get("runtime.out")
            both = bool(everything.get("data.references"))
            found = None if apart else newest_backbone(*places, references=both)
            if both and stage == "linear-eval" and not apart:  # a frozen network sees what it has learned from
                found = found or newest_backbone(*places, references=False)
        # How that run is judged is no part of its network, and may stand in this one's file.
        asked = (flatten({"backbone": found.model_dump(exclude={"tta"})}) if found else {}) | dict(asked)
    config = load_config(schema, file, asked, beneath=[preset or {}])
    _say_dropped(preset or {}, asked, flatten(config.model_dump()))
    if isinstance(config, CrossvalConfig):
        return crossval(config, everything, resume=resume)
    return start_stage(stage, config, everything, resume=resume)


def _say_dropped(preset: Mapping[str, Any], asked: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Say what of ``preset`` does not hold, because a flag or --set chose another variant."""
    dropped = [key for key, value in preset.items() if key not in asked and _plain(config.get(key)) != value]
    if dropped:
        click.echo(f"--preset: of the recipe, what you chose leaves out {', '.join(dropped)}", err=True)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _option(flag: str, keys: list[Key]) -> click.Option:
    recommended = "defect_pretext, with the keys that README recommends; of a --checkpoint, as that was pretrained"
    default = recommended if flag == "--method" else keys[0].default
    if keys[0].type == "true | false":
        return click.Option([flag], is_flag=True, default=None, help=f"{_sentence(keys[0].meaning)}.")
    if flag in VARIANTS:  # one entry each
        choices = [key.type for key in keys]
        meaning = "; ".join(f"{key.type}: {key.meaning}" for key in keys)
    else:
        choices = keys[0].type.split(" | ") if flag in CHOICES else []
        meaning = _sentence(keys[0].meaning)
    # Values are checked by the config, whose messages name the key; click shows what kind is expected.
    kind = keys[0].type.split()[0].upper()
    return click.Option(
        [flag],
        type=click.Choice(choices) if choices else str,
        metavar=None if choices else {"WHOLE": "INTEGER", "AUTO": "INTEGER"}.get(kind, kind),
        help=f"{meaning}.  [default: {default}]",
    )


def _preset() -> click.Option:
    recipes = "; ".join(f"{name}: {preset.meaning}" for name, preset in PRESETS.items())
    return click.Option(
        ["--preset"], type=click.Choice(list(PRESETS)),
        help=f"Keys of a paper's recipe, which override --config and are overridden by flags and --set. {recipes}.",
    )  # fmt: skip


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


COMMANDS = {stage: stage_command(stage) for stage in STAGES}
