"""Which of a container's labels are recorded with its job, within the limits of the wire."""

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
"""What JSON writes between keys, values and around them all."""
_TOLD: Final = 12
"""Names of labels that the notice lists."""
_TOLD_CHARS: Final = 24
"""Characters of each."""


@dataclass(frozen=True, slots=True)
class RecordedLabels:
    """The labels that fit, and what became of the others."""

    kept: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    """Keys of those that are not recorded."""
    shortened: tuple[str, ...] = ()
    """Keys of those whose values are recorded in part."""

    def notice(self, hide: Callable[[str], str] = str) -> str | None:
        """Return the sentence that tells of labels that are not recorded as they are; None when all are.

        Args:
            hide: what is done with a key before it is cut.
        """
        parts = []
        if self.left_out:
            parts.append(f"{_count(self.left_out)} not recorded ({_listed(self.left_out, hide)})")
        if self.shortened:
            parts.append(f"{_count(self.shortened)} recorded only in part ({_listed(self.shortened, hide)})")
        if not parts:
            return None
        limits = (
            f"a job takes {MAX_LABELS} labels and {MAX_LABELS_BYTES:,} bytes of them, {MAX_LABEL_KEY_CHARS} characters"
            f" a key and {MAX_LABEL_VALUE_CHARS} a value"
        )
        return f"of the container's labels {' and '.join(parts)}: {limits}"[:MAX_MESSAGE_CHARS]


def select_labels(labels: Mapping[str, str], named: Collection[str] = ()) -> RecordedLabels:
    """Choose the labels that are recorded.

    Logferry's own go first, then those that a setting of the agent names, then those of Compose, Swarm and ECS: of
    these a value that is too long is shortened. The others follow in the order of their keys, as long as they fit.

    Args:
        labels: all that the container has.
        named: keys of the labels that the agent's settings are about.
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


def _listed(keys: tuple[str, ...], hide: Callable[[str], str]) -> str:
    shown = [hide(key) for key in keys[:_TOLD]]
    names = [key if len(key) <= _TOLD_CHARS else key[: _TOLD_CHARS - 1] + "…" for key in shown]
    return ", ".join(names) + (f" and {len(keys) - _TOLD} more" if len(keys) > _TOLD else "")
