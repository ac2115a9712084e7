"""Test that every integer of the wire has bounds that JavaScript's numbers can hold, and that they are enforced."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from logferry_protocol import events, limits
from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.messages import FAMILIES, decode
from query.routes import ROUTES

GOLDEN: Final = json.loads((Path(__file__).parent / "messages.json").read_text())["good"]
EVENTS: Final[list[dict[str, Any]]] = [
    {"event": "restarted", "restarts": 3},
    {"event": "exited", "exit_code": 137},
    {"event": "gap", "reason": "rotated", "start": 1, "end": 2, "count": 3, "bytes": 4},
]
SAFE: Final = 2**53 - 1

FieldPath = tuple[str, ...]
"""Where an integer is: field names, `[]` inside a list, `{}` inside a table."""


def integers(
    schema: dict[str, Any], definitions: dict[str, Any], path: FieldPath = ()
) -> Iterator[tuple[FieldPath, Any, Any]]:
    """Yield the path and the bounds of every integer that a JSON Schema describes."""
    if "$ref" in schema:
        yield from integers(definitions[schema["$ref"].rpartition("/")[2]], definitions, path)
    if schema.get("type") == "integer":
        yield path, schema.get("minimum"), schema.get("maximum")
    for choice in schema.get("anyOf", ()):
        yield from integers(choice, definitions, path)
    for name, inner in schema.get("properties", {}).items():
        yield from integers(inner, definitions, (*path, name))
    for name, inside in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(name), dict):
            yield from integers(schema[name], definitions, (*path, inside))


def described(adapter: TypeAdapter[Any], key: str) -> dict[str, dict[FieldPath, tuple[Any, Any]]]:
    """Return the integers of every message (or event) of a family, by its type."""
    document = adapter.json_schema()
    definitions = document.get("$defs", {})
    return {
        kind: {path: (least, most) for path, least, most in integers({"$ref": reference}, definitions)}
        for kind, reference in document["discriminator"]["mapping"].items()
        if key == document["discriminator"]["propertyName"]
    }


def holders(document: Any, path: FieldPath) -> Iterator[tuple[Any, Any]]:
    """Yield every container and key in a document at a path."""
    step, *rest = path
    inside: Iterable[tuple[Any, Any]]
    if step == "[]":
        inside = enumerate(document) if isinstance(document, list) else ()
    elif step == "{}":
        inside = document.items() if isinstance(document, dict) else ()
    else:
        inside = [(step, document[step])] if isinstance(document, dict) and step in document else ()
    for key, value in list(inside):
        if rest:
            yield from holders(value, tuple(rest))
        else:
            yield document, key


FIELDS: Final = [
    pytest.param(family, kind, path, bounds, id=f"{family}-{kind}-{'.'.join(path)}")
    for family, adapter in FAMILIES.items()
    for kind, found in described(adapter, "type").items()
    for path, bounds in found.items()
]
EVENT_FIELDS: Final = [
    pytest.param(kind, path, bounds, id=f"{kind}-{'.'.join(path)}")
    for kind, found in described(TypeAdapter(events.SystemEvent), "event").items()
    for path, bounds in found.items()
]


def beyond(least: int, most: int) -> st.SearchStrategy[int | float]:
    """Return numbers that are too small or too large, as JSON can write them."""
    near = st.integers(1, 1_000)
    far = st.integers(1, 10**30)
    return st.one_of(
        (near | far).map(lambda more: most + more),
        (near | far).map(lambda less: least - less),
        st.floats(min_value=2.0**60, allow_infinity=False),
        st.floats(max_value=-(2.0**60), allow_infinity=False),
    )


def test_schemas_contain_integers() -> None:
    """The search of the schemas finds what a reader of PROTOCOL.md finds."""
    paths = {(kind, path) for _family, kind, path, _bounds in (field.values for field in FIELDS)}
    assert {
        ("open", ("jobs", "[]", "life", "exit_code")),
        ("ingest", ("batches", "[]", "first")),
        ("ingested", ("slow_down",)),
        ("pong", ("tips", "{}")),
        ("subscribed", ("record", "life", "restarts")),
        ("job", ("record", "bytes")),
        ("watch", ("ttl",)),
    } <= paths  # fmt: skip


@pytest.mark.parametrize(("family", "kind", "path", "bounds"), FIELDS)
def test_message_integer_has_bounds_that_javascript_holds(
    family: str, kind: str, path: FieldPath, bounds: tuple[Any, Any]
) -> None:
    """A new integer without bounds fails here: its type must be one of logferry_protocol.integers."""
    least, most = bounds
    assert least is not None, "no least value"
    assert most is not None, "no greatest value"
    assert -SAFE <= least <= most <= SAFE


@pytest.mark.parametrize(("family", "kind", "path", "bounds"), FIELDS)
@settings(max_examples=12, deadline=None, database=None)
@given(data=st.data())
def test_integer_beyond_its_bounds_is_refused_or_clamped(
    family: str, kind: str, path: FieldPath, bounds: tuple[int, int], data: st.DataObject
) -> None:
    """In each golden message that has the field; at least one has."""
    examples = [one for one in GOLDEN[family] if one["type"] == kind and next(holders(one, path), None)]
    assert examples, f"tests/contract/messages.json has no {kind} with {'.'.join(path)}"
    document = copy.deepcopy(data.draw(st.sampled_from(examples)))
    value = data.draw(beyond(*bounds))
    for holder, key in holders(document, path):
        holder[key] = value
    try:
        message = decode(json.dumps(document), FAMILIES[family])
    except MalformedMessageError:
        return
    written = message.model_dump(mode="json", exclude_none=True)
    assert {holder[key] for holder, key in holders(written, path)} <= set(bounds)


@pytest.mark.parametrize(("kind", "path", "bounds"), EVENT_FIELDS)
@settings(max_examples=12, deadline=None, database=None)
@given(data=st.data())
def test_integer_of_a_system_event_is_clamped(
    kind: str, path: FieldPath, bounds: tuple[int, int], data: st.DataObject
) -> None:
    """A gap stays a gap, whatever an older agent wrote into it."""
    assert None not in bounds
    assert -SAFE <= bounds[0] <= bounds[1] <= SAFE
    document = copy.deepcopy(next(one for one in EVENTS if one["event"] == kind))
    [(holder, key)] = holders(document, path)
    holder[key] = data.draw(beyond(*bounds))
    event = events.decode_event(json.dumps(document))
    assert event.event == kind
    assert getattr(event, key) in bounds


@pytest.mark.parametrize(
    ("number", "moved"),
    [
        ({"exit_code": 2**60}, limits.MAX_EXIT_CODE),
        ({"exit_code": -(2**60)}, limits.MIN_EXIT_CODE),
        ({"exit_code": 3_221_225_786}, 3_221_225_786),
        ({"restarts": -1}, 0),
        ({"restarts": 10**12}, limits.MAX_RESTARTS),
        ({"created": -62_135_596_800_000}, 0),
        ({"ended": 10**20}, limits.MAX_TIME_MS),
    ],
)
def test_numbers_of_an_engine_are_clamped(number: dict[str, int], moved: int) -> None:
    """Windows' 32-bit exit codes, and the year 1 of a container that never ended."""
    opened = next(copy.deepcopy(one) for one in GOLDEN["from_agent"] if one["type"] == "open")
    opened["jobs"][0]["life"] |= number
    message: Any = decode(json.dumps(opened), FAMILIES["from_agent"])
    assert [getattr(message.jobs[0].life, name) for name in number] == [moved]


def test_numbers_counted_by_the_sender_are_refused_beyond_their_bounds() -> None:
    """A clamped sequence would be another entry's."""
    ingest = next(one for one in GOLDEN["from_agent"] if one["type"] == "ingest")
    for change in ({"first": 2**53}, {"first": 2**53 - 1, "count": 2}, {"raw": 2**40}, {"end": 2**53}, {"start": -1}):
        document = {**ingest, "batches": [{**ingest["batches"][0], **change}]}
        with pytest.raises(MalformedMessageError):
            decode(json.dumps(document), FAMILIES["from_agent"])


def test_integer_parameters_of_the_http_api_have_bounds() -> None:
    """A test of the routes sends values beyond each."""
    found = [one for route in ROUTES for one in route.parameters if one.schema.get("type") == "integer"]
    assert len(found) > 10
    for parameter in found:
        assert 0 <= parameter.schema["minimum"] <= parameter.schema["maximum"] <= SAFE + 1, parameter.name
