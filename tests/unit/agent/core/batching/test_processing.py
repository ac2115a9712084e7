"""Test `core/batching/processing.py`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_agent.core.batching.entries import Chunk, SavedEntries
from logferry_agent.core.batching.processing import LARGEST_MERGED_BYTES, MERGED_LINES, ProcessingOptions, Processor
from logferry_agent.core.redaction.redaction import REDACTED
from logferry_protocol.events import Gap, decode_event
from logferry_protocol.limits import MAX_ENTRY_BYTES

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"


def chunk(texts: list[str], streams: str | None = None, first: int = 0, step_us: int = 1_000) -> Chunk:
    """Return a chunk whose cursors are the number of the source's entries before."""
    times = [1_000_000 + step_us * (first + index) for index in range(len(texts))]
    return Chunk(times, streams or "o" * len(texts), texts, sum(map(len, texts)), lambda count: str(first + count))


def redacted(text: str, *names: str, patterns: tuple[str, ...] = ()) -> str:
    processed = Processor(ProcessingOptions(redact=names, redact_patterns=patterns)).process(chunk([text]))
    assert processed is not None
    return processed.texts[0]


@pytest.mark.parametrize(
    ("name", "text", "secret"),
    [
        ("aws", "key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
        (
            "aws",
            "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("aws", '"secretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"', "wJalrXUtnFEMI"),
        ("aws", 'aws configure: {"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}', "wJalrXUtnFEMI"),
        ("aws", r'{"log":"{\"secretAccessKey\":\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"}"}', "wJalrXUtnFEMI"),
        ("aws", "export AWS_SECRET_ACCESS_KEY='wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'", "wJalrXUtnFEMI"),
        ("aws", '"SessionToken": "' + "IQoJb3JpZ2luX2VjE" * 20 + '"', "IQoJb3JpZ2luX2VjE"),
        ("aws", "GET /?X-Amz-Security-Token=" + "FwoGZXIvYXdzE%2F" * 20 + "&x=1", "FwoGZXIvYXdzE"),
        ("bearer", "Authorization: Bearer abcdef.123456-XYZ", "abcdef.123456-XYZ"),
        ("bearer", '{"authorization":"bearer  abcdef123456"}', "abcdef123456"),
        ("bearer", "AUTHORIZATION: BEARER ABCDEF123456", "ABCDEF123456"),
        ("jwt", f"token={JWT}", JWT),
        (
            "jwt",
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT",
            "48V1_ALb6US04U3b",
        ),
        ("private_key", "-----BEGIN RSA PRIVATE KEY----- MIIE -----END RSA PRIVATE KEY----- after", "MIIE"),
        ("all", f"AKIAIOSFODNN7EXAMPLE {JWT}", JWT),
    ],
)
def test_known_secrets_are_replaced(name: str, text: str, secret: str) -> None:
    """Before anything leaves the host."""
    assert secret in text
    shown = redacted(text, name)
    assert secret not in shown
    assert REDACTED in shown


def test_ordinary_text_is_unchanged() -> None:
    """Including text that resembles a secret."""
    for text in ("the bearer of bad news", "key AKIA", "eyJ is how a JWT begins", "BEGIN CERTIFICATE", "a" * 64):
        assert redacted(text, "all") == text


def test_users_own_patterns_are_replaced_too() -> None:
    """Beside the built-in ones, or alone."""
    assert redacted("card 4111-1111-1111-1111 of Ann", patterns=(r"\d{4}(-\d{4}){3}",)) == f"card {REDACTED} of Ann"


def test_name_stays_and_its_secret_is_replaced() -> None:
    """A reader sees that there was a secret, and which."""
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert redacted(f"AWS_SECRET_ACCESS_KEY={secret} next", "aws") == f"AWS_SECRET_ACCESS_KEY={REDACTED} next"
    assert redacted("Bearer abcdef123456, sir", "bearer") == f"Bearer {REDACTED}, sir"


@pytest.mark.parametrize(
    ("patterns", "text", "expected"),
    [
        ((r"^pin: \d+$",), "pin: 1234", REDACTED),
        ((r"\Apin: \d+",), "pin: 1234", REDACTED),
        ((r"(?i)secret=\w+", r"(?i)token=\w+"), "SECRET=a Token=b", f"{REDACTED} {REDACTED}"),
        ((r"(x)\dx", r"(y)\dy"), "x1x y2y", f"{REDACTED} {REDACTED}"),
        ((r"(?P<n>a)\d", r"(?P<n>b)\d"), "a1 b2", f"{REDACTED} {REDACTED}"),
        ((r"1|2",), "c12", f"c{REDACTED}{REDACTED}"),
    ],
)
def test_each_user_pattern_keeps_its_meaning(patterns: tuple[str, ...], text: str, expected: str) -> None:
    """Anchors, flags, groups and alternatives, whatever else is in the chunk or in other patterns."""
    given = chunk(["before", text, "after"])
    out = Processor(ProcessingOptions(redact=("aws", "bearer"), redact_patterns=patterns)).process(given)
    assert out is not None
    assert out.texts == ["before", expected, "after"]


def test_anchor_applies_to_every_line_of_a_merged_entry() -> None:
    """Merging comes before redaction."""
    processor = Processor(ProcessingOptions(merge_start=r"^\S", redact_patterns=(r"^ pin: \d+$",)))
    assert processor.process(chunk(["start", " pin: 1234", " end"])) is None
    out = processor.flush()
    assert out is not None
    assert out.texts == [f"start\n{REDACTED}\n end"]


def pieces_of(line: str, size: int = 16_384) -> list[str]:
    return [line[at : at + size] for at in range(0, len(line), size)]


@given(st.integers(0, 60), st.integers(1, 4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_secret_split_with_its_line_is_replaced(before: int, chunks: int, stderr: bool) -> None:
    """Docker splits at 16 KiB anywhere, and the fragments may come in one chunk or in several."""
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    line = "x" * (16_384 - before) + f" aws_secret_access_key={secret} " + "y" * 20_000
    texts = [*pieces_of(line), "next"]
    streams = ("eEEo" if stderr else "oOOo") if len(texts) == 4 else ("eEo" if stderr else "oOo")
    processor = Processor(ProcessingOptions(redact=("aws",)))
    found: list[str] = []
    cursors: list[str] = []
    step = -(-len(texts) // chunks)
    for first in range(0, len(texts), step):
        part = chunk(texts[first : first + step], streams[first : first + step], first)
        if (out := processor.process(part)) is not None:
            found += out.texts
            cursors += [out.cursor_at(count) for count in range(1, len(out.texts) + 1)]
    if (out := processor.flush()) is not None:
        found += out.texts
        cursors += [out.cursor_at(count) for count in range(1, len(out.texts) + 1)]
    shown = "".join(found)
    assert all(secret[at : at + 8] not in shown for at in range(len(secret) - 7))
    assert REDACTED in shown
    assert (len(found), found[-1]) == (len(texts), "next")
    assert cursors == [str(count) for count in range(1, len(texts) + 1)]
    assert max(len(text.encode()) for text in found) <= MAX_ENTRY_BYTES


def test_redaction_never_exceeds_the_wires_entry_limit() -> None:
    """Otherwise the cloud would refuse the batch."""
    text = "bearer 12345678 " * 1_024
    assert len(text) == MAX_ENTRY_BYTES
    out = Processor(ProcessingOptions(redact=("bearer",))).process(chunk([text, "x"]))
    assert out is not None
    assert len(out.texts[0]) <= MAX_ENTRY_BYTES
    assert "12345678" not in out.texts[0]


def test_multi_line_private_key_is_hidden_line_by_line() -> None:
    """Also when the lines span chunks, and another stream writes between them."""
    processor = Processor(ProcessingOptions(redact=("private_key",)))
    first = processor.process(chunk(["x -----BEGIN EC PRIVATE KEY-----", "stderr", "MHcCAQ"], "oeo"))
    second = processor.process(chunk(["AwEHoU", "-----END EC PRIVATE KEY----- y", "plain"], "ooo", first=3))
    assert first is not None
    assert second is not None
    assert first.texts == [f"x {REDACTED}", "stderr", REDACTED]
    assert second.texts == [REDACTED, f"{REDACTED} y", "plain"]


def merged(*parts: Chunk, start: str = r"^\S") -> tuple[list[str], list[str]]:
    """Return the texts and cursors of a merger, flushed at the end."""
    processor = Processor(ProcessingOptions(merge_start=start))
    texts: list[str] = []
    cursors: list[str] = []
    for out in [*(processor.process(part) for part in parts), processor.flush()]:
        if out is not None:
            texts += out.texts
            cursors += [out.cursor_at(count) for count in range(1, len(out.texts) + 1)]
    return texts, cursors


def test_stack_trace_becomes_one_entry_however_it_was_read() -> None:
    """Within a chunk and across chunks, with the cursor after its last line."""
    lines = ["before", "Traceback:", "  File a", "  File b", "after"]
    expected = (["before", "Traceback:\n  File a\n  File b", "after"], ["1", "4", "5"])
    assert merged(chunk(lines)) == expected
    assert merged(*(chunk([line], first=index) for index, line in enumerate(lines))) == expected


def test_merging_is_capped_and_never_drops() -> None:
    """Bytes and lines: the rest continues in the next entry."""
    texts, _ = merged(chunk(["start"] + [" x"] * (MERGED_LINES + 10)))
    assert len(texts) == 2
    texts, cursors = merged(chunk(["start", " " + "x" * 10_000, " " + "y" * 10_000]))
    assert [len(text.encode()) <= LARGEST_MERGED_BYTES for text in texts] == [True, True]
    assert cursors[-1] == "3"


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("oes"), st.sampled_from(["a", " b", " c", ""])), min_size=1), max_size=5
    )
)
@settings(max_examples=100, deadline=None)
def test_merging_keeps_every_line_in_order(parts: list[list[tuple[str, str]]]) -> None:
    """For any chunks; system entries are unchanged."""
    given_texts = [text for part in parts for _, text in part]
    chunks, first = [], 0
    for part in parts:
        chunks.append(chunk([text for _, text in part], "".join(letter for letter, _ in part), first))
        first += len(part)
    texts, cursors = merged(*chunks)
    assert "\n".join(texts) == "\n".join(given_texts)
    assert cursors == sorted(cursors, key=int)
    assert not cursors or cursors[-1] == str(first)


def test_rate_limit_turns_the_excess_into_counted_gaps() -> None:
    """By the entries' own times, in bursts of ten seconds' worth."""
    processor = Processor(ProcessingOptions(rate_limit=10))
    out = processor.process(chunk([f"line {index}" for index in range(500)]))
    assert out is not None
    events = [decode_event(text) for letter, text in zip(out.streams, out.texts, strict=True) if letter == "s"]
    gaps = [event for event in events if isinstance(event, Gap)]
    kept = out.streams.count("o")
    assert 100 <= kept <= 110
    assert kept + sum(gap.count or 0 for gap in gaps) == 500
    assert {gap.reason for gap in gaps} == {"rate_limit"}
    assert (processor.limited, processor.gaps) == (500 - kept, len(gaps))
    assert out.cursor_at(len(out.texts)) == "500"


def test_constantly_fast_container_has_one_gap_a_second_and_its_share_of_lines() -> None:
    """A gap after every passing line would double its traffic."""
    out = Processor(ProcessingOptions(rate_limit=10)).process(chunk(["x"] * 6_000, step_us=10_000))
    assert out is not None
    assert 600 <= out.streams.count("o") <= 700
    assert out.streams.count("s") <= 60


def test_merging_does_not_evade_the_rate_limit() -> None:
    """A merged entry counts as all its lines."""
    processor = Processor(ProcessingOptions(rate_limit=10, merge_start="^start"))
    processor.process(chunk(["start", *[" x"] * 49] * 20))
    out = processor.flush()
    assert out is not None
    assert processor.limited == 17


def test_slow_container_is_never_limited() -> None:
    """Ten lines a second for a minute, read at once."""
    processor = Processor(ProcessingOptions(rate_limit=10))
    out = processor.process(chunk(["x"] * 600, step_us=100_000))
    assert out is not None
    assert out.streams == "o" * 600


def test_fragments_of_a_long_line_pass_or_drop_together() -> None:
    """Otherwise readers would join them to another line."""
    processor = Processor(ProcessingOptions(rate_limit=1))
    out = processor.process(chunk(["x"] * 10 + ["long", "er", "y"], "o" * 11 + "Oo"))
    assert out is not None
    assert out.streams == "o" * 10 + "s"


def test_skipped_entries_are_not_processed() -> None:
    """A restored cursor says how many to skip."""
    out = Processor(ProcessingOptions(redact=("all",))).process(chunk(["a", "b", "c"]), 2)
    assert out is not None
    assert (out.texts, out.cursor_at(1)) == (["c"], "3")
    assert Processor(ProcessingOptions(redact=("all",))).process(chunk(["a"]), 1) is None


KEY = ["-----BEGIN EC PRIVATE KEY-----", "MHcCAQ", "AwEHoU", "-----END EC PRIVATE KEY-----"]


def test_cursor_says_whether_it_is_inside_a_private_key() -> None:
    """Another processor continues from it, for each stream; also behind a rate limit's gap."""
    texts = ["x", KEY[0], "stderr", KEY[0], *KEY[1:3], KEY[2], KEY[3], "y", KEY[3], "z"]
    streams = "ooeeoeoeooo"
    for rate in (0, 1):
        out = Processor(ProcessingOptions(redact=("private_key",), rate_limit=rate)).process(chunk(texts, streams))
        assert out is not None
        ends = [out.cursor_at(count) for count in range(1, len(out.texts) + 1)]
        if not rate:
            assert [end.partition("|")[2] for end in ends] == [
                *("", "r=zoaa", "r=zoaa", "r=zeaaoaa", "r=zeaaoab", "r=zeaboab", "r=zeaboac"),
                *("r=zoac", "r=zoad", "", ""),
            ]
        for end in ends:
            processor = Processor(ProcessingOptions(redact=("private_key",)))
            processor.resume_after(end)
            rest = processor.process(chunk(texts, streams), int(end.partition("|")[0]))
            assert rest is None or not {"MHcCAQ", "AwEHoU"} & set(rest.texts)


def test_processor_that_starts_elsewhere_is_outside_any_private_key() -> None:
    """Text from another position follows other lines; held-back entries are read again."""
    processor = Processor(ProcessingOptions(redact=("private_key",), merge_start="^"))
    processor.process(chunk(["a", KEY[0], "held"]))
    assert processor.holding
    processor.resume_after("1")
    out = processor.process(chunk(["b", "c"]))
    assert out is not None
    assert out.texts == ["b"]


def test_skipped_entries_are_checked_for_the_start_of_a_private_key() -> None:
    """Also if they are a chunk of their own."""
    for first, second, begins in ((KEY[:2], KEY[2:], (2, 0)), ([], KEY, (0, 2))):
        processor = Processor(ProcessingOptions(redact=("private_key",)))
        processor.resume_after("0~2")
        assert not first or processor.process(chunk(first), begins[0]) is None
        out = processor.process(chunk(second), begins[1])
        assert out is not None
        assert out.texts == [REDACTED, REDACTED]


def test_cursor_before_skipped_entries_describes_what_preceded_these() -> None:
    """Like a restored entry's: its content is not reported twice."""
    restored = SavedEntries([0, 0], "oo", KEY[:2], "2").to_chunk("9|r=e")
    out = Processor(ProcessingOptions(redact=("private_key",))).process(restored)
    assert out is not None
    assert [out.cursor_at(1), out.cursor_at(2)] == ["9|r=e~1", "2|r=zoab"]


def test_held_back_entry_keeps_its_lines_as_they_were_read() -> None:
    """With the cursor behind them: another processor holds them back in the same way."""
    processor = Processor(ProcessingOptions(merge_start=r"^\S", redact=("bearer",)))
    processor.process(chunk(["a", "b", " bearer 12345678"]))
    held = processor.held
    assert held is not None
    assert (held.texts, held.cursor_at(2)) == (["b", " bearer 12345678"], "3")
    again = Processor(ProcessingOptions(merge_start=r"^\S", redact=("bearer",)))
    assert again.process(held) is None
    out = again.process(chunk([" c", "d"], first=3))
    assert out is not None
    assert (out.texts, out.cursor_at(1)) == ([f"b\n bearer {REDACTED}\n c"], "4")


@given(st.lists(st.tuples(st.sampled_from("oe"), st.integers(0, 3)), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_fragments_of_a_long_line_share_its_fate_across_processors(
    lines: list[tuple[str, int]],
) -> None:
    """Killed within a dropped line: its next fragment would otherwise join a line that passed."""
    streams = "".join(letter + letter.upper() * more for letter, more in [("o", 0)] * 9 + lines)
    texts = [f"{index} {'x' * 5_000}" for index in range(len(streams))]
    given = chunk(texts, streams)
    for cut in range(1, len(streams)):
        out = Processor(ProcessingOptions(rate_limit=1)).process(chunk(texts[:cut], streams[:cut]))
        assert out is not None
        again = Processor(ProcessingOptions(rate_limit=1))
        again.resume_after(out.cursor_at(len(out.texts)))
        rest = again.process(given, cut)
        assert rest is not None
        passed = {*out.texts, *rest.texts}
        for index, letter in enumerate(streams):
            if letter.isupper():
                head = streams.rindex(letter.lower(), 0, index)
                assert (texts[index] in passed) == (texts[head] in passed)
