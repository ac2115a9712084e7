"""Render the sentences of system events for TypeScript, and their tables for PROTOCOL.md."""

from __future__ import annotations

import string
from typing import get_args

from pydantic import BaseModel

from logferry_protocol.event_sentences import (
    GAP_AT,
    GAP_BETWEEN,
    GAP_REASONS,
    SENTENCES,
    UNKNOWN_REASON,
    Condition,
    Part,
)
from logferry_protocol.events import EVENT_MODELS

from .typescript import banner, comment, literal

_JSON_TYPES = {"string": "string", "integer": "number", "boolean": "boolean"}
"""The `typeof` of a value in JavaScript, by the type that JSON Schema names."""


def event_kinds() -> dict[str, type[BaseModel]]:
    """Return the models of all events by the value of their field `event`."""
    return {model.model_fields["event"].default: model for model in EVENT_MODELS}


def sentences_typescript() -> str:
    """Return web/src/text/eventSentences.ts."""
    kinds = " | ".join(literal(kind) for kind in SENTENCES)
    conditions = " | ".join(literal(condition) for condition in get_args(Condition) if condition != "always")
    tables = {kind: [_part(part) for part in parts] for kind, parts in SENTENCES.items()}
    lines = [
        banner("protocol/logferry_protocol/event_sentences.py"),
        f"export type EventKind = {kinds};",
        "",
        comment("A piece of a sentence, and when it is shown, depending on one field of the event; else always."),
        f"export type Part = readonly [text: string, when?: {conditions}, field?: string];",
        "",
        comment("The sentence of each kind of event. `{field}` stands for the event's field of that name."),
        "export const SENTENCES: { readonly [kind: string]: readonly Part[] } = {",
        *(_property(kind, parts) for kind, parts in tables.items()),
        "};",
        comment("Follow the sentence of a gap: where `start` and `end` look the same, and where they do not."),
        f"export const GAP_AT = {literal(GAP_AT)};",
        f"export const GAP_BETWEEN = {literal(GAP_BETWEEN)};",
        comment("The text for each reason of a gap."),
        "export const GAP_REASONS: { readonly [reason: string]: string } = {",
        *(f"  {reason}: {literal(text)}," for reason, text in GAP_REASONS.items()),
        "};",
        f"export const UNKNOWN_REASON = {literal(UNKNOWN_REASON)};",
        comment("The type of each field that a sentence depends on, as `typeof` names it."),
        "export const FIELD_TYPES: { readonly [field: string]: string } = {",
        *(f"  {field}: {literal(kind)}," for field, kind in field_types().items()),
        "};",
    ]
    return "\n".join(lines) + "\n"


def field_types() -> dict[str, str]:
    """Return the JavaScript type of each field that the sentences depend on.

    Raises:
        ValueError: two events have a field of one name and different types.
    """
    found: dict[str, str] = {}
    used = {part.field for parts in SENTENCES.values() for part in parts if part.field} | {"start", "end"}
    for text in (part.text for parts in SENTENCES.values() for part in parts):
        used |= {field for _, field, _, _ in string.Formatter().parse(text) if field}
    for kind, model in event_kinds().items():
        for name, schema in model.model_json_schema()["properties"].items():
            if name in used:
                types = {choice.get("type") for choice in schema.get("anyOf", [schema])} - {"null"}
                [json_type] = types
                made = _JSON_TYPES[json_type]
                if found.setdefault(name, made) != made:
                    raise ValueError(f"the field {name} of {kind} has another type elsewhere: give it another name")
    return found


def _part(part: Part) -> str:
    values = (part.text,) if part.when == "always" else (part.text, part.when, part.field)
    return f"[{', '.join(map(literal, values))}]"


def _property(kind: str, parts: list[str]) -> str:
    """Return one property of the table, on one line where it has one part."""
    if len(parts) == 1:
        return f"  {kind}: [{parts[0]}],"
    return "\n".join([f"  {kind}: [", *(f"    {part}," for part in parts), "  ],"])


def events_table() -> str:
    """Return the table of events in PROTOCOL.md."""
    rows = []
    for kind, model in event_kinds().items():
        fields = ", ".join(f"`{name}`" for name in model.model_fields if name != "event")
        summary = " ".join((model.__doc__ or "").split()).removesuffix(".")
        rows.append(f"| `{kind}` | {fields} | {summary} |")
    return "\n".join(["| `event` | fields | meaning |", "|---|---|---|", *rows]) + "\n"


def gap_reasons_table() -> str:
    """Return the table of a gap's reasons in PROTOCOL.md."""
    rows = [f"| `{reason}` | {text} |" for reason, text in GAP_REASONS.items()]
    return "\n".join(["| `reason` | entries are missing because |", "|---|---|", *rows]) + "\n"
