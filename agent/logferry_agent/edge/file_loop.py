"""Read all log files on one thread.

It sleeps in inotify until a log grows, a container appears, or a reader has news. Log files are opened as soon as they
exist, before anything else is known of their container: a container that lives for milliseconds may be gone when the
engine is asked about it.

After reaching the end of a log, its reader pauses for a few milliseconds, so that a busy log is not read, parsed and
passed on line by line. New files are still opened at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Final

import structlog

from ..core.batching.cursor import Cursor
from ..core.batching.entry_sequencer import EntrySequencer
from ..core.batching.ports import Sink
from ..core.batching.read_throttle import ReadThrottle
from ..core.redaction.redaction import NO_REDACTION, Redaction
from .container_reader import FAILED, ContainerReader, Step
from .file_source import FileSource
from .inotify import CREATED, DELETED, IGNORED, MODIFIED, MOVED_TO, OVERFLOW, Change, Watcher
from .preencode_pool import PreencodePool

log = structlog.get_logger()

_SLICE_BYTES: Final = 256 * 1024
"""Bytes read at once from one log: about a batch. This takes a millisecond, so that responses, other logs and new files
do not wait long."""
_MUCH_BYTES: Final = 64 * 1024
"""A log of which this many bytes are read at once does not pause."""
_BLIND_WAIT_S: Final = 0.05
"""Seconds between looks at logs that cannot be watched."""
_SAFETY_S: Final = 5.0
"""Seconds between looks at watched logs, for safety."""
_FAILED_S: Final = 0.5
"""Seconds to wait after an internal error that was not one log's."""
_ID_CHARS: Final = 64
_WATCHED_EVENTS: Final = MODIFIED | CREATED | MOVED_TO | DELETED
"""Events watched in a log's folder. With max-file=1, from 23.0 on, the engine removes a file before it makes the next
one of the same name. Without DELETED the kernel would merge the two creations into one event, and a file that came and
went would be missed."""
_UNCLAIMED_S: Final = 60.0
"""Seconds for which a log that no reader asked for is held open."""


@dataclass(slots=True)
class _Folder:
    """A container's folder, watched or not."""

    container: str
    source: FileSource
    watch: int | None
    since: float
    files: int = 0
    """New files under the log's name, as counted by inotify."""


class FileLoop:
    """Reads the logs of many containers from their files."""

    def __init__(self, root: Path, sink: Sink, *, max_deleted_bytes: int, pool: PreencodePool | None = None) -> None:
        """Prepare the loop.

        Args:
            root: The engine's folder `containers`, as it is mounted here.
            sink: Takes the chunks.
            max_deleted_bytes: Limit of unread bytes of deleted files that are held open.
            pool: Reads backlogs; None without one.
        """
        self._root = root
        self._sink = sink
        self._max_deleted_bytes = max_deleted_bytes
        self._pool = pool
        self._watcher = Watcher()
        self._lock = Lock()
        self._tasks: list[Callable[[], None]] = []
        self._readers: dict[str, ContainerReader] = {}
        self._folders: dict[str, _Folder] = {}
        self._watches: dict[int, _Folder] = {}
        self._ready: set[str] = set()
        self._paces: dict[str, ReadThrottle] = {}
        self._resting: dict[str, float] = {}
        """Ready containers that pause, with the time until which."""
        self._to_open: dict[str, _Folder] = {}
        """Folders in which a new file appeared under the log's name."""
        self._with_problem: set[str] = set()
        self._root_watch: int | None = None
        self._looked = self._bounded = 0.0
        self._stopping = False
        self._thread = Thread(target=self._run, name="logferry-files", daemon=True)

    # --- from any thread ---

    def start(self) -> None:
        """Start the thread."""
        if self._pool is not None:
            self._pool.start()
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop. Nothing is offered to the sink after it returns."""
        self._stopping = True
        self._watcher.wake()
        self._thread.join(timeout_s)

    def expect(self, container: str) -> None:
        """Open the log of a new container as soon as it exists."""
        self._do(lambda: self._hold(container))

    def forget(self, container: str) -> None:
        """Close what is held of a container that is not to be read."""
        self._do(lambda: self._drop(container))

    def add(self, reader: ContainerReader) -> None:
        """Read a container."""
        reader.on_news = lambda: self._do(lambda: self._ready.add(reader.id))

        def adopt() -> None:
            self._readers[reader.id] = reader
            self._ready.add(reader.id)

        self._do(adopt)

    def source_for(
        self,
        container: str,
        path: Path,
        sequencer: EntrySequencer,
        *,
        since: int,
        max_size: int,
        redaction: Redaction | None = NO_REDACTION,
    ) -> FileSource:
        """Return the source for a reader, with the files held since the container's creation.

        Only for the loop's own thread.
        """
        folder = self._folders.get(container)
        if folder is not None and folder.source.path == path and folder.source.untouched:
            source = folder.source
            source.begin(sequencer, since=since, max_size=max_size, redaction=redaction)
            return source
        source = FileSource(path, sequencer, since=since, max_size=max_size, pool=self._pool, redaction=redaction)
        if folder is None:
            folder = self._watch(container, source)
        folder.source = source
        self._count(folder)
        return source

    def _do(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._tasks.append(task)
        self._watcher.wake()

    # --- the loop's own ---

    def _run(self) -> None:
        self._root_watch = self._watcher.watch(str(self._root), CREATED | MOVED_TO)
        self._looked = self._bounded = time.monotonic()
        try:
            while not self._stopping:
                try:
                    self._turn()
                except Exception:
                    # An internal error must not end the reading of all logs.
                    log.exception("files_failed")
                    for folder in self._folders.values():
                        folder.source.uncounted()  # reports of new files may be lost
                    self._ready.update(self._readers)
                    time.sleep(_FAILED_S)
        finally:
            for reader in self._readers.values():
                reader.close()
            for folder in self._folders.values():
                folder.source.close()
            self._watcher.close()
            if self._pool is not None:
                self._pool.stop()

    def _turn(self) -> None:
        self._wait()
        self._open_new()
        self._work()
        now = time.monotonic()
        blind = [folder.container for folder in self._folders.values() if folder.watch is None]
        if blind:
            self._ready.update(self._readers.keys() & blind)
            for container in blind:
                self._open(self._folders[container])
        if now - self._looked > _SAFETY_S:
            self._looked = now
            self._ready.update(self._readers)
            self._tidy(now)
        if now - self._bounded > 1:
            self._bounded = now
            self._bound()
        if self._ready and self._step_all():
            self._sink.wait_for_room(_BLIND_WAIT_S)

    def _wait(self) -> None:
        """Wait until there is something to do."""
        self._end_rests()
        if self._to_open or any(container not in self._resting for container in self._ready):
            self._notice(self._watcher.wait(0))
        elif self._resting:
            self._notice(self._watcher.wait(min(self._resting.values()) - time.monotonic(), growth=False))
        else:
            self._notice(self._watcher.wait(self._patience()))

    def _end_rests(self) -> None:
        now = time.monotonic()
        self._resting = {
            container: until for container, until in self._resting.items() if until > now and container in self._ready
        }

    def _patience(self) -> float:
        unwatched = self._root_watch is None or any(folder.watch is None for folder in self._folders.values())
        return _BLIND_WAIT_S if unwatched and self._folders else _SAFETY_S

    def _work(self) -> None:
        with self._lock:
            tasks, self._tasks = self._tasks, []
        for task in tasks:
            try:
                task()
            except Exception:
                log.exception("files_failed")  # the error of one container; the tasks of others go on

    def _step_all(self) -> bool:
        """Make one step with every ready container. Return whether the sink takes no more."""
        full = 0
        self._end_rests()
        ready = [container for container in self._ready if container not in self._resting]
        for container in ready:
            full += self._step(container) is Step.FULL
            # However many logs there are to read, a new file is opened at once: it may be gone within milliseconds.
            self._notice(self._watcher.wait(0, growth=False))
            self._open_new()
        return 0 < full == len(ready)

    def _step(self, container: str) -> Step:
        reader = self._readers.get(container)
        if reader is None:
            self._ready.discard(container)
            return Step.IDLE
        try:
            step = reader.step(self._sink, _SLICE_BYTES)
        except OSError as error:
            self._trouble(container, f"the log cannot be read: {error}"[:300])
            step = Step.IDLE
        except Exception:
            # One log must not stop the others. It is read again from its last position when all are looked at.
            log.exception("reading_failed", container=container)
            self._trouble(container, FAILED)
            reader.begin_again(self._sink)
            step = Step.IDLE
        else:
            self._trouble(container, None)
        if step in {Step.IDLE, Step.DONE}:
            self._ready.discard(container)
        elif step is Step.MORE and isinstance(source := reader.source, FileSource):
            now = time.monotonic()
            rest = self._paces.setdefault(container, ReadThrottle(_MUCH_BYTES)).pause_s(source.taken, now)
            if rest and source.caught_up:
                self._resting[container] = now + rest
        if step is Step.DONE:
            del self._readers[container]
            self._paces.pop(container, None)
            self._drop(container)
        return step

    def _trouble(self, container: str, problem: str | None) -> None:
        if problem is not None or container in self._with_problem:
            self._sink.job_problem(container, problem)
            (self._with_problem.discard if problem is None else self._with_problem.add)(container)

    def _open_new(self) -> None:
        while self._to_open:
            self._open(self._to_open.popitem()[1])

    def _hold(self, container: str) -> None:
        if container not in self._folders:
            source = FileSource(
                self._root / container / f"{container}-json.log", EntrySequencer(Cursor()), pool=self._pool
            )
            self._open(self._watch(container, source))

    def _watch(self, container: str, source: FileSource) -> _Folder:
        watch = self._watcher.watch(str(source.path.parent), _WATCHED_EVENTS)
        folder = _Folder(container, source, watch, time.monotonic())
        self._folders[container] = folder
        if watch is not None:
            self._watches[watch] = folder
        source.counted_from_birth = watch is not None and not source.path.exists()
        self._count(folder)
        return folder

    def _count(self, folder: _Folder) -> None:
        def count() -> int | None:
            self._notice(self._watcher.wait(0, growth=False))
            return folder.files if folder.watch is not None else None

        folder.source.count_files = count

    def _open(self, folder: _Folder) -> None:
        try:
            if folder.watch is None:
                self._rewatch(folder)
            folder.source.open()
        except OSError:
            pass  # the reader reports it, if there is one
        except Exception:
            log.exception("log_not_opened", container=folder.container)

    def _rewatch(self, folder: _Folder) -> None:
        watch = self._watcher.watch(str(folder.source.path.parent), _WATCHED_EVENTS)
        if watch is not None:
            folder.watch = watch
            self._watches[watch] = folder
            folder.source.uncounted()

    def _drop(self, container: str) -> None:
        folder = self._folders.pop(container, None)
        if folder is not None:
            folder.source.close()
            if folder.watch is not None:
                self._watches.pop(folder.watch, None)
                self._watcher.unwatch(folder.watch)

    def _notice(self, changes: list[Change]) -> None:
        for change in changes:
            if change.mask & OVERFLOW:
                for folder in self._folders.values() if not change.mask & MODIFIED else ():
                    folder.source.uncounted()
                self._ready.update(self._readers)
                continue
            if change.watch == self._root_watch:
                if len(change.name) == _ID_CHARS:
                    self._hold(change.name)
                continue
            known = self._watches.get(change.watch)
            if known is None:
                continue
            if change.mask & IGNORED:
                known.watch = None if known.container in self._readers else known.watch
                self._watches.pop(change.watch, None)
                continue
            if change.name == known.source.path.name and change.mask & (CREATED | MOVED_TO):
                known.files += 1
                self._to_open[known.container] = known
            if known.container in self._readers:
                self._ready.add(known.container)

    def _tidy(self, now: float) -> None:
        if self._pool is not None:
            self._pool.reap()
        for container, folder in list(self._folders.items()):
            if container not in self._readers and now - folder.since > _UNCLAIMED_S:
                self._drop(container)

    def _bound(self) -> None:
        """Keep the unread bytes of deleted files within their limit."""
        if not self._ready:
            return
        kept = {container: folder.source.kept_alive for container, folder in self._folders.items()}
        total = sum(kept.values())
        for container in sorted(kept, key=lambda name: -kept[name]):
            while total > self._max_deleted_bytes and (freed := self._folders[container].source.drop_oldest()):
                total -= freed
