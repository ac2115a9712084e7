"""What is known of a job, brought into what the wire's models take, wherever it comes from."""

from __future__ import annotations

from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from ..core.batching.ports import Job

log = structlog.get_logger(__name__)

_Model = TypeVar("_Model", bound=BaseModel)


def lenient(model: type[_Model], document: str) -> _Model:
    """Return the model that a JSON document holds, without the fields that are refused.

    Args:
        model: one whose fields all have defaults.
        document: what this agent or another version wrote.
    """
    left_out: set[str] = set()
    while True:
        try:
            found = model.model_validate_json(document)
            break
        except ValidationError as error:
            fields = {str(one["loc"][0]) for one in error.errors(include_url=False) if one["loc"]}
            log.warning("stored_fields_refused", model=model.__name__, fields=sorted(fields) or "all")
            left_out |= fields
            document = _without(model, document, left_out) if fields else "{}"
    return found


def checked(job: Job) -> Job:
    """Return the job with models that a message can carry: fields that were set unchecked and are refused go."""
    return Job(job.id, _valid(job.container), _valid(job.life))


def _valid(found: _Model) -> _Model:
    try:
        return type(found).model_validate_json(found.model_dump_json())
    except (ValidationError, PydanticSerializationError):
        fields = found.model_dump(exclude_unset=True)
    kept: dict[str, object] = {}
    for name, value in fields.items():
        try:
            type(found).model_validate({name: value}).model_dump_json()
        except (ValidationError, PydanticSerializationError):
            log.warning("field_refused", model=type(found).__name__, field=name)
        else:
            kept[name] = value
    return type(found).model_validate(kept)


def _without(model: type[BaseModel], document: str, fields: set[str]) -> str:
    known = set(model.model_fields) - fields
    # By the parser that the models use: another one refuses what this one takes (`NaN`, 1e999).
    loose: dict[str, object] = from_json(document)
    return to_json({name: value for name, value in loose.items() if name in known}).decode()
