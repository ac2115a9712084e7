"""The messages as one JSON Schema document: protocol/schema.json, from which the TypeScript types are generated.

`make generate` writes both.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import events, job, messages

_MODELS: list[type[BaseModel]] = [
    messages.Open,
    messages.Ingest,
    messages.Status,
    messages.Ping,
    messages.Opened,
    messages.Ingested,
    messages.Noted,
    messages.Pong,
    messages.Watch,
    messages.Error,
    messages.Subscribe,
    messages.Unsubscribe,
    messages.Subscribed,
    messages.Unsubscribed,
    messages.BatchMessage,
    messages.JobMessage,
    messages.ViewerPong,
    messages.Expired,
    job.JobRecord,
    *events.EVENT_MODELS,
]


def _tidied(definition: dict[str, Any]) -> dict[str, Any]:
    """Return a model's schema as `encode` writes it: a field that is None is absent, and fields have no titles."""
    required = set(definition.get("properties", ()))
    properties: dict[str, Any] = {}
    for name, field in definition.get("properties", {}).items():
        choices = [choice for choice in field.get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) == len(field.get("anyOf", ())):
            shape = dict(field)
        else:
            required.discard(name)
            shape = {key: value for key, value in field.items() if key not in {"anyOf", "default"}}
            shape |= choices[0] if len(choices) == 1 else {"anyOf": choices}
        # Lengths limit what is accepted. As types they would become tuples.
        properties[name] = {key: value for key, value in shape.items() if key not in {"title", "minItems", "maxItems"}}
    tidied = {**definition, "additionalProperties": False, "properties": properties, "required": sorted(required)}
    return tidied if definition.get("type") == "object" else definition


def schema() -> dict[str, Any]:
    """Return the JSON Schema 2020-12 of all messages and events, under `$defs`."""
    _, document = models_json_schema([(model, "serialization") for model in _MODELS], title="Wire")
    definitions = {name: _tidied(definition) for name, definition in document["$defs"].items()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Wire", "$defs": definitions}
