"""Check a job whose container wrote numbered lines faster than they could be kept.

No repeats, and a gap in each hole.
"""

from __future__ import annotations

from itertools import pairwise

from tests.support.memory_sink import Log

from logferry_protocol.events import Gap, decode_event

PAD = "x" * 80


def program(lines: int) -> list[str]:
    """Return a command that writes this many numbered lines at full speed."""
    return ["awk", f'BEGIN {{ for (i = 1; i <= {lines}; i++) print i, "{PAD}" }}']


def numbers(log: Log) -> list[int]:
    """Return the lines' numbers, in the order of the job."""
    return [int(line.split(" ")[0]) for line in log.lines()]


def assert_ordered_with_gaps_in_every_hole(log: Log, lines: int) -> int:
    """Check the file source's promise: a gap entry in each hole, with the times of its two edges, and nowhere else.

    Return the number of gap entries.
    """
    before, before_time, gap, gaps = 0, None, None, 0
    for time, letter, text in zip(log.times, log.streams, log.texts, strict=True):
        if letter == "s":
            event = decode_event(text)
            if isinstance(event, Gap):
                assert gap is None, "one gap entry a hole"
                gap, gaps = event, gaps + 1
                continue
            if event.event != "exited":
                continue
            number = lines + 1
        else:
            number = int(text.split(" ")[0])
        assert number > before, f"{number} after {before}: in order, and none twice"
        if gap is None:
            assert number == before + 1, f"lines {before + 1} to {number - 1} are missing, and nothing says so"
        else:
            assert number > before + 1, f"a gap between {before} and {number}: {gap}"
            assert gap.start == before_time
            assert gap.end is None or gap.end == time
        before, before_time, gap = number, time, None
    return gaps


def assert_unrepeated_with_gaps_around_every_hole(log: Log, lines: int) -> int:
    """Check the api source's promise about lines that the engine's stream omitted.

    They come late, or are lost between a gap's times.

    Return the number of missing lines at the beginning: lines gone before the first read are not always known.
    """
    found = numbers(log)
    assert len(found) == len(set(found)), "none twice"
    lettered = zip(log.times, log.streams, log.texts, strict=True)
    times = {int(text.split(" ")[0]): time for time, letter, text in lettered if letter != "s"}
    gaps = [event for event in log.events() if isinstance(event, Gap)]
    have = sorted(times)
    for low, high in pairwise(have):
        if high > low + 1:
            assert any((gap.start or 0) <= times[low] and (gap.end or times[high]) >= times[high] for gap in gaps), (
                f"lines {low + 1} to {high - 1} are missing, and no gap is about them: {gaps}"
            )
    if have[-1] < lines:
        assert any((gap.start or 0) <= times[have[-1]] and gap.end is None for gap in gaps), "the end is missing"
    return have[0] - 1
