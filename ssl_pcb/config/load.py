"""From a YAML file, flags and KEY=VALUE overrides to one validated config."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ssl_pcb.config.show import describe
from ssl_pcb.config.stages import STAGES
from ssl_pcb.errors import UserError

Stage = TypeVar("Stage", bound=BaseModel)


def load_config(
    schema: type[Stage],
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    beneath: Sequence[Mapping[str, Any]] = (),
) -> Stage:
    """Build a validated config: defaults, then ``file``, then what is ``beneath``, then ``overrides``.

    Args:
        schema: The stage's config class.
        file: A YAML file with any of the schema's keys, or ``None``.
        overrides: Dotted key to value. Overriding ``x.name`` drops the keys of ``x`` that belonged to the
            variant named before.
        beneath: The same in layers, each over the ones before it, as a recipe's keys beneath a user's.

    Raises:
        UserError: One line naming the key, and the nearest known one where a key is unknown.
    """
    values = schema().model_dump(mode="json")
    names = Counter(key.name for key in describe(schema))
    unions = {name.removesuffix(".name") for name, count in names.items() if count > 1}
    # A variant is chosen before its keys are set, in whatever order they were given.
    ordered = [
        item
        for layer in (*beneath, overrides or {})
        for item in sorted(layer.items(), key=lambda item: not item[0].endswith(".name"))
    ]
    try:
        if file is not None:
            values = _merge(values, read_yaml(file), unions)
        for key, value in ordered:
            values = _merge(values, _nest(key, value), unions)
        return schema.model_validate(values)
    except ValidationError as error:
        raise UserError(explain(error, schema)) from None


def parse_set(items: Iterable[str]) -> dict[str, Any]:
    """Turn ``["training.epochs=3"]`` into ``{"training.epochs": 3}``; values are read as YAML."""
    overrides = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise UserError(f"--set {item}: must be key.sub=value")
        try:
            overrides[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"--set {item}: the value is not valid YAML") from None
    return overrides


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: If the file is missing, is no YAML, or holds something else than keys.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{file}: no such config file, or not readable as text") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise UserError(f"{file}: must hold 'key: value' lines")
    return values


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``; an empty group stays one."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        group = isinstance(value, Mapping) and value
        flat |= flatten(value, f"{prefix}{key}.") if group else {f"{prefix}{key}": value}
    return flat


def as_yaml(config: BaseModel) -> str:
    """Every key of ``config``, so that the text alone reproduces it."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """One line for the first fault of a validation: key, what is wrong, the mend."""
    first = error.errors()[0]
    known = [key.name for key in describe(schema)]
    key = _user_key(first, known)
    if first["type"] == "extra_forbidden":
        return f"{key}: {_unknown_key(key, known, schema)}"
    if first["type"] == "union_tag_invalid":
        context = first["ctx"]
        return f"{key}.name: '{context['tag']}' is not one of {context['expected_tags']}"
    if first["type"] in ("model_attributes_type", "model_type"):
        variant = f"; set {key}.name={first['input']!s:.60}" if f"{key}.name" in known else ""
        return f"{key or 'config'}: is a group of keys, not one value{variant}"
    # A key of several types has an error for each.
    reasons = [each["msg"].removeprefix("Value error, ") for each in error.errors() if _user_key(each, known) == key]
    message = " or ".join(_plain(reason[:1].lower() + reason[1:]) for reason in reasons)
    if not key and first["type"] == "value_error":  # of several keys together: the message names them
        return message
    got = "" if isinstance(first["input"], dict) else f" (got {_short(first['input'])})"
    return f"{key or 'config'}: {message}{got}"


def _plain(reason: str) -> str:
    """What pydantic says of lists, without Python's words for them."""
    if reason == "input should be a valid tuple":
        return "give a list, as in [a, b]"
    return re.sub(r"tuple should have at least (\d+) items? after validation, not (\d+)", r"give at least \1", reason)


def _unknown_key(key: str, known: list[str], schema: type[BaseModel]) -> str:
    if key in known:
        section = key.rpartition(".")[0]
        while section and f"{section}.name" not in known:
            section = section.rpartition(".")[0]
        variants = ", ".join(each.variant for each in describe(schema) if each.name == key)
        return f"belongs to {section}.name={variants}, not to the one in force; leave it out, or set that name too"
    section, _, leaf = key.rpartition(".")
    siblings = {name[len(section) :].lstrip(".").split(".")[0] for name in known if name.startswith(section)}
    near = difflib.get_close_matches(leaf, sorted(siblings), n=1)
    if near:
        return f"unknown key, did you mean {near[0]}?"
    elsewhere = [name for name in known if name.rpartition(".")[2] == leaf]
    elsewhere = elsewhere or difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    stage = next((name for name, each in STAGES.items() if each is schema), "")
    show = f"ssl-pcb config show {stage}".rstrip()
    return f"unknown key, {f'did you mean {elsewhere[0]}?' if elsewhere else f'see {show}'}"


def _short(value: Any) -> str:
    return repr(value)[:60]


def _user_key(error: ErrorDetails, known: list[str]) -> str:
    # Unions put the variant's name or type into the location; keys that a user writes do not have it.
    prefixes = {".".join(name.split(".")[:depth]) for name in known for depth in range(1, 9)}
    kept: list[str] = []
    for index, part in enumerate(error["loc"]):
        unknown = error["type"] == "extra_forbidden" and index == len(error["loc"]) - 1
        listed = index > 0 and isinstance(error["loc"][index - 1], int)  # a key of a group in a list
        if unknown or listed or isinstance(part, int) or ".".join([*kept, part]) in prefixes:
            kept.append(str(part))
    return ".".join(kept)


def _nest(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _merge(base: dict[str, Any], changes: Mapping[str, Any], unions: set[str], prefix: str = "") -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        section = f"{prefix}{key}"
        if not (isinstance(value, Mapping) and isinstance(old, dict)):
            merged[key] = value
        elif section in unions and value.get("name", old.get("name")) != old.get("name"):
            merged[key] = dict(value)
        else:
            merged[key] = _merge(old, value, unions, f"{section}.")
    return merged
