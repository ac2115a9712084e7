"""Select the labels of a container that are recorded with its job, within the limits of the wire."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic_core import to_json

from logferry_protocol.limits import (
    MAX_LABEL_KEY_CHARS,
    MAX_LABEL_VALUE_CHARS,
    MAX_LABELS,
    MAX_LABELS_BYTES,
    MAX_LABELS_JSON_BYTES,
    MAX_MESSAGE_CHARS,
)

_OWN: Final = "logferry."
_ORCHESTRATORS: Final = ("com.docker.compose.", "com.docker.swarm.", "com.docker.stack.", "com.amazonaws.ecs.")
_BETWEEN_BYTES: Final = 2
"""Bytes that JSON adds for each key and value, and around the object."""
_LISTED_LABELS: Final = 12
"""Number of labels that the notice lists by name."""
_LISTED_CHARS: Final = 24
"""Characters of each name in the notice."""


@dataclass(frozen=True, slots=True)
class RecordedLabels:
    """The labels that fit, and the keys of those that do not fit whole."""

    kept: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    """Keys of labels that are not recorded."""
    shortened: tuple[str, ...] = ()
    """Keys of labels whose values are recorded in part."""

    def notice(self, hide: Callable[[str], str] = str) -> str | None:
        """Return a sentence about the labels that are not recorded whole; None when all are.

        Args:
            hide: redacts a key before it is cut.
        """
        parts = []
        if self.left_out:
            parts.append(f"{_count(self.left_out)} not recorded ({_name_labels(self.left_out, hide)})")
        if self.shortened:
            parts.append(f"{_count(self.shortened)} cut ({_name_labels(self.shortened, hide)})")
        if not parts:
            return None
        limits = (
            f"a job takes {MAX_LABELS} labels and {MAX_LABELS_BYTES:,} bytes of them, {MAX_LABEL_KEY_CHARS} characters"
            f" a key and {MAX_LABEL_VALUE_CHARS} a value"
        )
        return f"some of the container's labels are missing or cut: {' and '.join(parts)}; {limits}"[:MAX_MESSAGE_CHARS]


def select_labels(labels: Mapping[str, str], named: Collection[str] = ()) -> RecordedLabels:
    """Select the labels that are recorded.

    Logferry's own labels go first, then labels in the agent's filters, then labels of Compose, Swarm and ECS. In these
    three groups, a value that is too long is shortened. The other labels follow in the order of their keys, while they
    fit.

    Args:
        labels: all labels of the container.
        named: keys of the labels in the agent's filters.
    """

    def rank(key: str) -> int:
        return 0 if key.startswith(_OWN) else 1 if key in named else 2 if key.startswith(_ORCHESTRATORS) else 3

    kept: dict[str, str] = {}
    left_out: list[str] = []
    shortened: list[str] = []
    size = written = 0
    for key in sorted(labels, key=lambda key: (rank(key), key)):
        value = str(labels[key])
        if rank(key) < 3 and len(value) > MAX_LABEL_VALUE_CHARS:
            value = value[: MAX_LABEL_VALUE_CHARS - 1] + "…"
            shortened.append(key)
        more = _bytes(key) + _bytes(value)
        as_json = len(to_json(key)) + len(to_json(value)) + _BETWEEN_BYTES
        too_long = len(key) > MAX_LABEL_KEY_CHARS or len(value) > MAX_LABEL_VALUE_CHARS
        too_many = (
            len(kept) == MAX_LABELS
            or size + more > MAX_LABELS_BYTES
            or written + as_json > MAX_LABELS_JSON_BYTES - _BETWEEN_BYTES
        )
        if too_long or too_many:
            left_out.append(key)
            continue
        kept[key] = value
        size += more
        written += as_json
    return RecordedLabels(kept, tuple(left_out), tuple(key for key in shortened if key in kept))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _count(keys: Collection[str]) -> str:
    return "1 is" if len(keys) == 1 else f"{len(keys)} are"


def _name_labels(keys: tuple[str, ...], hide: Callable[[str], str]) -> str:
    shown = [hide(key) for key in keys[:_LISTED_LABELS]]
    names = [key if len(key) <= _LISTED_CHARS else key[: _LISTED_CHARS - 1] + "…" for key in shown]
    return ", ".join(names) + (f" and {len(keys) - _LISTED_LABELS} more" if len(keys) > _LISTED_LABELS else "")
