"""Which containers are read, and from where in those that ran before the agent first came."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

ENABLE_LABEL: Final = "logferry.enable"
OWNER_LABEL: Final = "logferry.owner"
AGENT_LABEL: Final = "logferry.agent"
"""On the agent's own image: a container that has it is an agent, and its log is never read."""

_SPAN: Final = re.compile(r"(\d+)(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class StartAtError(ValueError):
    """A `start_at` that is neither `beginning`, `now` nor a span."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"start_at must be `beginning`, `now` or a span such as 90s, 15m, 1h or 7d, not {self.text!r}"


def start_time(start_at: str, now: int) -> int:
    """From which time on (nanoseconds since 1970; 0: all) a container is read that ran before the agent first came.

    Raises:
        StartAtError: it cannot be read.
    """
    if start_at == "beginning":
        return 0
    if start_at == "now":
        return now
    match = _SPAN.fullmatch(start_at)
    if match is None:
        raise StartAtError(start_at)
    return max(0, now - int(match[1]) * _SECONDS[match[2]] * 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Selection:
    """The patterns that choose containers. Names and images are shell patterns; labels are `key` or `key=pattern`.

    A container is read when it carries `logferry.enable=true`; else not when `logferry.enable` says anything else,
    when `discover` is `labelled`, when an exclude pattern matches, or when there are include patterns of which none
    matches.
    """

    discover: Literal["all", "labelled"] = "all"
    include_names: Sequence[str] = ()
    exclude_names: Sequence[str] = ()
    include_images: Sequence[str] = ()
    exclude_images: Sequence[str] = ()
    include_labels: Sequence[str] = ()
    exclude_labels: Sequence[str] = ()
    own_container: str = ""
    """The container that the agent itself runs in, if it does."""

    def selects(self, container: str, name: str, image: str, labels: Mapping[str, str]) -> bool:
        """Whether a container is read."""
        if container == self.own_container or _is_on(labels.get(AGENT_LABEL, "")):
            return False
        enable = labels.get(ENABLE_LABEL)
        if enable is not None:
            return _is_on(enable)
        if self.discover == "labelled":
            return False
        if (
            _any(self.exclude_names, name)
            or _any_image(self.exclude_images, image)
            or _any_label(self.exclude_labels, labels)
        ):
            return False
        if not (self.include_names or self.include_images or self.include_labels):
            return True
        return (
            _any(self.include_names, name)
            or _any_image(self.include_images, image)
            or _any_label(self.include_labels, labels)
        )


def _is_on(value: str) -> bool:
    return value.strip().lower() in {"true", "1", "yes", "on"}


def _any(patterns: Sequence[str], value: str) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _any_image(patterns: Sequence[str], image: str) -> bool:
    """A pattern without a tag stands for every tag."""
    untagged = image.rpartition(":")[0] if ":" in image.rpartition("/")[2] else image
    return any(fnmatchcase(image, pattern) or fnmatchcase(untagged, pattern) for pattern in patterns)


def _any_label(patterns: Sequence[str], labels: Mapping[str, str]) -> bool:
    for pattern in patterns:
        key, equals, wanted = pattern.partition("=")
        if key in labels and (not equals or fnmatchcase(labels[key], wanted)):
            return True
    return False
