"""Have backlogs in log files parsed and encoded by a second process, one stretch of one log at a time.

Python runs one thread at a time. So parsing and compressing a backlog beside the thread that ships it needs a second
process. It holds no state that matters: when it ends for any reason, its stretch is read in the ordinary way.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Final

import msgspec
import structlog

from ..core.batching.preencode import PreencodedSlice, PreencodeRequest
from .preencode_worker import LENGTH_BYTES, REQUEST_BYTES, with_length

log = structlog.get_logger()

_WORKER: Final = "logferry_agent.edge.preencode_worker"
_IDLE_S: Final = 10.0
"""Seconds without a stretch after which the process ends: backlogs are rare."""
_PATIENCE_S: Final = 1.0
"""Seconds to wait for a batch. One takes a millisecond; a machine that needs longer has no processor to spare."""
_READ_BYTES: Final = 128 * 1024
_BACKLOG_BYTES: Final = 1024 * 1024
"""A shorter backlog is read faster than it is handed over."""


class PreencodePool:
    """Gives stretches to the second process, one after the other. Not thread-safe."""

    def __init__(self, idle_s: float = _IDLE_S, patience_s: float = _PATIENCE_S) -> None:
        """Prepare the pool. Its process starts with the first call of `start`.

        Args:
            idle_s: Seconds that the process stays without work.
            patience_s: Seconds that `take` waits for a batch before the process is given up for good.
        """
        self._idle_s = idle_s
        self._patience_s = patience_s
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._unread = bytearray()
        self._there = False
        """Whether the process has reported that it is ready."""
        self.owner: object | None = None
        """The log whose stretch is in work, until it is taken to its end. No other log may take from it."""
        self.plain = True
        """Whether the last stretch was plain to its end."""
        self._barred = False
        """Whether the process could not start, so that starting it again now is useless."""
        self._late = False
        """Whether the process once made reading wait. It is not used again."""
        self._answers = msgspec.msgpack.Decoder(PreencodedSlice | bool)

    @staticmethod
    def is_useful() -> bool:
        """Return whether a second process can run beside this one."""
        return len(os.sched_getaffinity(0)) > 1

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self._line is not None or self._barred or self._late:
            return
        ours, theirs = socket.socketpair()
        # The process can import what this one can, and nothing else from the folder it starts in.
        command = [sys.executable, "-P", "-m", _WORKER, str(self._idle_s)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            # In its own process group, because a terminal's Ctrl-C is for the agent. The process ends with the agent.
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environment, process_group=0
            )
        except OSError as error:
            log.warning("preencode_process_not_started", reason=str(error))
            self._barred = True
            ours.close()
            return
        finally:
            theirs.close()
        self._line, self._there = ours, False
        self._unread.clear()

    def submit(self, owner: object, fd: int, request: PreencodeRequest) -> bool:
        """Hand over a stretch, if the process is free and the stretch is worth it.

        Call `take` afterwards, while the log is the owner.

        Args:
            owner: The log.
            fd: The open log file.
            request: Which stretch to encode.

        Returns:
            Whether it was handed over.
        """
        if self.owner is not None or request.end - request.offset < _BACKLOG_BYTES:
            return False
        if self._line is None:
            self.start()
            return False
        try:
            if not self._there:
                self._there = bool(self._receive(0.0))
            message = with_length(request)
            if len(message) > REQUEST_BYTES:
                return False  # with so many patterns the stretch is read in the ordinary way
            if socket.send_fds(self._line, [message], [fd]) < len(message):
                raise ConnectionError("the process did not take the whole request")
        except BlockingIOError:
            return False  # the process is not ready yet
        except OSError:
            self.stop()  # the process was idle and ended, or could not start
            self._barred = not self._there
            return False
        self.owner, self.plain = owner, False
        return True

    def take(self) -> list[PreencodedSlice]:
        """Return the next batches of the owner's stretch, as many as are ready; an empty list only at its end."""
        found: list[PreencodedSlice] = []
        try:
            while not found or self._waiting:
                answer = self._receive(self._patience_s)
                if isinstance(answer, bool):
                    self.owner, self.plain = None, answer
                    break
                found.append(answer)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("preencode_process_lost", reason=str(error) or type(error).__name__)
            self.stop()
            self._late = isinstance(error, TimeoutError)
        return found

    def stop(self) -> None:
        """Kill the process."""
        self.owner = None
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def reap(self) -> None:
        """Clean up after a process that ended by itself. Call this regularly."""
        self._barred = False
        if self._process is not None and self._process.poll() is not None:
            self.stop()

    def _receive(self, patience_s: float) -> PreencodedSlice | bool:
        """Return the next message: a batch, or at the end of a stretch whether it was plain.

        Raises:
            BlockingIOError: Nothing is there, and the patience is 0.
            OSError: Nothing came in time, or the process ended.
        """
        assert self._line is not None  # noqa: S101 - the callers looked
        self._line.settimeout(patience_s)
        while not self._waiting:
            more = self._line.recv(_READ_BYTES)
            if not more:
                raise ConnectionResetError("the process ended")
            self._unread += more
        stop = LENGTH_BYTES + self._length
        answer: PreencodedSlice | bool = self._answers.decode(memoryview(self._unread)[LENGTH_BYTES:stop])
        del self._unread[:stop]
        return answer

    @property
    def _length(self) -> int:
        return int.from_bytes(self._unread[:LENGTH_BYTES], "big")

    @property
    def _waiting(self) -> bool:
        """Whether a message is complete in the buffer."""
        return len(self._unread) >= LENGTH_BYTES + self._length
