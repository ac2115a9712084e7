"""What is told of a container holds no secret either: its labels and names are redacted as its lines are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from logferry_protocol.job import Container
from logferry_protocol.limits import MAX_IMAGE_CHARS, MAX_NAME_CHARS

from .redaction import Redaction, rules_of


def redact_container(redaction: Redaction, container: Container, kept: Collection[str]) -> Container:
    """Return a container's description without secrets.

    A label is searched as `key=value`, so that a key can say that its value is a secret.

    Args:
        redaction: as for the container's lines.
        container: as the engine describes it.
        kept: keys of labels that stay as they are.
    """
    if not redaction:
        return container
    rules, hidden = rules_of(redaction), Counter[str]()
    changes: dict[str, Any] = {
        name: rules.hide(value, hidden)[:MAX_NAME_CHARS]
        for name in ("name", "host", "project", "service", "task")
        if (value := getattr(container, name))
    }
    changes["image"] = rules.hide(container.image, hidden)[:MAX_IMAGE_CHARS]
    changes["labels"] = {
        key: value if key in kept else rules.hide_value(key, value, hidden) for key, value in container.labels.items()
    }
    return container.model_copy(update=changes) if hidden else container
