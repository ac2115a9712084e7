"""Apply the settings that a container makes for itself by its labels.

A label adds to the operator's settings and never weakens them: it can redact more, or send fewer lines. A label without
effect gives a sentence, which becomes a notice in the container's job.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from logferry_protocol.job import OWNER_PATTERN
from logferry_protocol.limits import MAX_LABEL_VALUE_CHARS, MAX_MESSAGE_CHARS

from ..batching.processing import ProcessingOptions
from ..redaction.patterns import PatternError, compile_pattern
from ..redaction.redaction import BUILT_IN, REDACTED, compile_rules
from .filters import ENABLE_LABEL, OWNER_LABEL

PREFIX: Final = "logferry."
ENABLE: Final = ENABLE_LABEL.removeprefix(PREFIX)
OWNER: Final = OWNER_LABEL.removeprefix(PREFIX)
REDACT: Final = "redact"
MERGE_START: Final = "merge-start"
RATE_LIMIT: Final = "rate-limit"
ALL: Final = (ENABLE, OWNER, REDACT, MERGE_START, RATE_LIMIT)
"""The settings that a container may make by a label `logferry.NAME`."""
LABELS: Final = frozenset(PREFIX + name for name in ALL)

MAX_RATE: Final = 1_000_000_000

_OWNER: Final = re.compile(OWNER_PATTERN)
_RATE: Final = re.compile(r"[0-9]{1,10}")
_NOT_ALLOWED: Final = "the agent's setting allow_labels does not include it"
_REDACTED_PART: Final = "it contains a secret that the agent redacts; write the regular expression without it"
_TOO_LONG: Final = f"it must have fewer than {MAX_LABEL_VALUE_CHARS} characters"
_QUOTE_NOTHING: Final = frozenset({_NOT_ALLOWED, _REDACTED_PART, _TOO_LONG})
"""Problems whose sentences quote nothing of the label's value."""
_SWITCH: Final = frozenset({"true", "1", "yes", "on", "false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """The result of a container's labels."""

    processing: ProcessingOptions
    """The processing of the container's lines."""
    problems: tuple[str, ...] = ()
    """One sentence for each label without effect: what is wrong, and what would be right. It holds no secrets."""
    valid: frozenset[str] = frozenset()
    """Labels with valid values. They are settings, even when a value looks like a secret."""


def apply_label_settings(
    processing: ProcessingOptions, labels: Mapping[str, str], allowed: Collection[str] = ALL
) -> LabelSettings:
    """Return the processing of a container's lines, and the problems with its labels.

    Args:
        processing: the operator's settings.
        labels: the container's labels.
        allowed: names of `ALL` that a container may set.
    """
    wrong: list[tuple[str, str, str]] = []
    valid: set[str] = set()
    for name in ALL:
        label = PREFIX + name
        value = labels.get(label)
        if value is None:
            continue
        if name == MERGE_START and (REDACTED in value or _hides(processing, label, value)):
            problem: str | None = _REDACTED_PART
        elif name not in allowed:
            problem = _NOT_ALLOWED
            if len(value) < MAX_LABEL_VALUE_CHARS and _applied(ProcessingOptions(), name, value)[1] is None:
                valid.add(label)
        elif len(value) >= MAX_LABEL_VALUE_CHARS:
            problem = _TOO_LONG
        else:
            value = value if name == OWNER else value.strip()
            processing, problem = _applied(processing, name, value)
            if problem is None or _applied(ProcessingOptions(), name, value)[1] is None:
                valid.add(label)
        if problem is not None:
            wrong.append((name, value, problem))
    problems = [
        _sentence(processing, name, value, problem, valid=PREFIX + name in valid) for name, value, problem in wrong
    ]
    return LabelSettings(processing, tuple(problems), frozenset(valid))


def _sentence(processing: ProcessingOptions, name: str, value: str, problem: str, *, valid: bool) -> str:
    """Return the sentence about a label, without anything that is redacted in the container's lines."""
    label = PREFIX + name
    shown = value if valid else _hidden(processing, label, value)
    if shown != value:
        # The problem may quote a part of the value.
        quoting = name in {REDACT, MERGE_START} and problem not in _QUOTE_NOTHING
        problem = (_applied(ProcessingOptions(), name, shown)[1] if quoting else problem) or "its value is hidden"
    shown = shown if len(shown) <= 64 else shown[:63] + "…"
    return f"the label {label}={shown} is not used: {problem}"[:MAX_MESSAGE_CHARS]


def _hidden(processing: ProcessingOptions, label: str, value: str) -> str:
    redaction = processing.redaction
    return compile_rules(redaction).redact_value(label, value, Counter()) if redaction else value


def _hides(processing: ProcessingOptions, label: str, value: str) -> bool:
    return _hidden(processing, label, value) != value


def allowed_labels(labels: Mapping[str, str], allowed: Collection[str]) -> Mapping[str, str]:
    """Return the labels without the settings that the operator does not allow."""
    refused = {PREFIX + name for name in ALL if name not in allowed}
    if refused.isdisjoint(labels):
        return labels
    return {key: value for key, value in labels.items() if key not in refused}


def _applied(processing: ProcessingOptions, name: str, value: str) -> tuple[ProcessingOptions, str | None]:
    """Return the processing with a label applied, or the unchanged processing and why the label has no effect."""
    problem: str | None = None
    if name == ENABLE and value.lower() not in _SWITCH:
        problem = "it must be `true` or `false`"
    elif name == OWNER and _OWNER.fullmatch(value) is None:
        problem = "an owner has 1 to 128 letters, digits and the signs `.`, `_`, `@`, `:` and `-`"
    elif name == REDACT:
        return _redacted(processing, value)
    elif name == RATE_LIMIT:
        return _limited(processing, value)
    elif name == MERGE_START:
        return _merged(processing, value)
    return processing, problem


def _redacted(processing: ProcessingOptions, value: str) -> tuple[ProcessingOptions, str | None]:
    names = [part.strip() for part in value.split(",") if part.strip()]
    known = (*BUILT_IN, "all")
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"there is no {unknown[0][:32]!r}" if unknown else "it is empty"
        return processing, f"{wrong}; it must be one or more of {', '.join(known)}, with commas"
    added = tuple(name for name in names if name not in processing.redact)
    return replace(processing, redact=processing.redact + tuple(dict.fromkeys(added))), None


def _limited(processing: ProcessingOptions, value: str) -> tuple[ProcessingOptions, str | None]:
    if _RATE.fullmatch(value) is None or not 1 <= int(value) <= MAX_RATE:
        return processing, f"it must be a whole number of lines a second, 1 to {MAX_RATE:,} written without commas"
    rate = int(value)
    if processing.rate_limit and rate > processing.rate_limit:
        return processing, f"the agent's setting rate_limit is {processing.rate_limit}, and a label can only lower it"
    return replace(processing, rate_limit=rate), None


def _merged(processing: ProcessingOptions, value: str) -> tuple[ProcessingOptions, str | None]:
    if not value:
        return processing, "it is empty; it must be a regular expression of a line that starts an entry"
    try:
        compile_pattern(value)
    except PatternError as error:
        return processing, f"it is not a regular expression of RE2: {error.problem}"
    if processing.merge_start is not None and processing.merge_start != value:
        return processing, "the agent's setting merge_start is set, and a label cannot change it"
    return replace(processing, merge_start=value), None
