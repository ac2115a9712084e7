"""Test that the command's text functions do work proportional to the text: counted, not timed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import starmap
from types import FrameType
from typing import Any

import pytest

from logferry_cli.export import JsonlFormatter, TextFormatter
from logferry_cli.line_joiner import LineJoiner
from logferry_cli.reader import Run
from logferry_cli.records import DamagedRecord, read_record
from logferry_cli.tail import Screen, Style
from logferry_cli.terminal import sanitize_json, sanitize_line, sanitize_word
from logferry_protocol.batch import Columns
from logferry_protocol.events import decode_event, describe


class CountingText(str):
    """A text that counts the characters copied from it."""

    copied = 0

    def __getitem__(self, key: Any) -> CountingText:
        part = CountingText(super().__getitem__(key))
        CountingText.copied += len(part)
        return part

    def removesuffix(self, suffix: str, /) -> CountingText:
        return CountingText(super().removesuffix(suffix))


def measured_work(function: Callable[[str], object], text: str) -> int:
    """Return the executed lines of Python plus the characters copied or produced."""
    lines = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    CountingText.copied = 0
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        answer = function(CountingText(text))
    finally:
        sys.settrace(before)
    return lines + CountingText.copied + len(answer if isinstance(answer, str) else repr(answer))


def rows(text: str) -> Columns:
    """Return a text as fragments of one endless line, alternating between the streams."""
    pieces = [text[at : at + 100] for at in range(0, len(text), 100)] or [""]
    streams = "".join("oe"[at % 2] if at < 2 else "OE"[at % 2] for at in range(len(pieces)))
    return Columns([1] * len(pieces), streams, pieces)


def joined(text: str) -> str:
    joiner = LineJoiner(10_000)
    return "".join(line.text for line in (*joiner.lines(1, rows(text)), *joiner.flush()))


def exported(text: str) -> str:
    formatter = TextFormatter()
    return formatter.run(Run(1, rows(text))) + formatter.end()


def shown(text: str) -> str:
    screen = Screen(Style(raw=False, times=True, gutter=True, colours=True), sys.stdout, sys.stderr)
    return "".join(map(screen.text, LineJoiner().lines(1, Columns([1], "o", [text]))))


def damage_of(text: str) -> str:
    record = read_record({"job": text, "owner": text, "life": {"problem": text}})
    assert isinstance(record, DamagedRecord)
    return record.damage


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "harmless": sanitize_line,
    "harmless without colours": lambda text: sanitize_line(text, colours=False),
    "sanitize_word": sanitize_word,
    "sanitize_json": sanitize_json,
    "joined": joined,
    "text export": exported,
    "jsonl export": lambda text: JsonlFormatter("job").run(Run(1, rows(text))),
    "screen": shown,
    "event": lambda text: describe(decode_event(json.dumps({"event": "gap", "reason": "limit", "note": text}))),
    "no event": lambda text: describe(decode_event(text)),
    "record": damage_of,
}
HOSTILE: dict[str, Callable[[int], str]] = {
    "colours": lambda n: "\x1b[31m" * n,
    "unfinished colours": lambda n: "\x1b[" * n,
    "long parameters": lambda n: "\x1b[" + "1;" * n + "m",
    "many parameters": lambda n: ("\x1b[" + "38;5;1;" * 8 + "m") * n,
    "colons": lambda n: "\x1b[" + "4:" * n + "3m",
    "controls": lambda n: "\x00\x9b\u202e\U000e0041" * n,
    "carriage returns": lambda n: "\r" * n,
    "line feeds": lambda n: "\n" * n,
    "escapes at the end": lambda n: "a" * n + "\x1b[",
    "hyperlinks": lambda n: "\x1b]8;;x\x1b\\" * n,
    "brackets": lambda n: "[" * n,
    "quotes": lambda n: '{"event":"' * n,
    "astral": lambda n: "\U0001f6a2" * n,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_work_grows_no_faster_than_the_text(name: str) -> None:
    """Four times the text costs about four times the work; constant parts only reduce that."""
    function = FUNCTIONS[name]
    function("x")  # models are built at their first use, which is no work on the text
    ratios = {
        kind: measured_work(function, make(4 * 500)) / max(measured_work(function, make(500)), 1)
        for kind, make in HOSTILE.items()
    }
    assert max(ratios.values()) < 4.6, ratios


def test_superlinear_work_is_detected() -> None:
    """The counting itself: a nested loop, and a text that is copied repeatedly."""

    def looping(text: str) -> int:
        return sum(1 for _ in text for _ in text)

    def copying(text: str) -> str:
        while text:
            text = text[1:]
        return text

    for quadratic in (looping, copying):
        small, large = starmap(measured_work, ((quadratic, "x" * 50), (quadratic, "x" * 200)))
        assert large / small > 10
