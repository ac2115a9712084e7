"""The spool: the agent's durable queue of batches that are not acknowledged yet, in one SQLite file.

What a crash can leave, and what happens to it:

1. Killed between two transactions: the file says exactly what was read and sent. Open batches come back from their
pieces, and a held entry with the cursor that it follows. The batch in flight is sent again under the sequence that was
written before it was first sent. Reading continues from the cursor that was written in the same transaction as the last
entries.
2. Power lost: SQLite's WAL is consistent, but with `sync = normal` the last transactions may be missing. Then the spool
is behind the cloud, which `open` reports (see core/session/reconcile.py), or what was read and not sent is read again.
3. The file is damaged, holds what no agent writes, or has another format: it is set aside beside the new one, and every
job continues from the cloud's position.

The file is named after the engine's id, so a cloned disk starts a new one. It is locked, so two agents never share one.
After it is opened, only the pipeline's thread uses it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec

from ..core.batching.entries import Batch, SavedEntries
from .private_folder import OpenFolderError, make_private, open_private

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT = "1"
"""Version of the tables below. A spool of another version is set aside."""

ROW_BYTES = 160
"""Bytes of a row on disk beyond its body: columns, indexes and part of a page."""

BALLAST_BYTES = 512 * 1024
"""Bytes reserved for a full disk: even deleting needs room in the write-ahead log."""

PIECE_LEVEL = 1
"""Compression level of what is kept only until its batch is closed: fast rather than small."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
    id TEXT PRIMARY KEY, container TEXT NOT NULL, life TEXT NOT NULL, ended INTEGER NOT NULL DEFAULT 0,
    tip INTEGER NOT NULL DEFAULT 0, digest TEXT, cursor TEXT,
    bytes INTEGER NOT NULL DEFAULT 0, gaps INTEGER NOT NULL DEFAULT 0, last INTEGER
) WITHOUT ROWID;
CREATE TABLE batch (
    id INTEGER PRIMARY KEY, job TEXT NOT NULL, first INTEGER, gap INTEGER NOT NULL, count INTEGER NOT NULL,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, raw INTEGER NOT NULL, gaps INTEGER NOT NULL,
    cursor TEXT NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL
);
CREATE INDEX batch_job ON batch (job, id);
CREATE TABLE piece (id INTEGER PRIMARY KEY, job TEXT NOT NULL, cursor TEXT NOT NULL, columns BLOB NOT NULL);
CREATE INDEX piece_job ON piece (job);
"""

ADDED = """
CREATE TABLE IF NOT EXISTS held (job TEXT PRIMARY KEY, place TEXT, cursor TEXT NOT NULL, columns BLOB NOT NULL)
WITHOUT ROWID
"""
"""A spool made without this table works with both versions. An earlier version leaves the table unchanged. So a row
says which position it follows, and is void at any other."""

ODD = """
SELECT EXISTS (
    SELECT 1 FROM job WHERE typeof(id) || typeof(container) || typeof(life) || typeof(cursor) || typeof(digest)
        NOT IN ('texttexttexttexttext', 'texttexttexttextnull', 'texttexttextnulltext', 'texttexttextnullnull')
    OR typeof(tip) || typeof(bytes) || typeof(gaps) <> 'integerintegerinteger'
    OR typeof(last) NOT IN ('integer', 'null')
) OR EXISTS (
    SELECT 1 FROM batch WHERE typeof(job) || typeof(cursor) || typeof(digest) || typeof(body) <> 'texttexttextblob'
    OR typeof(count) || typeof(start) || typeof("end") || typeof(raw) || typeof(gaps)
        <> 'integerintegerintegerintegerinteger'
    OR typeof(first) NOT IN ('integer', 'null') OR id > 1 << 62
) OR EXISTS (
    SELECT 1 FROM piece WHERE typeof(job) || typeof(cursor) || typeof(columns) <> 'texttextblob'
) OR EXISTS (
    SELECT 1 FROM held WHERE typeof(job) || typeof(cursor) || typeof(columns) <> 'texttextblob'
    OR typeof(place) NOT IN ('text', 'null')
) OR NOT EXISTS (
    SELECT 1 FROM meta WHERE key = 'made' AND value GLOB '[0-9]*' AND value NOT GLOB '*[^0-9]*' AND length(value) < 20
)
"""
"""Whether a row holds what no agent wrote: SQLite's own check ignores values, which may be of any type."""

PAGE_BYTES = 4096

LOG_BYTES, LEAST_LOG_BYTES, LOG_SHARE = 16 << 20, 1 << 20, 64
"""Bytes of the write-ahead log before it is written back. Each time costs two syncs that shipping waits for. On a small
disk a share of the disk, so that the log does not fill it."""

RESERVED_BYTES = 16 * 1024 * 1024
RESERVED_SHARE = 4
"""Bytes left free on the disk; on a small one a quarter."""

Sync = Literal["normal", "full"]


class SpoolError(Exception):
    """The spool cannot be used. The message says why and what to do."""


class SpoolLockedError(SpoolError):
    """Another agent uses this spool."""


class SpoolStuckError(SpoolError):
    """The disk takes no writes for now (full, or read-only). Nothing is lost; the write is tried again."""


class SpoolCorruptError(SpoolError):
    """The file is damaged and has to be set aside."""


@dataclass(slots=True)
class Stored:
    """A batch in the spool."""

    id: int
    job: str
    first: int | None
    gap: bool
    """Whether the agent made the batch in place of what it had to drop."""
    size: int
    """Bytes of the body, also where it was not loaded."""
    batch: Batch


class Progress(NamedTuple):
    """How far a job is acknowledged."""

    tip: int
    digest: str | None
    bytes: int
    gaps: int
    last: int | None


@dataclass(slots=True)
class StoredJob:
    """A job in the spool, without its batches."""

    id: str
    container: str
    life: str
    ended: bool = False
    tip: int = 0
    digest: str | None = None
    cursor: str | None = None
    """The cursor after the last closed batch; open batches have their own."""
    bytes: int = 0
    gaps: int = 0
    last: int | None = None


class Spool:
    """One engine's spool. Every method that writes must run inside `transaction`."""

    def __init__(self, folder: Path, engine: str, *, sync: Sync = "normal") -> None:
        """Open or create the spool of an engine.

        Raises:
            SpoolLockedError: Another agent uses it.
            SpoolError: The folder cannot be written, or others may write in it.
        """
        self.folder = folder
        name = hashlib.sha256(engine.encode()).hexdigest()[:16]
        self.path = folder / f"spool-{name}.db"
        self.set_aside: Path | None = None
        """Where a damaged spool was moved; None if there was none."""
        self._ballast = folder / f"spool-{name}.ballast"
        self._engine, self._sync = engine, sync
        try:
            make_private(folder)
            self._lock = _lock(folder / f"spool-{name}.lock")
        except OpenFolderError as error:
            raise SpoolError(str(error)) from error
        except OSError as error:
            raise SpoolError(f"the spool's folder {folder} cannot be written: {error.strerror}") from error
        try:
            self._db = self._open()
        except SpoolCorruptError:
            self.set_aside = self._move_aside()
            self._db = self._open()
        self.made = int(self._read("SELECT value FROM meta WHERE key = 'made'")[0][0])
        """When this spool was created, in nanoseconds since 1970."""
        self.bytes = self._measure()
        """Bytes queued, as they count against the spool's limit."""

    # --- life ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the file and release the lock."""
        with suppress(sqlite3.Error):
            self._db.close()
        self._lock.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything inside the block to disk when it ends, or nothing.

        Raises:
            SpoolStuckError: The disk is full or read-only; nothing was written.
            SpoolCorruptError: The file is damaged.
        """
        before = self.bytes
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self.bytes = before
            if self._db.in_transaction:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._explained(error) from error
            raise

    def delete_ballast(self) -> bool:
        """Delete the ballast, so that rows can be deleted on a full disk. Return False when it is already gone."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        return True

    def restore_ballast(self) -> None:
        """Create the ballast again, if the disk has room."""
        try:
            if not self._ballast.exists():
                self._fill_ballast()
        except OSError:
            self.delete_ballast()

    def capacity(self) -> int:
        """Return how many bytes the spool may reach before the disk counts as full."""
        disk = os.statvfs(self.folder)
        reserved = min(RESERVED_BYTES, disk.f_blocks * disk.f_frsize // RESERVED_SHARE)
        unused = self._read("PRAGMA freelist_count")[0][0] * PAGE_BYTES
        return self.bytes + int(unused) + disk.f_bavail * disk.f_frsize - reserved

    # --- jobs ---------------------------------------------------------------------------------------------------

    def jobs(self) -> list[StoredJob]:
        """Return all jobs in the spool."""
        rows = self._read("SELECT id, container, life, ended, tip, digest, cursor, bytes, gaps, last FROM job")
        return [StoredJob(row[0], row[1], row[2], bool(row[3]), *row[4:]) for row in rows]

    def put_job(self, job: StoredJob) -> None:
        """Write all columns of a job."""
        self._db.execute(
            "INSERT OR REPLACE INTO job (id, container, life, ended, tip, digest, cursor, bytes, gaps, last)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                job.id,
                job.container,
                job.life,
                int(job.ended),
                job.tip,
                job.digest,
                job.cursor,
                job.bytes,
                job.gaps,
                job.last,
            ),
        )

    def advance(self, job: str, progress: Progress) -> None:
        """Write what changes with an acknowledgement."""
        self._db.execute(
            "UPDATE job SET tip = ?, digest = ?, bytes = ?, gaps = ?, last = ? WHERE id = ?", (*progress, job)
        )

    def describe(self, job: StoredJob) -> None:
        """Write the engine's description of a job."""
        self._db.execute(
            "UPDATE job SET container = ?, life = ?, ended = ? WHERE id = ?",
            (job.container, job.life, int(job.ended), job.id),
        )

    def forget(self, job: str) -> None:
        """Delete a job and everything queued of it."""
        self.clear(job)
        self._db.execute("DELETE FROM job WHERE id = ?", (job,))

    def clear(self, job: str) -> None:
        """Delete everything that was read of a job."""
        for (size,) in self._db.execute("SELECT length(body) FROM batch WHERE job = ?", (job,)):
            self.bytes -= size + ROW_BYTES
        self._db.execute("DELETE FROM batch WHERE job = ?", (job,))
        self.drop_pieces(job)
        self.drop_held(job)

    def set_cursor(self, job: str, cursor: str | None) -> None:
        """Set the cursor from which reading of the job continues."""
        self._db.execute("UPDATE job SET cursor = ? WHERE id = ?", (cursor, job))

    # --- batches ------------------------------------------------------------------------------------------------

    def append(self, batch_id: int, job: str, batch: Batch, *, gap: bool = False, first: int | None = None) -> None:
        """Queue a batch.

        Args:
            batch_id: The batch's id; ids rise in the order of the queue.
            job: The job's id.
            batch: The batch.
            gap: Whether the agent made it in place of what it had to drop.
            first: The sequence of its first entry, if it has one already.
        """
        self.bytes += len(batch.body) + ROW_BYTES
        self._db.execute(
            'INSERT OR REPLACE INTO batch (id, job, first, gap, count, start, "end", raw, gaps, cursor, digest, body)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (batch_id, job, first, int(gap), *_columns(batch)),
        )

    def replace(self, batch_id: int, batch: Batch, first: int | None = None) -> None:
        """Replace a queued batch by a gap, which keeps the batch's sequence or takes `first`."""
        size = self._read("SELECT length(body) FROM batch WHERE id = ?", (batch_id,))
        self.bytes += len(batch.body) - (size[0][0] if size else -ROW_BYTES)
        self._db.execute(
            'UPDATE batch SET first = coalesce(?, first), gap = 1, count = ?, start = ?, "end" = ?, raw = ?, gaps = ?,'
            " cursor = ?, digest = ?, body = ? WHERE id = ?",
            (first, *_columns(batch), batch_id),
        )

    def assign(self, batch_id: int, first: int) -> None:
        """Give a batch its sequence, before it is first sent."""
        self._db.execute("UPDATE batch SET first = ? WHERE id = ?", (first, batch_id))

    def load(self, batch_id: int) -> Stored | None:
        """Return a queued batch with its body; None when it is not queued."""
        rows = self._read(
            'SELECT id, job, first, gap, count, start, "end", raw, gaps, cursor, digest, body FROM batch WHERE id = ?',
            (batch_id,),
        )
        return next((_stored(row, len(row[11]), row[11]) for row in rows), None)

    def queue(self) -> Iterator[Stored]:
        """Yield all queued batches in order, with empty bodies."""
        for row in self._read(
            'SELECT id, job, first, gap, count, start, "end", raw, gaps, cursor, digest, length(body)'
            " FROM batch ORDER BY id"
        ):
            yield _stored(row, row[11], b"")

    def remove(self, batch_id: int) -> None:
        """Delete a batch from the queue: it was acknowledged, or another replaced it."""
        for (size,) in self._db.execute(
            "DELETE FROM batch WHERE id = ? RETURNING length(body)", (batch_id,)
        ).fetchall():
            self.bytes -= size + ROW_BYTES

    # --- open batches -------------------------------------------------------------------------------------------

    def save_piece(self, job: str, piece: SavedEntries) -> None:
        """Store what a job's open batch has gained."""
        columns = _packed(piece)
        self.bytes += len(columns) + ROW_BYTES
        self._db.execute("INSERT INTO piece (job, cursor, columns) VALUES (?, ?, ?)", (job, piece.cursor, columns))

    def drop_pieces(self, job: str) -> None:
        """Delete a job's open batch: it was closed, or will be read again."""
        for (size,) in self._db.execute("DELETE FROM piece WHERE job = ? RETURNING length(columns)", (job,)).fetchall():
            self.bytes -= size + ROW_BYTES

    def pieces(self) -> Iterator[tuple[str, SavedEntries | None]]:
        """Yield the open batches' pieces in order; None in place of a damaged one."""
        for job, cursor, columns in self._read("SELECT job, cursor, columns FROM piece ORDER BY id"):
            yield job, _unpacked(columns, cursor)

    # --- entries held back --------------------------------------------------------------------------------------

    def save_held(self, job: str, place: str | None, piece: SavedEntries) -> None:
        """Keep the entry that a job's processor holds back, in the place of the one before; it follows `place`."""
        self.drop_held(job)
        columns = _packed(piece)
        self.bytes += len(columns) + ROW_BYTES
        self._db.execute("INSERT INTO held VALUES (?, ?, ?, ?)", (job, place, piece.cursor, columns))

    def drop_held(self, job: str) -> None:
        """Delete a job's held entry."""
        for (size,) in self._db.execute("DELETE FROM held WHERE job = ? RETURNING length(columns)", (job,)).fetchall():
            self.bytes -= size + ROW_BYTES

    def held(self) -> Iterator[tuple[str, str | None, SavedEntries | None]]:
        """Yield for each job that has one the entry held back, and the position that it follows.

        It is void where the job is at another position: then the entry was passed on.
        """
        for job, place, cursor, columns in self._read("SELECT job, place, cursor, columns FROM held"):
            yield job, place, _unpacked(columns, cursor)

    # --- inside -------------------------------------------------------------------------------------------------

    def _read(self, sql: str, arguments: tuple[object, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, arguments).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            with suppress(OSError):  # SQLite's error is clearer, but SQLite would make the file readable to all
                os.close(open_private(str(self.path), os.O_RDWR | os.O_CREAT))
            db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {self._sync}")
            db.execute("PRAGMA journal_size_limit = 1048576")
            db.execute(f"PRAGMA wal_autocheckpoint = {self._log_bytes() // PAGE_BYTES}")
            # Debian's SQLite overwrites everything deleted with zeros, which doubles the writes. Leave free pages as
            # they are.
            db.execute("PRAGMA secure_delete = FAST")
            db.execute("PRAGMA cache_size = -8192")
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                db.execute("BEGIN IMMEDIATE")
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                facts = [("format", FORMAT), ("engine", self._engine), ("made", str(time.time_ns()))]
                db.executemany("INSERT INTO meta VALUES (?, ?)", facts)
                db.execute("COMMIT")
            meta = dict(db.execute("SELECT key, value FROM meta"))
            if meta.get("format") != FORMAT or meta.get("engine") != self._engine:
                db.close()
                raise SpoolCorruptError("the spool is of another format")
            if (fault := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                db.close()
                raise SpoolCorruptError(f"the spool is damaged: {fault}")
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'held'").fetchall():
                self.delete_ballast()  # the disk may be full
                db.execute(ADDED)
            if db.execute(ODD).fetchone()[0]:
                db.close()
                raise SpoolCorruptError("the spool is damaged: a row holds values that no agent writes")
        except sqlite3.Error as error:
            raise self._explained(error) from error
        self.restore_ballast()
        return db

    def _log_bytes(self) -> int:
        disk = os.statvfs(self.folder)
        return min(LOG_BYTES, max(LEAST_LOG_BYTES, disk.f_blocks * disk.f_frsize // LOG_SHARE))

    def _move_aside(self) -> Path:
        """Rename a damaged spool for later inspection, and make room for a new one."""
        target = self.path.with_suffix(f".damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(target.with_name(target.name + suffix))
        return target

    def damage(self) -> Path:
        """Close a spool that proved damaged while in use, and set it aside."""
        self.close()
        return self._move_aside()

    def _measure(self) -> int:
        batches = self._read("SELECT count(*), coalesce(sum(length(body)), 0) FROM batch")[0]
        pieces = self._read("SELECT count(*), coalesce(sum(length(columns)), 0) FROM piece")[0]
        held = self._read("SELECT count(*), coalesce(sum(length(columns)), 0) FROM held")[0]
        return int((batches[0] + pieces[0] + held[0]) * ROW_BYTES + batches[1] + pieces[1] + held[1])

    def _fill_ballast(self) -> None:
        with open(self._ballast, "wb", opener=open_private) as file:
            file.write(bytes(BALLAST_BYTES))
            file.flush()
            os.fsync(file.fileno())

    def _explained(self, error: sqlite3.Error) -> SpoolError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return SpoolCorruptError(f"the spool {self.path} is damaged: {error}")
        if code in {
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_CANTOPEN,
        }:
            return SpoolStuckError(f"the spool {self.path} cannot be written: {error}")
        return SpoolError(f"the spool {self.path} failed: {error}")


def _stored(row: Any, size: int, body: bytes) -> Stored:
    count, start, end, raw, gaps, cursor, digest = row[4:11]
    return Stored(row[0], row[1], row[2], bool(row[3]), size, Batch(count, start, end, raw, gaps, cursor, digest, body))


def _packed(piece: SavedEntries) -> bytes:
    parts = (piece.times, piece.streams, piece.texts, *([piece.cursors] if piece.cursors is not None else []))
    return zstd.compress(msgspec.msgpack.encode(parts), PIECE_LEVEL)


def _unpacked(columns: bytes, cursor: str) -> SavedEntries | None:
    try:
        parts = msgspec.msgpack.decode(zstd.decompress(columns))
        times, streams, texts = msgspec.convert(parts[:3], tuple[list[int], str, list[str]])
        cursors = msgspec.convert(parts[3], list[str]) if len(parts) > 3 else None
    except (zstd.ZstdError, msgspec.MsgspecError, TypeError, ValueError, LookupError):
        return None
    counts = {len(times), len(streams), len(texts), len(texts if cursors is None else cursors)}
    return SavedEntries(times, streams, texts, cursor, cursors) if len(counts) == 1 and texts else None


def _columns(batch: Batch) -> tuple[object, ...]:
    return (
        batch.count,
        batch.start,
        batch.end,
        batch.raw,
        batch.gaps,
        batch.cursor,
        batch.digest,
        batch.body,
    )


def _lock(path: Path) -> IO[str]:
    file = open(path, "a+", opener=open_private)  # noqa: SIM115 - held as long as the spool
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise SpoolLockedError(
            f"another agent (process {holder}) uses the spool in {path.parent}: run one agent per engine. Stop the"
            " other one, or set another spool_dir for this one"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
