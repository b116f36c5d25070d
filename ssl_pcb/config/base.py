"""What every config section shares."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

Words = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda given: [each.strip() for each in given.split(",")] if isinstance(given, str) else given),
]
"""A list that a flag takes as words with commas between them."""


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys; ``none`` leaves an optional one empty."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _none_is_empty(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        optional = {name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)}
        return {key: None if key in optional and value == "none" else value for key, value in values.items()}

    @model_validator(mode="before")
    @classmethod
    def _rest_by_default(cls, values: Any) -> Any:
        """Keys of a group that are not given are as this section's default of the group has them."""
        if not isinstance(values, dict):
            return values
        groups = {
            name: field.default.model_dump()
            for name, field in cls.model_fields.items()
            if isinstance(field.default, Section)
        }
        return {key: _completed(value, groups.get(key)) for key, value in values.items()}


def refuse_idle(section: Section, key: str, when: str, *, acts: bool) -> None:
    """Refuse a value that was chosen for ``key`` where nothing reads it.

    Raises:
        ValueError: In one line, unless the key ``acts`` or has its default.
    """
    if not acts and getattr(section, key) != type(section).model_fields[key].default:
        raise ValueError(f"{key} acts with {when} alone; set that, or leave {key} out")


def _completed(given: Any, default: Any) -> Any:
    if not isinstance(given, Mapping) or not isinstance(default, Mapping):
        return given
    if given.get("name", default.get("name")) != default.get("name"):  # another variant, with defaults of its own
        return given
    return {**default, **{key: _completed(value, default.get(key)) for key, value in given.items()}}
