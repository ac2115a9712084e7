"""Test `core/parsing/log_stream.py`: fragments do not depend on how a response is cut into reads."""

import contextlib
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.docker_log import START, DockerLogWriter, LogFragment, chunked, frame

from logferry_agent.core.parsing.log_stream import BrokenStreamError, LogStreamParser, ReadResult, UnstampedLogError
from logferry_agent.core.parsing.timestamps import format_stamp

PIECES = DockerLogWriter().write(
    "o", b"one\n\ntwo\r\n" + "日本 🙂\n".encode() + b"x" * 40_000 + b"\n"
) + DockerLogWriter().write("e", b"\n\r\n\x00\x01\x02\x03\n" + b"\xff\xfe\n")


def read(body: bytes, sizes: list[int], *, tty: bool = False, chunks: bool = True) -> tuple[list[str], str, str]:
    """Feed in reads of these sizes, in turn."""
    stream = LogStreamParser(tty=tty, chunked=chunks)
    texts: list[str] = []
    streams = ends = ""
    start = number = 0
    while start < len(body):
        size = sizes[number % len(sizes)]
        number += 1
        for received in [stream.feed(body[start : start + size])]:
            texts += received.fragments.texts
            streams += received.fragments.streams
            ends += received.fragments.ends or "n" * len(received.fragments)
        start += size
    rest = stream.end().fragments
    return texts + rest.texts, streams + rest.streams, ends + (rest.ends or "n" * len(rest))


WHOLE = read(chunked(map(frame, PIECES)), [1 << 20])


@given(st.lists(st.integers(300, 50_000), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_cuts_between_reads_do_not_matter(sizes: list[int]) -> None:
    """Chunked, as engines answer."""
    assert read(chunked(map(frame, PIECES)), sizes) == WHOLE


@given(st.lists(st.integers(300, 30_000), min_size=1, max_size=4), st.integers(200, 5_000))
@settings(max_examples=30, deadline=None)
def test_chunks_need_not_be_frames(sizes: list[int], chunk: int) -> None:
    """A proxy may cut the body into other chunks."""
    body = b"".join(map(frame, PIECES))
    assert read(chunked(body[start : start + chunk] for start in range(0, len(body), chunk)), sizes) == WHOLE
    assert read(body, sizes, chunks=False) == WHOLE


def test_texts_equal_what_was_written() -> None:
    """CRLF stays, invalid UTF-8 is readable, lengths that look like newlines are no newlines (case 27)."""
    assert WHOLE[0][:4] == ["one", "", "two\r", "日本 🙂"]
    assert WHOLE[0][-3:] == ["\r", "\x00\x01\x02\x03", "\\xff\\xfe"]
    lengths = [LogFragment("o", START, b"x" * (size - 32) + b"\n") for size in (0x0A0A, 0x0D0A, 0x0D) if size > 32]
    assert [len(text) for text in read(chunked(map(frame, lengths)), [7])[0]] == [0x0A0A - 32, 0x0D0A - 32]


def test_character_split_between_fragments_is_restored() -> None:
    """Drivers that store raw bytes split at 16,384 bytes, inside a character or not."""
    text = "x" * 16_383 + "🙂" + "y" * 20_000
    pieces = DockerLogWriter().write("o", text.encode() + b"\n")
    found, _, ends = read(chunked(map(frame, pieces)), [1 << 20])
    assert "".join(found) == text
    assert ends == "ccn"


def test_error_in_the_stream_is_reported_and_is_no_line() -> None:
    """Docker case 4: type 3, without a timestamp."""
    message = b"Error grabbing logs: no such file or directory\n"
    error = bytes([3, 0, 0, 0]) + len(message).to_bytes(4, "big") + message
    stream = LogStreamParser(tty=False, chunked=True)
    received = stream.feed(chunked([frame(PIECES[0]), error]))
    assert received.fragments.texts == ["one"]
    assert received.errors == ["Error grabbing logs: no such file or directory"]


def test_unterminated_last_frame_does_not_wait_for_more() -> None:
    """The connection stays open: nothing follows the last chunk."""
    stream = LogStreamParser(tty=False, chunked=True)
    pieces = [*PIECES[:3], LogFragment("o", START + 10**9, b"end")]
    received = stream.feed(chunked(map(frame, pieces)))
    assert received.fragments.texts[-1] == "end"
    assert stream.done


@given(st.lists(st.integers(300, 30_000), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_tty_is_cut_at_newlines_and_full_fragments(sizes: list[int]) -> None:
    """No frames; a timestamp before each stored fragment, also in the middle of a long line."""
    written = DockerLogWriter().write("o", b"one\r\n" + b"p" * 40_000 + b"\r\nprompt> \r\n")
    pieces = [*written, LogFragment("o", START + 10**9, b"bye")]
    body = chunked(format_stamp(piece.stamp).encode() + b" " + piece.data for piece in pieces)
    texts, streams, ends = read(body, sizes, tty=True)
    assert texts == ["one\r", "p" * 16_384, "p" * 16_384, "p" * 7_232 + "\r", "prompt> \r", "bye"]
    assert (streams, ends) == ("o" * 6, "nccnnt")


@given(st.binary(max_size=300), st.booleans(), st.booleans(), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_at_worst_a_clean_error(body: bytes, tty: bool, chunks: bool, size: int) -> None:
    """Fuzz."""
    with contextlib.suppress(BrokenStreamError):
        read(body, [size], tty=tty, chunks=chunks)


@given(st.integers(0, 2_000), st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_flipped_byte_gives_at_worst_a_clean_error(where: int, value: int) -> None:
    """Fuzz of a good stream."""
    body = bytearray(chunked(map(frame, PIECES[:4] + PIECES[-3:])))
    body[where % len(body)] = value
    with contextlib.suppress(BrokenStreamError):
        read(bytes(body), [1 << 20])


def test_broken_stream_is_reported_without_quoting_it() -> None:
    """It may be a container's text, cut where nobody can recognise a secret."""
    assert "AKIA" not in str(UnstampedLogError("AKIAIOSFODNN7EXAMPLE"))
    with pytest.raises(BrokenStreamError, match="a chunk does not begin"):
        LogStreamParser(tty=False, chunked=True).feed(b"HTTP/1.1 200 OK\r\n")


def test_line_that_begins_like_a_timestamp_is_unchanged() -> None:
    """Docker case 6: the engine's own timestamp precedes each frame, in the middle of a long line too.

    No other timestamp is removed.
    """
    stamp = format_stamp(START).encode()
    written = stamp + b" said the program\n" + b"x" * 20_000 + stamp + b" in the middle\n"
    pieces = DockerLogWriter().write("o", written)
    texts, _, _ = read(chunked(map(frame, pieces)), [700])
    assert [texts[0], "".join(texts[1:])] == written.decode().splitlines()


BODY = chunked(map(frame, PIECES))
TTY = b"".join(format_stamp(piece.stamp).encode() + b" " + piece.data for piece in PIECES)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> tuple[bytes, int]:
    """Generate a good stream with one slice removed, repeated, or overwritten, and the slice's position."""
    at = draw(st.integers(0, len(whole) - 1))
    stop = min(len(whole), at + draw(st.sampled_from([1, 2, 4, 8, 30, 500, 20_000])))
    middle = draw(st.sampled_from([b"", whole[at:stop] * 2, b"\0" * (stop - at), b"\xff" * 5, b"0\r\n\r\n", b"\n"]))
    return whole[:at] + middle + whole[stop:], at


@given(damage=damaged(BODY), sizes=st.lists(st.integers(300, 50_000), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_everything_before_the_damage_is_good(damage: tuple[bytes, int], sizes: list[int]) -> None:
    """Fuzz: at worst a clean error, and every earlier frame is unchanged."""
    body, at = damage
    stream = LogStreamParser(tty=False, chunked=True)
    texts: list[str] = []
    whole = _whole_frames_before(at)
    start = turn = 0
    with contextlib.suppress(BrokenStreamError):
        while start < len(body):
            size = sizes[turn % len(sizes)] if start >= at else min(at - start, sizes[turn % len(sizes)])
            texts += stream.feed(body[start : start + size]).fragments.texts
            start, turn = start + size, turn + 1
        stream.end()
    assert texts[:whole] == WHOLE[0][:whole]


def lines(end: bytes) -> list[bytes]:
    """Generate frames of numbered lines of many lengths, of both streams; some are fragments of a longer line."""
    pieces = [
        piece
        for number in range(70)
        for piece in DockerLogWriter(START + number * 7_001).write(
            "oe"[number % 5 == 3], b"x" * (number * number) + b"%b %d\n" % (end, number)
        )
    ]
    return [frame(piece) for piece in pieces]


UNREADABLE, READABLE = lines(b"\xff\xf0"), lines("Ünï".encode())
LIKE_HEADS = [
    frame(LogFragment("o", START + 1, b"a head is in here\n\x01\0\0\0\0\0\0\x20 and there\n\x02\0\0\0\xbf\n")),
    frame(LogFragment("e", START + 2, b"\x01\0\0\0\0\0\0\x20")),
    frame(LogFragment("o", START + 3, b"\n\n")),
    frame(LogFragment("o", START + 4, b"\n\x01\0\0\xdb\0\0\0\x01\n")),
]
MIXED = [*READABLE[:20], LIKE_HEADS[0], *READABLE[20:40], *LIKE_HEADS[1:], *READABLE[40:]]
ONE_STREAM = [
    frame(piece) for piece in DockerLogWriter().write("o", b"".join(b"line %d\n" % number for number in range(500)))
]


@given(
    data=st.data(),
    frames=st.sampled_from([UNREADABLE, READABLE, LIKE_HEADS, MIXED, ONE_STREAM]),
    chunks=st.booleans(),
    sizes=st.lists(st.integers(300, 200_000), min_size=1, max_size=3),
)
@settings(max_examples=600, deadline=None)
def test_fast_path_equals_the_layers(data: st.DataObject, frames: list[bytes], chunks: bool, sizes: list[int]) -> None:
    """For any input: the same fragments with the same times, the same errors.

    If it breaks, one of the two may have come further.
    """
    whole = chunked(frames) if chunks else b"".join(frames)
    damage = data.draw(st.none() | damaged(whole))
    body = whole if damage is None else damage[0]
    found, errors, broke = _all_of(LogStreamParser(tty=False, chunked=chunks), body, sizes)
    wanted, wanted_errors, breaks = _all_of(_LayeredParser(chunked=chunks), body, sizes)
    assert broke == breaks
    if broke:
        both, said = min(len(found), len(wanted)), min(len(errors), len(wanted_errors))
        found, wanted, errors, wanted_errors = found[:both], wanted[:both], errors[:said], wanted_errors[:said]
    assert found == wanted
    assert errors == wanted_errors


@pytest.mark.parametrize("chunks", [True, False])
@pytest.mark.parametrize("frames", [READABLE[:40], ONE_STREAM])
def test_whole_lines_take_the_fast_path(frames: list[bytes], chunks: bool) -> None:
    """Of one stream or of both; the layers get nothing."""
    stream = _FastPathParser(tty=False, chunked=chunks)
    body = chunked(frames).removesuffix(b"0\r\n\r\n") if chunks else b"".join(frames)
    assert len(stream.feed(body).fragments) == len(frames)


class _FastPathParser(LogStreamParser):
    """Has no layers."""

    def _feed_slowly(self, data: bytes, before: ReadResult | None = None) -> ReadResult:
        raise AssertionError(data[:80])


class _LayeredParser(LogStreamParser):
    """Always removes one layer after the other."""

    def __init__(self, *, chunked: bool) -> None:
        super().__init__(tty=False, chunked=chunked)

    def _feed_quick(self, data: bytes) -> None:
        return None

    def _feed_bare(self, data: bytes) -> ReadResult:
        return self._feed_slowly(data)


Found = list[tuple[str, int, str, str]]


def _all_of(stream: LogStreamParser, body: bytes, sizes: list[int]) -> tuple[Found, list[str], bool]:
    """Return timestamp, time, stream and text of every fragment, the stream's errors, and whether it broke."""
    found: Found = []
    errors: list[str] = []
    start = turn = 0
    try:
        while start < len(body):
            size = sizes[turn % len(sizes)]
            received = stream.feed(body[start : start + size])
            fragments = received.fragments
            found += zip(fragments.stamps, fragments.times, fragments.streams, fragments.texts, strict=True)
            errors += received.errors
            start, turn = start + size, turn + 1
        if stream._broken is not None:
            stream.end()
    except BrokenStreamError:
        return found, errors, True
    return found, errors, False


def _whole_frames_before(at: int) -> int:
    """Return frames whose chunks end before a position in the body."""
    position = number = 0
    for piece in PIECES:
        position += len(chunked([frame(piece)])) - 5
        if position > at:
            break
        number += 1
    return number


@given(damage=damaged(TTY), sizes=st.lists(st.integers(300, 50_000), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_damaged_terminal_stream_gives_at_worst_a_clean_error(damage: tuple[bytes, int], sizes: list[int]) -> None:
    """Fuzz of a stream without frames."""
    with contextlib.suppress(BrokenStreamError):
        read(damage[0], sizes, tty=True, chunks=False)


def test_partial_character_at_the_end_of_a_cut_line_is_not_the_next_lines() -> None:
    """It is its own fragment, with its line's timestamp, whatever follows."""
    first = DockerLogWriter()
    half = first.write("o", b"a" * 16_383 + b"\xc3") + first.end()
    cut_off = ["a" * 16_383, "\\xc3"]
    second = DockerLogWriter(start=DockerLogWriter().now + 10**9).write("o", b"b\n")
    assert read(chunked(map(frame, half + second)), [50_000])[0] == [*cut_off, "b"]
    stream = LogStreamParser(tty=False, chunked=True)
    begun = stream.feed(chunked(map(frame, half))).fragments
    ended = stream.end(over=True).fragments
    assert (begun.texts + ended.texts, begun.stamps) == (cut_off, ended.stamps)
    goes_on = first.write("o", b"a" * 16_383 + "é\n".encode())
    assert "".join(read(chunked(map(frame, goes_on)), [50_000])[0]) == "a" * 16_383 + "é"


def tty(*pieces: LogFragment) -> bytes:
    """Return a TTY's log: each fragment behind its timestamp, and nothing between them."""
    return b"".join(format_stamp(piece.stamp).encode() + b" " + piece.data for piece in pieces)


def fragments_of(body: bytes, sizes: list[int], *, is_tty: bool) -> list[tuple[str, int, str, str, str]]:
    """Return timestamp, time, stream, text and end of every fragment, fed in reads of these sizes in turn."""
    stream = LogStreamParser(tty=is_tty, chunked=False)
    parts, start, turn = [], 0, 0
    while start < len(body):
        size = sizes[turn % len(sizes)]
        parts.append(stream.feed(body[start : start + size]).fragments)
        start, turn = start + size, turn + 1
    parts.append(stream.end().fragments)
    return [
        (part.stamps[at], part.times[at], part.streams[at], part.texts[at], part.ending(at))
        for part in parts
        for at in range(len(part))
    ]


PROMPTS = [b"root@box:/# ", b"$", b"Password: ", b"p" * 300, b"q" * 16_383, b"r" * 16_360]
RUNS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([b"one\r\n", b"\r\n", b"x" * 17_000 + b"\r\n"]), max_size=3),
        st.sampled_from([b"", *PROMPTS]),
    ),
    min_size=1,
    max_size=5,
)


@given(runs=RUNS, sizes=st.lists(st.integers(20, 20_000), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_terminal_restarting_on_a_prompt_gives_each_line_its_own_time(
    runs: list[tuple[list[bytes], bytes]], sizes: list[int]
) -> None:
    """However often, however long the prompt, wherever the reads are cut."""
    pieces: list[LogFragment] = []
    for number, (lines_of_run, prompt) in enumerate(runs):
        run = DockerLogWriter(START + number * 10**9)
        pieces += [piece for line in lines_of_run for piece in run.write("o", line)]
        pieces += [*run.write("o", prompt), *run.end()]
    found = fragments_of(tty(*pieces), sizes, is_tty=True)
    assert [(stamp, text + ("\n" if end == "n" else "")) for stamp, _, _, text, end in found] == [
        (format_stamp(piece.stamp), piece.data.decode()) for piece in pieces
    ]


@pytest.mark.parametrize("zone", [b"+01:00", b"-03:30"])
def test_terminals_prompt_is_recognised_in_any_time_zone(zone: bytes) -> None:
    """The zone may change between the two."""
    wanted = [
        LogFragment("o", START, b"$ "),
        LogFragment("o", START + 10**9, b"one\r\n"),
        LogFragment("o", START + 2 * 10**9, b"$ "),
    ]
    first, second, third = (tty(piece) for piece in wanted)
    zoned = zoned_form(second, zone)
    utc = fragments_of(first + second + third, [4_096], is_tty=True)
    assert fragments_of(first + zoned + third, [4_096], is_tty=True) == utc
    assert fragments_of(zoned_form(first, zone) + zoned + zoned_form(third, zone), [7], is_tty=True) == utc


def zoned_form(stamped: bytes, zone: bytes) -> bytes:
    """Return the same instant, as an engine in a zone writes it."""
    written, _, text = stamped.partition(b"Z ")
    sign = -1 if zone[:1] == b"-" else 1
    ahead = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    moved = (datetime.fromisoformat(written[:19].decode()) + ahead).isoformat().encode()
    return moved + written[19:] + zone + b" " + text


@pytest.mark.parametrize("chunks", [True, False])
@pytest.mark.parametrize("zone", [b"+01:00", b"-03:30", b"+00:00"])
def test_engines_time_zone_makes_no_difference(zone: bytes, chunks: bool) -> None:
    """Engines before 24.0.8 write the `local` driver's times in their host's zone."""

    def framed(payload: bytes, kind: int) -> bytes:
        return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload

    kinds = [1 if piece.stream == "o" else 2 for piece in PIECES]
    there = [framed(zoned_form(tty(piece), zone), kind) for piece, kind in zip(PIECES, kinds, strict=True)]
    utc = list(map(frame, PIECES))
    bodies = (chunked(there), chunked(utc)) if chunks else (b"".join(there), b"".join(utc))
    found, wanted = (_all_of(LogStreamParser(tty=False, chunked=chunks), body, [5_000]) for body in bodies)
    assert found == wanted


def test_timestamp_in_a_terminals_text_stays_there() -> None:
    """A program writes its own: slightly before its line was complete; behind the engine's, or within."""
    own = format_stamp(START - 5_000).encode()
    pieces = [
        LogFragment("o", START, own + b" said the program\r\n"),
        LogFragment("o", START + 1, b"time=" + own + b" level=info\r\n"),
        LogFragment("o", START + 2, b"at " + format_stamp(START + 2).encode() + b" sharp\r\n"),
        LogFragment(
            "o",
            START + 3,
            b"9999-99-99T99:99:99.999999999Z is no time, nor is 2026-13-01T00:00:00.000000000Z of day\r\n",
        ),
    ]
    found = fragments_of(tty(*pieces), [1 << 20], is_tty=True)
    assert [text for _, _, _, text, _ in found] == [piece.data.decode().removesuffix("\n") for piece in pieces]


def test_terminal_line_cut_off_by_a_broken_connection_is_read_again() -> None:
    """It may be incomplete."""
    stream = LogStreamParser(tty=True, chunked=False)
    assert stream.feed(
        tty(LogFragment("o", START, b"one\r\n"), LogFragment("o", START + 1, b"tw"))
    ).fragments.texts == ["one\r"]
    assert len(stream.end(cut=True).fragments) == 0


@pytest.mark.parametrize("chunks", [True, False])
@pytest.mark.parametrize("is_tty", [True, False])
def test_invalid_timestamp_costs_only_its_own_fragment(chunks: bool, is_tty: bool) -> None:
    """It counts as the engine's error, so that what is missing becomes a gap; its surroundings are read."""
    stamp = format_stamp(START).encode()
    payloads = [stamp + b" one\n", b"2026-13-45T10:00:00.000000000Z two\n", stamp + b" three\n"]
    framed = [b"\1\0\0\0" + len(payload).to_bytes(4, "big") + payload for payload in payloads]
    body = b"".join(payloads) if is_tty else b"".join(framed)
    received = LogStreamParser(tty=is_tty, chunked=chunks).feed(
        chunked([body] if is_tty else framed) if chunks else body
    )
    assert received.fragments.texts == ["one", "three"]
    assert received.errors == ["a frame without timestamp: 2026-13-45T10:00:00.000000000Z"]


@pytest.mark.parametrize("chunks", [True, False])
@pytest.mark.parametrize("layer", [b"\x07\0\0\0\0\0\0\x01x", b"\1\xff\0\0\0\0\0\x01x"])
def test_text_in_the_same_read_as_the_damage_comes_before_the_error(layer: bytes, chunks: bool) -> None:
    """Otherwise lines in front of lasting damage would never arrive."""
    parts = [frame(PIECES[0]), layer]
    stream = LogStreamParser(tty=False, chunked=chunks)
    assert stream.feed(chunked(parts) if chunks else b"".join(parts)).fragments.texts == ["one"]
    with pytest.raises(BrokenStreamError):
        stream.end()
    with pytest.raises(BrokenStreamError):
        stream.feed(b"more")
