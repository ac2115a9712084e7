"""Bring what is known of a job into what the wire's models accept, wherever it comes from."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

_Model = TypeVar("_Model", bound=BaseModel)


def parse_leniently(model: type[_Model], document: str) -> tuple[_Model, list[str]]:
    """Parse a JSON document and leave out the fields that the model refuses.

    Args:
        model: a model whose fields all have defaults.
        document: what this or another version of the agent wrote.

    Returns:
        The model, and the names of the fields that were left out (`all` where the document is not an object).
    """
    left_out: set[str] = set()
    while True:
        try:
            return model.model_validate_json(document), sorted(left_out)
        except ValidationError as error:
            fields = {str(one["loc"][0]) for one in error.errors(include_url=False) if one["loc"]}
            left_out |= fields or {"all"}
            document = _without(model, document, left_out) if fields else "{}"


def without_invalid_fields(given: _Model) -> tuple[_Model, list[str]]:
    """Return a model that a message can carry: fields that were set unchecked and are invalid are left out.

    Returns:
        The model, and the names of the fields that were left out.
    """
    try:
        return type(given).model_validate_json(given.model_dump_json()), []
    except (ValidationError, PydanticSerializationError):
        fields = given.model_dump(exclude_unset=True)
    kept: dict[str, object] = {}
    for name, value in fields.items():
        try:
            type(given).model_validate({name: value}).model_dump_json()
        except (ValidationError, PydanticSerializationError):
            continue
        kept[name] = value
    return type(given).model_validate(kept), [name for name in fields if name not in kept]


def _without(model: type[BaseModel], document: str, fields: set[str]) -> str:
    known = set(model.model_fields) - fields
    # Parsed by the parser that the models use: another one refuses what this one accepts (`NaN`, 1e999).
    loose: dict[str, object] = from_json(document)
    return to_json({name: value for name, value in loose.items() if name in known}).decode()
