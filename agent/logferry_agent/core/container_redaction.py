"""What is told of a container holds no secret either: its labels and names are redacted as its lines are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

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
    labels = container.labels.items()
    for shorten in (False, True):
        changes["labels"] = {
            key: value if key in kept else rules.hide_value(key, value, hidden, in_place=shorten)
            for key, value in labels
        }
        # A marker may be longer than what it hides: then the labels may be too long for the wire.
        with suppress(ValidationError):
            return Container.model_validate({**container.model_dump(), **changes}) if hidden else container
    raise AssertionError("labels that are no longer than before fit")
