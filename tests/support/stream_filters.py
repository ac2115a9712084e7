"""Decide which stream records the template's mappings give to broadcast, by AWS's documented rules alone.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html and
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from tests.support import templates


class UndocumentedPatternError(Exception):
    """A pattern has something that AWS documents nowhere for a DynamoDB stream, so nobody knows what it does."""


@functools.cache
def patterns(mapping: str) -> tuple[dict[str, Any], ...]:
    """Return the patterns of one of the template's mappings."""
    properties = templates.load("template.yaml")["Resources"][mapping]["Properties"]
    return tuple(json.loads(one["Pattern"]) for one in properties["FilterCriteria"]["Filters"])


def passes(mapping: str, record: Mapping[str, Any]) -> bool:
    """Return whether a mapping of the template gives a record to its function.

    Raises:
        UndocumentedPatternError: its pattern is not one that AWS documents.
    """
    return any(matches(pattern, record) for pattern in patterns(mapping))


def matches(pattern: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Return whether a record matches a pattern.

    Raises:
        UndocumentedPatternError: the pattern is not one that AWS documents.
    """
    if set(pattern) != {"dynamodb"}:
        raise UndocumentedPatternError(f"a DynamoDB mapping filters on the key dynamodb alone, not on {set(pattern)}")
    return _matches(pattern, record)


def _matches(pattern: Mapping[str, Any], found: Any) -> bool:
    verdicts = []
    for name, wanted in pattern.items():
        there = isinstance(found, Mapping) and name in found
        if isinstance(wanted, Mapping):
            verdicts.append(_matches(wanted, found[name] if there else None))
        else:
            verdicts.append(any(_fits(rule, found[name] if there else None, there) for rule in wanted))
    return all(verdicts)


def _fits(rule: Any, value: Any, there: bool) -> bool:
    if isinstance(rule, str):
        return there and value == rule
    if rule == {"exists": True}:
        if isinstance(value, Mapping):
            raise UndocumentedPatternError("`exists` works on leaves: name the attribute's type, too")
        return there
    raise UndocumentedPatternError(f"no rule of this template: {rule}")
