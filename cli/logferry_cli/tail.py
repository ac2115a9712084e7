"""`logferry tail`: show a job in the terminal, its stored lines and, with --follow, new ones."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import IO, Annotated, Final

import typer

from logferry_cli.api import Api, TransientError
from logferry_cli.export import damage, rfc3339
from logferry_cli.history import last_sequence, stored_entries
from logferry_cli.job_lookup import find_job
from logferry_cli.line_joiner import Line, LineJoiner
from logferry_cli.live_client import Event, LinkChange, LiveClient
from logferry_cli.options import StateOption
from logferry_cli.reader import Damaged, Lost, Run, Taken
from logferry_cli.target import ApiUrlOption, InsecureOption, Target, ViewerKeyOption, ViewersUrlOption, find_target
from logferry_cli.terminal import sanitize_line
from logferry_protocol.events import Exited, decode_event, describe
from logferry_protocol.job import JobRecord

TAIL_CHARS: Final = 1024 * 1024
"""A longer line is shown in parts."""

HOLD_S: Final = 1.0
"""Seconds to hold back a live line that may continue before it is shown as it is."""

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it."""


@dataclass(frozen=True, slots=True)
class EndTiming:
    """When a silent job counts as ended, in seconds; tests use shorter times."""

    looks: tuple[float, ...] = (1.0, 1.0, 2.0, 4.0, 8.0, 15.0)
    """Waits between reads of the record after an `exited` entry: the state may come later than the last line."""
    later: float = 60.0
    """Waits after those."""
    quiet: float = 10.0
    """A job that ended, but whose last entry is not `exited` (retention took it, say), counts as ended after this
    silence."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(tail)


@dataclass(frozen=True, slots=True)
class Style:
    """How lines are shown."""

    raw: bool
    """As the container wrote them, with all control sequences."""
    times: bool
    gutter: bool
    """A coloured bar before each line shows its stream; without it, lines of stderr go to stderr."""
    colours: bool


def tail(
    *,
    job: Annotated[str, typer.Argument(help="Job id, container name, or the beginning of a container id.")],
    state: StateOption,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue with new lines until the job ends.")] = False,
    last: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help="Show only this many last stored entries.")
    ] = None,
    times: Annotated[bool, typer.Option("--timestamps", "-t", help="Show each line's time, in UTC.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="With --follow: continue after the job has ended; it may be started again.")
    ] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Show control sequences unchanged. A container can then control your terminal."),
    ] = False,
    colour: Annotated[
        bool | None, typer.Option("--colour/--no-colour", help="Show the container's colours.", show_default="keep")
    ] = None,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Show a job's lines. A terminal shows a coloured bar before stderr's lines; otherwise they go to stderr."""
    target = find_target(state, api_url, viewers_url, viewer_key, insecure)
    terminal = sys.stdout.isatty()
    style = Style(raw=raw, times=times, gutter=terminal and not raw, colours=colour is not False)
    screen = Screen(style, sys.stdout, sys.stderr, notes=sys.stderr.isatty())
    for file in (sys.stdout, sys.stderr):
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors="backslashreplace")
    try:
        asyncio.run(_tail(target, job, last, screen, follow=follow, keep=keep))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if screen.damaged:
        raise typer.Exit(1)


class Screen:
    """Writes lines: those of stdout to `out`, others to `err`, or all to `out` behind a gutter."""

    def __init__(self, style: Style, out: IO[str], err: IO[str], *, notes: bool = False) -> None:
        self._style = style
        self._out, self._err = out, err
        self._notes = notes
        self.damaged = False
        """Whether entries were left out because they cannot be read."""

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines, and flush them."""
        for line in lines:
            file = self._out if line.stream == "stdout" or self._style.gutter else self._err
            file.write(self.text(line))
            if not self._style.gutter:
                # Both files may be one terminal: flush each line, so that the order is kept.
                file.flush()
        self._out.flush()
        self._err.flush()

    def text(self, line: Line) -> str:
        """Return one line as it is written, including its end."""
        style = self._style
        if line.stream == "system":
            # Also with --raw: the sentence is Logferry's, but what it quotes is not.
            parts = [sanitize_line(describe(decode_event(line.text)), colours=False)]
        elif style.raw:
            parts = [line.text]
        else:
            # A text contains a line feed only where lines were merged; each part gets its own gutter.
            parts = [sanitize_line(part, colours=style.colours) for part in line.text.split("\n")]
        time = f"{rfc3339(line.time)} " if style.times else ""
        if style.gutter:
            before = {"stdout": "\x1b[2m│\x1b[0m ", "stderr": "\x1b[31m┃\x1b[0m ", "system": "\x1b[36m●\x1b[0m "}[
                line.stream
            ]
            time = f"\x1b[2m{time}\x1b[0m" if time else ""
        else:
            before = "logferry: " if line.stream == "system" else ""
        more = "↪ " if line.continued and not style.raw else ""
        return "".join(f"{before}{time}{more}{part}\n" for part in parts)

    def note(self, sentence: str) -> None:
        """Write a note about the reading itself, on stderr."""
        if self._style.gutter:
            self._err.write(f"\x1b[2m· {sentence}\x1b[0m\n")
        else:
            self._err.write(f"logferry: {sentence}\n")
        self._err.flush()

    def left_out(self, taken: Lost | Damaged) -> None:
        """Write which entries are not shown, and why."""
        if isinstance(taken, Damaged):
            self.damaged = True
            self.note(damage(taken))
        else:
            self.note(_sentence(taken))

    def hint(self, sentence: str) -> None:
        """Write a note that only a person at a terminal needs."""
        if self._notes:
            self.note(sentence)


async def _tail(target: Target, name: str, last: int | None, screen: Screen, *, follow: bool, keep: bool) -> None:
    async with Api(target) as api:
        record = await find_job(api, name)
        after = 0 if last is None else max(0, await last_sequence(api, record.job) - last)
        if not follow:
            await _show_stored(stored_entries(api, record.job, after=after), screen)
            return
        async with LiveClient(api, record.job, after=after) as following:
            await follow_job(api, following, record, screen, keep=keep)


async def _show_stored(entries: AsyncIterator[Taken], screen: Screen) -> None:
    joiner = LineJoiner(TAIL_CHARS)
    async for taken in entries:
        if isinstance(taken, Run):
            screen.show(joiner.lines(taken.first, taken.columns))
        else:
            screen.left_out(taken)
    screen.show(joiner.flush())


async def follow_job(
    api: Api,
    following: LiveClient,
    record: JobRecord,
    screen: Screen,
    *,
    keep: bool = False,
    timing: EndTiming | None = None,
) -> None:
    """Show what comes until the job has ended and all of it was shown; with `keep`, until somebody stops it.

    Raises:
        Problem: It cannot go on.
    """
    joiner = LineJoiner(TAIL_CHARS)
    end = EndDetector(record, monotonic(), timing)
    told_of_cut = False

    def wait() -> float | None:
        waits = [HOLD_S] if joiner.holding else []
        if following.caught_up and not keep and (until := end.wait(monotonic())) is not None:
            waits.append(until)
        return min(waits, default=None)

    async for event in _with_pauses(following.events(), wait):
        match event:
            case None:
                screen.show(joiner.flush())
            case Run():
                screen.show(joiner.lines(event.first, event.columns))
                end.entries_shown(event, monotonic())
            case Lost() | Damaged():
                screen.left_out(event)
            case JobRecord():
                end.update_record(event)
            case LinkChange(connected=True):
                if told_of_cut:
                    screen.hint("connected again")
                    told_of_cut = False
            case LinkChange():
                screen.hint(f"{event.detail}; connecting again")
                told_of_cut = True
        if keep or not following.caught_up:
            continue
        if end.due(monotonic()):
            end.record_read(await _record(api, record.job), monotonic())
        if end.ended(monotonic()):
            screen.show(joiner.flush())
            return


class EndDetector:
    """Decides whether a job has ended.

    Either its last entry says that a run ended, and its record, read twice because a container may be about to start
    again, says that it no longer runs. Or its record says so and nothing came for long. `now` is any monotonic time in
    seconds.
    """

    def __init__(self, record: JobRecord, now: float, timing: EndTiming | None = None) -> None:
        self._timing = timing or EndTiming()
        self._record = record
        self._exited = False
        self._looks = 0
        self._confirmed = 0
        self._quiet_since = now
        self._next: float | None = None

    def ended(self, now: float) -> bool:
        """Return whether nothing more will come."""
        if not self._record.life.over:
            return False
        return self._confirmed >= 2 or now - self._quiet_since >= self._timing.quiet

    def entries_shown(self, run: Run, now: float) -> None:
        """Take in entries that were shown. The last may be the end of a run."""
        columns = run.columns
        self._exited = columns.streams[-1] == "s" and isinstance(decode_event(columns.texts[-1]), Exited)
        self._looks = self._confirmed = 0
        self._quiet_since = now
        self._next = now if self._exited else None

    def update_record(self, record: JobRecord) -> None:
        """Take in the job's record, which came by itself."""
        self._record = record

    def record_read(self, record: JobRecord | None, now: float) -> None:
        """Take in the job's record, which was read because it was `due`; None: it was not available."""
        looks = self._timing.looks
        self._next = now + (looks[self._looks] if self._looks < len(looks) else self._timing.later)
        self._looks += 1
        if record is not None:
            self._record = record
            self._confirmed = self._confirmed + 1 if record.life.over else 0

    def due(self, now: float) -> bool:
        """Return whether to read the record now."""
        return self._next is not None and now >= self._next

    def wait(self, now: float) -> float | None:
        """Return after how many seconds without an event something is due; None when nothing is."""
        waits = [] if self._next is None else [self._next - now]
        if self._record.life.over:
            waits.append(self._quiet_since + self._timing.quiet - now)
        return max(0.0, min(waits)) if waits else None


async def _with_pauses(events: AsyncIterator[Event], wait: Callable[[], float | None]) -> AsyncIterator[Event | None]:
    """Yield the events, and None whenever none came for as long as `wait()` says."""
    upcoming: asyncio.Future[Event] | None = None
    try:
        while True:
            if upcoming is None:
                upcoming = asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([upcoming], timeout=wait())
            if done:
                event, upcoming = upcoming.result(), None
                yield event
            else:
                yield None
    finally:
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)


async def _record(api: Api, job: str) -> JobRecord | None:
    try:
        return await api.job(job)
    except TransientError:
        return None


def _sentence(lost: Lost) -> str:
    many = lost.last - lost.first + 1
    return f"{many:,} entries ({lost.first:,} to {lost.last:,}) are no longer kept"
