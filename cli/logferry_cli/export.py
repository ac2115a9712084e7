"""`logferry export`: write a whole job as text or JSON lines, of any size, in constant memory."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring
from pathlib import Path
from time import monotonic
from typing import IO, Annotated, Final, Literal, Protocol

import typer

from logferry_cli.api import Api
from logferry_cli.history import stored_entries
from logferry_cli.job_lookup import find_job
from logferry_cli.line_joiner import LineJoiner
from logferry_cli.options import StateOption
from logferry_cli.problems import Problem
from logferry_cli.reader import Damaged, Lost, Run, Taken
from logferry_cli.target import ApiUrlOption, InsecureOption, Target, ViewerKeyOption, ViewersUrlOption, find_target
from logferry_cli.terminal import sanitize_json, sanitize_line, sanitize_word
from logferry_protocol.batch import STREAM_OF

Format = Literal["text", "jsonl"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PROGRESS_EVERY_S: Final = 0.2


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(export)


def export(
    *,
    job: Annotated[str, typer.Argument(help="Job id, container name, or the beginning of a container id.")],
    state: StateOption,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="text: only the lines of stdout and stderr; jsonl: one object per entry, including system events.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this file, which appears when the export is complete."),
    ] = None,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Write a job's whole log, as it is stored now."""
    target = find_target(state, api_url, viewers_url, viewer_key, insecure)
    with _opened(output) as file:
        shown = file if output is not None or not sys.stdout.isatty() else _Terminal(file, form)
        left_out = asyncio.run(_export(target, job, form, shown))
    if left_out.lost:
        typer.echo(f"logferry: {left_out.lost:,} entries are no longer kept and are left out.", err=True)
    for damaged in left_out.damaged:
        typer.echo(f"logferry: {damage(damaged)}.", err=True)
    if left_out.damaged:
        raise typer.Exit(1)


def damage(damaged: Damaged) -> str:
    """Return a sentence about entries that cannot be read."""
    which = f"{damaged.count:,} entries ({damaged.first:,} to {damaged.last:,})"
    return f"{which} cannot be read: the stored batch is damaged ({sanitize_word(damaged.detail)})"


class Writer(Protocol):
    """Takes the bytes of an export."""

    def write(self, data: bytes, /) -> object:
        """Take some more."""


@dataclass(slots=True)
class ExportProblems:
    """What an export lacks."""

    lost: int = 0
    """Number of entries that are no longer kept."""
    damaged: list[Damaged] = field(default_factory=list)


class _Terminal:
    """Shows an export on a terminal: what would control the terminal is made visible. Files and pipes get it as is."""

    def __init__(self, file: IO[bytes], form: Format) -> None:
        self._file, self._form = file, form

    def write(self, data: bytes, /) -> None:
        # Lines come whole, so no control sequence is split.
        text = data.decode()
        shown = sanitize_json(text) if self._form == "jsonl" else "\n".join(map(sanitize_line, text.split("\n")))
        self._file.write(shown.encode())
        self._file.flush()


class Formatter(Protocol):
    """Turns entries into text."""

    def run(self, run: Run) -> str:
        """Return the text of these entries."""

    def end(self) -> str:
        """Return the rest when nothing more comes."""


class TextFormatter:
    """The lines alone, continuation entries joined, system entries left out."""

    def __init__(self) -> None:
        self._joiner = LineJoiner()
        self._midline = False

    def run(self, run: Run) -> str:
        """Return the lines that these entries complete."""
        streams = run.columns.streams
        if not self._joiner.holding and streams.strip("oe") == "" and max(map(len, run.columns.texts)) < 1024:
            # Nearly every batch has no continuations and no events.
            return "\n".join(run.columns.texts) + "\n"
        return "".join(
            line.text + "\n" for line in self._joiner.lines(run.first, run.columns) if line.stream != "system"
        )

    def end(self) -> str:
        """Return a last line that could have continued."""
        return "".join(line.text + "\n" for line in self._joiner.flush())


class JsonlFormatter:
    """`{"jobId", "timestamp", "stream", "line", "sequence"}`, one a line, one per entry."""

    def __init__(self, job: str) -> None:
        self._head = '{"jobId":' + encode_basestring(job) + ',"timestamp":"'
        self._streams = {character: f'","stream":"{stream}","line":' for character, stream in STREAM_OF.items()}

    def run(self, run: Run) -> str:
        """Return one JSON object per entry."""
        head, streams = self._head, self._streams
        return "".join(
            f'{head}{rfc3339(time)}{streams[character]}{encode_basestring(text)},"sequence":{sequence}}}\n'
            for sequence, time, character, text in run.columns.rows(run.first)
        )

    def end(self) -> str:
        """Return nothing: entries are complete as they are."""
        return ""


def rfc3339(microseconds: int) -> str:
    """Return a time in UTC with six decimals.

    Args:
        microseconds: The time in microseconds since 1970.
    """
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _export(target: Target, name: str, form: Format, file: Writer) -> ExportProblems:
    async with Api(target) as api:
        record = await find_job(api, name)
        formatter = TextFormatter() if form == "text" else JsonlFormatter(record.job)
        with _progress() as show_progress:
            return await _written(stored_entries(api, record.job), formatter, file, show_progress)


async def _written(
    entries: AsyncIterator[Taken], formatter: Formatter, file: Writer, show_progress: Callable[[int, int], None]
) -> ExportProblems:
    """Write everything that can be read. Return what is missing."""
    left_out, written = ExportProblems(), 0
    async for taken in entries:
        if isinstance(taken, Lost):
            left_out.lost += taken.last - taken.first + 1
            continue
        if isinstance(taken, Damaged):
            left_out.damaged.append(taken)
            continue
        text = formatter.run(taken).encode()
        file.write(text)
        written += len(text)
        show_progress(taken.last, written)
    file.write(formatter.end().encode())
    return left_out


@contextmanager
def _opened(path: Path | None) -> Iterator[IO[bytes]]:
    """Open stdout, or a temporary file that takes the wanted name when the export is complete."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if path.exists() and not path.is_file():
        # Write directly to a device or a pipe (`/dev/stdout`): a file with its name would replace it.
        try:
            with path.open("wb") as file:
                yield file
        except OSError as error:
            raise Problem(f"{path} cannot be written ({error.strerror}).") from None
        return
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise Problem(f"{path} cannot be written ({error.strerror}).", "Check that the folder exists.") from None
    try:
        with os.fdopen(handle, "wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's mode 0600 is for secrets; this is an ordinary file.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, path)
    except OSError as error:
        os.unlink(beside)
        raise Problem(f"{path} cannot be written ({error.strerror}).", "Check that the disk is not full.") from None
    except BaseException:
        os.unlink(beside)
        raise


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a counter on stderr, if it is a terminal and the export goes elsewhere."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda _entries, _size: None
        return
    shown = 0.0

    def show_progress(entries: int, size: int) -> None:
        nonlocal shown
        if monotonic() - shown >= PROGRESS_EVERY_S:
            shown = monotonic()
            sys.stderr.write(f"\r\x1b[K{entries:,} entries, {size / 1e6:,.1f} MB")
            sys.stderr.flush()

    try:
        yield show_progress
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
