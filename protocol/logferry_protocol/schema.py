"""The messages as one JSON Schema document, from which the viewer's TypeScript types are generated.

python -m logferry_protocol.schema > protocol/schema.json
"""

import json
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
    events.Started,
    events.Restarted,
    events.Exited,
    events.Gap,
    events.Notice,
]


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12, every message and event under `$defs`."""
    _, document = models_json_schema([(model, "serialization") for model in _MODELS], title="Logferry wire")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, sort_keys=True))
