"""Read the engine beside the stored job, and say how the two compare, for `logferry verify --engine`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from logferry_cli.engine_comparison import Comparison, LineRun
from logferry_cli.export import PROGRESS_EVERY_S, rfc3339
from logferry_cli.reader import Damaged
from logferry_cli.terminal import sanitize_word
from logferry_protocol.batch import Columns, decode_body
from logferry_protocol.errors import BatchError
from logferry_protocol.messages import BatchFacts

if TYPE_CHECKING:
    from logferry_cli.engine_log import EngineLog

WAIT_S: Final = 40.0
"""How long to wait for the engine's newest line to be stored: a flush interval of 30 s, and the way to the table."""

WAIT_STEP_S: Final = 1.0


class EngineCheck:
    """Compares one job with the engine's log while the job's batches come."""

    def __init__(self, log: EngineLog, newest: int | None) -> None:
        """Start.

        Args:
            log: the engine's log.
            newest: the time of its newest line, in microseconds; None if it has none.
        """
        self.comparison = Comparison(log.about.asked)
        self._log, self._newest = log, newest
        self._entries: Iterator[Columns] = log.entries()
        self._engine_ended = False
        self._until = monotonic() + WAIT_S
        self._stored = 0
        self._shown = 0.0

    async def take(self, batch: BatchFacts | Damaged) -> None:
        """Add the next stored batch, and compare what can be compared."""
        if isinstance(batch, Damaged):
            self.comparison.add_unreadable(f"entries {batch.first:,} to {batch.last:,} cannot be read")
            return
        self._stored = max(self._stored, batch.end)
        try:
            self.comparison.add_stored(batch.first, decode_body(batch.body))
        except BatchError:
            self.comparison.add_unreadable(f"entries {batch.first:,} to {batch.last:,} cannot be read")
        while self.comparison.stored_full:
            await self._compare()

    async def waits(self) -> bool:
        """Wait a moment for the engine's newest line to be stored; return False if it is, or took too long."""
        if self._newest is None or self._stored >= self._newest or monotonic() > self._until:
            return False
        await asyncio.sleep(WAIT_STEP_S)
        return True

    async def finish(self) -> None:
        """Compare the rest: no stored batch follows."""
        self.comparison.end_stored()
        while not self._engine_ended or self.comparison.waiting:
            await self._compare()
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")

    async def _compare(self) -> None:
        while not self._engine_ended and not self.comparison.engine_full:
            columns = await asyncio.to_thread(next, self._entries, None)
            if columns is None:
                self._engine_ended = True
                self.comparison.end_engine()
            else:
                self.comparison.add_engine(columns)
        self.comparison.advance()
        if sys.stderr.isatty() and monotonic() - self._shown >= PROGRESS_EVERY_S:
            self._shown = monotonic()
            sys.stderr.write(f"\r\x1b[K{self.comparison.compared:,} lines of the engine compared")
            sys.stderr.flush()

    @property
    def same(self) -> bool:
        """Whether everything that both sides should have is the same."""
        return self.comparison.found.same

    def document(self) -> dict[str, Any]:
        """Return the result for programs."""
        found = self.comparison.found
        return {**asdict(self._log.about), **asdict(found), "errors": self._log.errors[:20], "same": found.same}

    def lines(self) -> Iterator[str]:
        """Yield the result for people."""
        about, found = self._log.about, self.comparison.found
        options = f", {about.options}" if about.options else ""
        yield f"engine: {sanitize_word(about.engine)}, {sanitize_word(about.driver)}{sanitize_word(options)}"
        if found.engine_start is None or found.engine_end is None:
            yield "the engine has no line of the container (any more)"
        else:
            yield f"it still has lines from {rfc3339(found.engine_start)} to {rfc3339(found.engine_end)}"
        yield "compared: the time and the text of each line, in the order of each stream"
        yield f"equal: {found.equal['stdout']:,} lines of stdout, {found.equal['stderr']:,} of stderr"
        yield from self._explained()
        yield from self._differences()

    def _explained(self) -> Iterator[str]:
        found = self.comparison.found
        if found.redacted:
            yield f"redacted: {found.redacted:,} more differ only where the agent hid a secret"
        if found.merged:
            yield f"merged: {found.merged:,} stored lines are in one entry with the line before them"
        for reason, lines in found.explained.items():
            yield f"{lines:,} lines of the engine are not stored, and the job says why: {sanitize_word(reason)}"
        if found.rotated:
            yield f"the engine no longer has {found.rotated:,} of the stored lines: they are older than its first one"
        if found.older:
            yield (
                f"not compared: {found.older:,} lines of the engine are older than the first stored one (the agent "
                "begins at `start_at`, and the cloud keeps lines for a limited time)"
            )
        if found.newer:
            yield f"not compared: {found.newer:,} stored lines were written after the engine was asked"
        for error in self._log.errors[:3]:
            yield f"the engine says: {sanitize_word(error)}"

    def _differences(self) -> Iterator[str]:
        found = self.comparison.found
        for run in found.missing:
            yield f"✗ missing: {_run(run)}, after entry {run.after:,}; the first: {sanitize_word(run.text)}"
        for run in found.extra:
            yield f"✗ not in the engine: {_run(run)}, from entry {run.after:,}; the first: {sanitize_word(run.text)}"
        for line in found.changed:
            yield (
                f"✗ changed: {line.stream} at {rfc3339(line.time)}, entry {line.sequence:,}: the engine has "
                f"{sanitize_word(line.engine)!r}, stored is {sanitize_word(line.stored)!r}"
            )
        if found.unstored:
            yield (
                f"the newest {found.unstored:,} of the missing lines may be on their way: "
                "see `logferry agent status` on this host"
            )
        if found.same:
            yield "✓ the same: everything that the engine still has is stored" + (
                ", but for what the job's gaps say" if found.explained else ""
            )
        else:
            yield (
                f"✗ {found.missing_lines:,} lines are missing, {found.extra_lines:,} are not in the engine, "
                f"{found.changed_lines:,} are changed"
            )


def _run(run: LineRun) -> str:
    until = "" if run.end == run.start else f" to {rfc3339(run.end)}"
    return f"{run.lines:,} lines of {run.stream}, {rfc3339(run.start)}{until}"
