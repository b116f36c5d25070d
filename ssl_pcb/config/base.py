"""What every config section shares."""

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
