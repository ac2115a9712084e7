"""The pool as the thread that reads log files sees it: one stretch of one log at a time, pressed in another process.

Python runs one thread at a time, so parsing and compressing a backlog beside the thread that ships it needs a second
process. It holds nothing that matters: when it ends, for whatever reason, what it was asked for is read as if it had
never been there.
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
from .preencode_worker import LENGTH_BYTES, ORDER_BYTES, framed

log = structlog.get_logger()

_WORKER: Final = "logferry_agent.edge.preencode_worker"
_IDLE_S: Final = 10.0
"""After so long without a stretch it ends: a backlog is seldom."""
_PATIENCE_S: Final = 1.0
"""A batch takes a millisecond; where it takes so long the machine has better things to do than to pool."""
_READ_BYTES: Final = 128 * 1024
_BACKLOG_BYTES: Final = 1024 * 1024
"""Less is read faster than asked for."""


class PreencodePool:
    """Presses stretches, one after the other. Not thread-safe."""

    def __init__(self, idle_s: float = _IDLE_S, patience_s: float = _PATIENCE_S) -> None:
        """Prepare a pool; its process starts with the first call of `start`.

        Args:
            idle_s: How long the process stays without anything to do, in seconds.
            patience_s: How long `take` waits for a batch before the pool is given up for good, in seconds.
        """
        self._idle_s = idle_s
        self._patience_s = patience_s
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._unread = bytearray()
        self._there = False
        """Whether it has said that it is."""
        self.owner: object | None = None
        """For whom a stretch is being pressed, until it is taken to its end; nobody else may take of it."""
        self.plain = True
        """Whether the last one was plain to its end."""
        self._barred = False
        """Whether it could not begin, so that starting it again now would come to nothing."""
        self._late = False
        """Whether it once kept reading waiting: it is left alone from then on."""
        self._answers = msgspec.msgpack.Decoder(PreencodedSlice | bool)

    @staticmethod
    def useful() -> bool:
        """Whether a second process can run beside this one."""
        return len(os.sched_getaffinity(0)) > 1

    def start(self) -> None:
        """Have it at hand in a moment; nothing where it is."""
        if self._line is not None or self._barred or self._late:
            return
        ours, theirs = socket.socketpair()
        # What this process can import, it can, and nothing else that lies in the folder it is started in.
        command = [sys.executable, "-P", "-m", _WORKER, str(self._idle_s)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            # In a group of its own, as a terminal's Ctrl-C is for the agent, whose end is the end of this.
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

    def order(self, owner: object, fd: int, order: PreencodeRequest) -> bool:
        """Begin a stretch, if the pool is free and the stretch worth it; then `take` while one is the owner."""
        if self.owner is not None or order.end - order.offset < _BACKLOG_BYTES:
            return False
        if self._line is None:
            self.start()
            return False
        try:
            if not self._there:
                self._there = bool(self._receive(0.0))
            message = framed(order)
            if len(message) > ORDER_BYTES:
                return False  # with so many patterns it is read as usual
            if socket.send_fds(self._line, [message], [fd]) < len(message):
                raise ConnectionError("it does not take an order whole")
        except BlockingIOError:
            return False  # it is not there yet
        except OSError:
            self.stop()  # it had nothing to do for a while, or could not begin
            self._barred = not self._there
            return False
        self.owner, self.plain = owner, False
        return True

    def take(self) -> list[PreencodedSlice]:
        """The next batches of the owner's stretch, as many as are there; none only at its end."""
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
        """End it, whatever it is at."""
        self.owner = None
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def tend(self) -> None:
        """Clear away one that ended by itself; to be called now and then."""
        self._barred = False
        if self._process is not None and self._process.poll() is not None:
            self.stop()

    def _receive(self, patience_s: float) -> PreencodedSlice | bool:
        """The next answer: a batch, or at a stretch's end whether it was plain.

        Raises:
            OSError: it did not come in time (BlockingIOError where that is none), or the process ended.
        """
        assert self._line is not None  # noqa: S101 - the callers looked
        self._line.settimeout(patience_s)
        while not self._waiting:
            more = self._line.recv(_READ_BYTES)
            if not more:
                raise ConnectionResetError("it ended")
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
        """Whether an answer is here already."""
        return len(self._unread) >= LENGTH_BYTES + self._length
