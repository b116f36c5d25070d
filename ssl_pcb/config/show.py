"""Every key of a stage's config with its type, default and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Key:
    """One setting.

    Attributes:
        name: Dotted key, as ``--set`` takes it.
        type: What it may hold, in words.
        default: Default as YAML would write it; that of its own variant, where another variant is the default (but
            ``name`` always tells the default variant).
        meaning: One sentence.
        variant: Name of the variant that the key belongs to; empty where there is only one.
    """

    name: str
    type: str
    default: str
    meaning: str
    variant: str = ""


def describe(schema: type[BaseModel]) -> list[Key]:
    """All keys of ``schema``, in the order in which they are declared, variants one after the other.

    A key that several variants have with the same default is one key of all of them.
    """
    variants: dict[Key, list[str]] = {}
    for key in _keys(schema(), ""):
        variants.setdefault(replace(key, variant=""), []).append(key.variant)
    return [replace(key, variant=", ".join(filter(None, names))) for key, names in variants.items()]


def _keys(defaults: BaseModel, prefix: str, variant: str = "") -> Iterator[Key]:
    for name, field in type(defaults).model_fields.items():
        default = getattr(defaults, name)
        sections = list(_sections(field.annotation))
        if not sections:
            yield Key(prefix + name, _type(field), as_text(default), field.description or "", variant)
            continue
        if type(None) in get_args(field.annotation):
            yield Key(prefix + name, "none, or the keys below", as_text(default), field.description or "", variant)
        for section in sections:
            own = str(section.model_fields["name"].default) if len(sections) > 1 else variant
            for key in _keys(default if isinstance(default, section) else section(), f"{prefix}{name}.", own):
                # Of every variant's name the default is the one variant that is chosen by default.
                chosen = getattr(default, "name", None) if key.name == f"{prefix}{name}.name" else None
                yield replace(key, default=str(chosen)) if chosen else key


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from _sections(part)


def _type(field: FieldInfo) -> str:
    words = _words(field.annotation)
    bounds = [
        f"{sign} {getattr(mark, name)}"
        for mark in field.metadata
        for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
        if hasattr(mark, name)
    ]
    return " ".join([words, *bounds])


def _words(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(str(value) for value in get_args(annotation))
    if origin in (Union, UnionType):
        return " | ".join(_words(part) for part in get_args(annotation))
    if origin is Annotated:
        return _type(FieldInfo.from_annotation(annotation))
    if origin is tuple:
        return f"list of {_words(get_args(annotation)[0])}"
    if annotation is type(None):
        return "none"
    return {
        "str": "text",
        "Path": "path",
        "bool": "true | false",
        "float": "number",
        "int": "whole number",
    }.get(annotation.__name__, str(annotation))


def as_text(value: Any) -> str:
    """``value`` as YAML would write it in one line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_text(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
