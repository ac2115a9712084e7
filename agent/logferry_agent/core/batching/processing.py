"""Process entries before they leave the host: redaction, merging, rate limit. Every step is off by default.

Each step takes the columns of a chunk and returns columns. Cursors stay right because every processed entry knows
which entry of the source it ends with (`ProcessedEntries.ends`). Entries are never dropped without a gap entry that
counts them.

Merging holds back the last entry of a job until the next one begins, or for a moment at most. Redaction does the same
where a line may continue in another piece. The held entry is stored in the spool beside the open batch, in its original
form. After a restart it is processed as if it was just read: following lines still join it, and when none comes it is
passed on unchanged. It is not shipped at once, because a restart in the middle of a stack trace would then cut the
trace in two.

Redaction must know whether a stream is inside a private key (`o`, `e`, and how many lines of it there were). The rate
limit must know whether it dropped a line of a stream whose further pieces it has to drop as well (`O`, `E`). These
letters are part of every cursor that is passed on (`with_processing_state`). So they always match the position that
reading resumes from, whether the cursor comes from the spool or from the cloud.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from logferry_protocol.events import Gap, encode_event
from logferry_protocol.limits import MAX_ENTRY_BYTES

from ..redaction.patterns import compile_pattern, utf8
from ..redaction.redaction import Redaction, Redactor, may_continue
from .cursor import processing_state_of, split_cursor, with_processing_state
from .entries import Chunk

LARGEST_MERGED_BYTES = MAX_ENTRY_BYTES
"""The limit of an entry: a longer stack trace continues in the next entry."""

MERGED_LINES = 500
"""The largest number of lines in a merged entry."""


@dataclass(slots=True)
class ProcessedEntries:
    """Entries after a step, in columns of equal length."""

    times: list[int]
    streams: str
    texts: list[str]
    ends: Sequence[int]
    """For each entry, the number of the chunk's entries that are used up with it."""


def unprocessed(chunk: Chunk) -> ProcessedEntries:
    """Return a chunk's entries, unchanged."""
    return ProcessedEntries(chunk.times, chunk.streams, chunk.texts, range(1, len(chunk.texts) + 1))


class RateLimiter:
    """Lets a job's lines pass up to an average rate, with bursts of ten seconds' worth. The rest becomes a gap.

    A merged entry counts as all its lines; otherwise merging would be a way around the limit.

    Once the limit is exceeded, nothing passes until a second's worth of lines may pass. So there is one gap a second,
    and not one after every line that passes.

    The limiter uses the times of the entries, not a clock: a backlog that is read fast is not a container that writes
    fast.
    """

    BURST_S = 10

    def __init__(self, lines_per_s: int) -> None:
        self._rate = lines_per_s
        self._room = float(lines_per_s * self.BURST_S)
        self._at: int | None = None
        self._over = False
        self._dropping: dict[str, bool] = {}
        self._cut: set[str] = set()
        """Streams whose newest line was dropped and may continue, as the letters `O` and `E`."""

    def resume(self, cut: str) -> None:
        """Continue from a position where lines of these streams (`O`, `E`) were dropped and may continue."""
        self._cut = set(cut)
        self._dropping = dict.fromkeys(cut.lower(), True)

    @property
    def state(self) -> str:
        """Return the streams whose newest line was dropped and may continue, for `resume`."""
        return "".join(sorted(self._cut))

    def __call__(self, given: ProcessedEntries, states: dict[int, str]) -> tuple[ProcessedEntries, int, int]:
        """Return the entries that may pass, with a gap entry in place of each run of dropped entries.

        Args:
            given: the entries.
            states: processing states by the values of `given.ends`. The limiter appends its own state.

        Returns:
            The entries, the number of dropped entries, and the number of gap entries.
        """
        times: list[int] = []
        letters: list[str] = []
        texts: list[str] = []
        ends: list[int] = []
        run: list[int] = []
        total = gaps = 0

        def close_run() -> None:
            nonlocal gaps
            if not run:
                return
            gaps += 1
            lost = [given.texts[index] for index in run]
            gap = Gap(
                reason="rate_limit",
                start=min(given.times[index] for index in run),
                end=max(given.times[index] for index in run),
                count=len(run),
                bytes=sum(len(utf8(text)) for text in lost),
                detail=f"more than {self._rate} lines a second",
            )
            times.append(gap.end or 0)
            letters.append("s")
            texts.append(encode_event(gap))
            keep(given.ends[run[-1]])
            run.clear()

        def keep(end: int) -> None:
            ends.append(end)
            if self._cut:
                states[end] = states.get(end, "") + self.state

        for index, (time, letter) in enumerate(zip(given.times, given.streams, strict=True)):
            if letter == "s" or self._passes(time, letter, given.texts[index].count("\n") + 1):
                close_run()
                times.append(time)
                letters.append(letter)
                texts.append(given.texts[index])
                self._cut.discard(letter.upper())
                keep(given.ends[index])
            else:
                run.append(index)
                total += 1
                if may_continue(letter, given.texts[index]):
                    self._cut.add(letter.upper())
                else:
                    self._cut.discard(letter.upper())
        close_run()
        return ProcessedEntries(times, "".join(letters), texts, ends), total, gaps

    def _passes(self, time: int, letter: str, lines: int) -> bool:
        if letter.isupper():
            # The further pieces of a dropped line are dropped too, or readers would join them to another line.
            return not self._dropping.get(letter.lower(), False)
        if self._at is not None and time > self._at:
            self._room = min(self._rate * self.BURST_S, self._room + (time - self._at) / 1e6 * self._rate)
        self._at = time if self._at is None else max(self._at, time)
        passes = self._room >= (self._rate if self._over else 1)
        self._over = not passes
        self._room -= lines if passes else 0
        self._dropping[letter] = not passes
        return passes


class LineMerger:
    """Joins lines to the entry before them until a line matches the start pattern or the entry reaches its limits."""

    def __init__(self, start: str) -> None:
        """Compile the start pattern.

        Args:
            start: matches a line that begins an entry.

        Raises:
            PatternError: RE2 does not accept the pattern.
        """
        self._start = compile_pattern(start)

    def __call__(self, given: ProcessedEntries) -> ProcessedEntries:
        """Return the given entries, merged."""
        times: list[int] = []
        letters: list[str] = []
        texts: list[str] = []
        ends: list[int] = []
        open_at: dict[str, int] = {}
        sizes: dict[int, int] = {}
        lines: dict[int, int] = {}
        for time, letter, text, end in zip(given.times, given.streams, given.texts, given.ends, strict=True):
            at = open_at.get(letter)
            raw = utf8(text)
            size = len(raw) + 1
            # Only the newest entry can grow: joining to an older one would change the order of cursors.
            joins = (
                at == len(texts) - 1
                and at is not None
                and sizes[at] + size <= LARGEST_MERGED_BYTES
                and lines[at] < MERGED_LINES
                and self._start.search(raw) is None
            )
            if joins and at is not None:
                texts[at] += "\n" + text
                ends[at] = end
                sizes[at] += size
                lines[at] += 1
                continue
            times.append(time)
            letters.append(letter)
            texts.append(text)
            ends.append(end)
            if letter in "oe":
                open_at[letter] = len(texts) - 1
                sizes[len(texts) - 1], lines[len(texts) - 1] = size - 1, 1
            else:
                open_at.pop(letter.lower(), None)
        return ProcessedEntries(times, "".join(letters), texts, ends)


@dataclass(frozen=True, slots=True)
class ProcessingOptions:
    """The steps that a job's entries go through."""

    redact: tuple[str, ...] = ()
    """Names of `BUILT_IN`, or `all`."""
    redact_patterns: tuple[str, ...] = ()
    merge_start: str | None = None
    merge_wait_s: float = 1.0
    rate_limit: int = 0
    """Lines a second; 0: no limit."""

    @property
    def any_enabled(self) -> bool:
        """Return whether any step is on."""
        return bool(self.redaction or self.merge_start or self.rate_limit)

    @property
    def redaction(self) -> Redaction:
        """Return what is redacted."""
        return Redaction(self.redact, self.redact_patterns)

    @property
    def by_line(self) -> bool:
        """Return whether each line is processed without regard to the lines around it, except for private keys."""
        return not (self.merge_start or self.rate_limit)


class Processor:
    """Runs all steps for one job."""

    def __init__(self, processing: ProcessingOptions) -> None:
        self.processing = processing
        self._merger = LineMerger(processing.merge_start) if processing.merge_start else None
        self._redactor = Redactor(processing.redaction) if processing.redaction else None
        self._limiter = RateLimiter(processing.rate_limit) if processing.rate_limit else None
        self._held: Chunk | None = None
        self.limited = 0
        """Entries that the rate limiter dropped since the caller last set this to zero."""
        self.gaps = 0
        """Gap entries for them since the caller last set this to zero."""

    @property
    def may_change_count(self) -> bool:
        """Return whether the number of entries may change."""
        return self._merger is not None or self._limiter is not None

    @property
    def hidden(self) -> Counter[str]:
        """Return the number of secrets hidden since the caller last cleared it, by pattern name."""
        return self._redactor.hidden if self._redactor is not None else Counter()

    @property
    def state(self) -> str:
        """Return the processing state for a cursor after the last processed entry (see `resume_after`)."""
        redactor, limiter = self._redactor, self._limiter
        return (redactor.state if redactor is not None else "") + (limiter.state if limiter is not None else "")

    def accepts(self, redaction: Redaction) -> bool:
        """Return whether lines that were redacted this way where they were read may pass unchanged."""
        return self.processing.by_line and redaction == self.processing.redaction and not self.state

    @property
    def holding(self) -> bool:
        """Return whether an entry is held until more lines join it, or until its line's next piece comes."""
        return self._held is not None

    @property
    def held(self) -> Chunk | None:
        """Return the held entry in its original lines. It is another object whenever it changes."""
        return self._held

    def resume_after(self, cursor: str | None) -> None:
        """Continue after a cursor that an earlier processed chunk had, and discard the held entry."""
        self._held = None
        # When the cursor says to skip entries, `process` skips them when they come.
        state = processing_state_of(split_cursor(cursor)[0] or "")
        if self._redactor is not None:
            self._redactor.resume("".join(filter(str.islower, state)))
        if self._limiter is not None:
            self._limiter.resume("".join(filter(str.isupper, state)))

    def process(self, chunk: Chunk, begin: int = 0) -> Chunk | None:
        """Process a chunk's entries from index `begin` on, together with the held entry.

        Returns:
            The entries that may pass now; None when there are none.
        """
        if begin and self._redactor is not None:
            self._redactor.skip(chunk.streams[:begin], chunk.texts[:begin])
        if begin >= len(chunk.texts):
            return None
        given = _rest(chunk, begin)
        if self._held is not None:
            given, self._held = _joined(self._held, given), None
        if self._redactor is not None:
            given = replace(given, texts=self._redactor.redact_cuts(given.streams, given.texts))
        processed = self._merger(unprocessed(given)) if self._merger is not None else unprocessed(given)
        if self._waits(processed):
            used = processed.ends[-2] if len(processed.ends) > 1 else 0
            self._held = _rest(given, used)
            processed = ProcessedEntries(
                processed.times[:-1], processed.streams[:-1], processed.texts[:-1], processed.ends[:-1]
            )
        return self._rest_of_steps(processed, given)

    def flush(self) -> Chunk | None:
        """Return the held entry as it is, because it waited long enough or nothing more comes."""
        held, self._held = self._held, None
        if held is None:
            return None
        return self._rest_of_steps(
            self._merger(unprocessed(held)) if self._merger is not None else unprocessed(held), held
        )

    def _waits(self, processed: ProcessedEntries) -> bool:
        letter, text = processed.streams[-1], processed.texts[-1]
        if self._merger is not None and letter in "oe":
            return True
        return self._redactor is not None and may_continue(letter, text)

    def _rest_of_steps(self, processed: ProcessedEntries, given: Chunk) -> Chunk | None:
        if not processed.texts:
            return None
        states: dict[int, str] = {}
        if self._redactor is not None:
            texts, inside = self._redactor.redact(processed.streams, processed.texts)
            processed = ProcessedEntries(processed.times, processed.streams, texts, processed.ends)
            states = dict(zip(processed.ends, inside, strict=False))
        if self._limiter is not None:
            processed, limited, gaps = self._limiter(processed, states)
            self.limited += limited
            self.gaps += gaps
        return _as_chunk(processed, given, states)


def _rest(chunk: Chunk, begin: int) -> Chunk:
    if not begin:
        return chunk
    texts = chunk.texts[begin:]
    return Chunk(
        chunk.times[begin:],
        chunk.streams[begin:],
        texts,
        sum(map(len, texts)),
        lambda count: chunk.cursor_at(begin + count),
    )


def _joined(first: Chunk, second: Chunk) -> Chunk:
    count = len(first.texts)

    def cursor_at(index: int) -> str:
        return first.cursor_at(index) if index <= count else second.cursor_at(index - count)

    return Chunk(
        first.times + second.times,
        first.streams + second.streams,
        first.texts + second.texts,
        first.size + second.size,
        cursor_at,
    )


def _as_chunk(processed: ProcessedEntries, chunk: Chunk, states: Mapping[int, str]) -> Chunk:
    """Return processed entries as a chunk.

    Args:
        processed: the entries.
        chunk: the chunk that they were made from.
        states: the processing state by the number of the chunk's entries that are used up.
    """
    ends = processed.ends

    def cursor_at(count: int) -> str:
        cursor = chunk.cursor_at(ends[count - 1])
        # A cursor that skips entries already holds the state before these entries.
        return cursor if split_cursor(cursor)[1] else with_processing_state(cursor, states.get(ends[count - 1], ""))

    return Chunk(processed.times, processed.streams, processed.texts, sum(map(len, processed.texts)), cursor_at)
