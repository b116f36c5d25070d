"""Flags of the commands that turn a manifest into pixels, generated from the config's own keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click
from pydantic import BaseModel

from ssl_pcb.config.data import DataConfig
from ssl_pcb.config.show import Key, describe

Command = TypeVar("Command", bound=Callable[..., object])

PIXELS = ("image_size", "channels", "margin", "bit_depth", "max_pixels", "skip_bad")
"""Keys of ``DataConfig`` that decide what a sample's pixels are."""


def data_options(*names: str) -> Callable[[Command], Command]:
    """A decorator: a flag for each of these keys of ``DataConfig``, given to the command where it is used.

    ``load_config(DataConfig, overrides={name: value, ... if given})`` checks the values.
    """
    return section_options(DataConfig, *names)


def section_options(section: type[BaseModel], *names: str) -> Callable[[Command], Command]:
    """As :func:`data_options`, for these keys of any config without groups; all where none is named."""
    keys = {key.name: key for key in describe(section)}

    def decorate(command: Command) -> Command:
        for name in reversed(names or tuple(keys)):
            command = _option(keys[name])(command)
        return command

    return decorate


def _option(key: Key) -> Callable[[Command], Command]:
    flag = "--" + key.name.replace("_", "-")
    meaning = key.meaning[:1].upper() + key.meaning[1:]
    if key.type == "true | false":
        return click.option(flag, is_flag=True, default=None, help=f"{meaning}.")
    words = key.type.split()
    metavar = "PATH" if "path" in words else "NUMBER" if "number" in words else key.type.replace(" ", "")
    return click.option(
        flag, default=None, callback=_plain, metavar=metavar, help=f"{meaning}.  [default: {key.default}]"
    )


def _plain(context: click.Context, option: click.Parameter, value: str | None) -> int | str | None:
    """Whole numbers as numbers: of several types the config takes the one that fits."""
    return int(value) if value and value.isdecimal() and value.isascii() else value
