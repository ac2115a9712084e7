"""Redact a container's labels and names with the rules for its lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from logferry_protocol.job import Container
from logferry_protocol.limits import MAX_IMAGE_CHARS, MAX_NAME_CHARS

from ..redaction.redaction import Redaction, RedactionRules, compile_rules


def redact_container(
    redaction: Redaction, container: Container, kept: Collection[str] = ()
) -> tuple[Container, Counter[str]]:
    """Return a container's description without secrets, and the number of secrets hidden, by pattern name.

    A label is searched as `key=value`, so that a key can show that its value is a secret.

    Args:
        redaction: the redaction of the container's lines.
        container: the container as the engine describes it.
        kept: keys of labels that stay unchanged, because they are settings in use.
    """
    if not redaction:
        return container, Counter()
    rules, hidden = compile_rules(redaction), Counter[str]()
    changes: dict[str, Any] = {
        name: rules.redact_text(value, hidden)[:MAX_NAME_CHARS]
        for name in ("name", "host", "project", "service", "task")
        if (value := getattr(container, name))
    }
    changes["image"] = rules.redact_text(container.image, hidden)[:MAX_IMAGE_CHARS]
    for shorten in (False, True):
        found = hidden.copy()
        changes["labels"] = _labels(rules, container.labels, kept, found, shorten=shorten)
        # A marker may be longer than the secret, so the labels may become too long for the wire.
        with suppress(ValidationError):
            if not found:
                return container, found
            return Container.model_validate({**container.model_dump(), **changes}), found
    raise AssertionError("labels that are no longer than before fit")


def _labels(
    rules: RedactionRules, labels: Mapping[str, str], kept: Collection[str], hidden: Counter[str], *, shorten: bool
) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in labels.items():
        if key in kept:
            found[key] = value
            continue
        name = rules.redact_text(key, hidden, in_place=shorten)
        # Of keys that differ only in their secrets, the first is kept.
        found.setdefault(name, rules.redact_value(key, value, hidden, in_place=shorten))
    return found
