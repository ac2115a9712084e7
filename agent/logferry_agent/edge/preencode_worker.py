"""The press's process: `python -m logferry_agent.edge.preencode_worker SECONDS`, its standard input a socket.

It says when it is there. Then it is told one stretch after the other, each with the open file that it is in, and
answers batch after batch, and at the end whether all was plain; as far ahead as the socket takes them. It ends when the
agent does, or when there was nothing to do for so many seconds.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import msgspec

from ..core.batching.preencode import PreencodedSlice, Preencoder, PreencodeRequest

ORDER_BYTES = 65_536
"""An order is under 1 KiB, but for the patterns of what is to be hidden."""

LENGTH_BYTES = 4
"""Before an order, and before an answer."""

_ENCODER = msgspec.msgpack.Encoder()

TOGETHER = 4
"""Batches handed over at once: waking the agent for each would cost more than it does to pass them on."""


def main(idle_s: float) -> None:
    """Serve orders."""
    line = socket.socket(fileno=0)
    line.settimeout(idle_s)
    orders = msgspec.msgpack.Decoder(PreencodeRequest)
    try:
        line.sendall(framed(True))
        while True:
            head, files, _, _ = socket.recv_fds(line, LENGTH_BYTES, 1, socket.MSG_WAITALL)
            if not head:
                return
            line.settimeout(None)
            raw = line.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            ready: list[bytes] = []
            for answer in stretch(files[0], orders.decode(raw)):
                ready.append(framed(answer))
                if len(ready) == TOGETHER or isinstance(answer, bool):
                    line.sendall(b"".join(ready))
                    ready.clear()
            os.close(files[0])
            line.settimeout(idle_s)
    except (TimeoutError, ConnectionError):
        return


def framed(message: PreencodedSlice | PreencodeRequest | bool) -> bytes:
    """A message behind its length."""
    data = _ENCODER.encode(message)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def stretch(fd: int, order: PreencodeRequest) -> Iterator[PreencodedSlice | bool]:
    """The batches of a stretch, then whether it was plain to its end, where too little is left for a whole one."""
    pressing, offset = Preencoder(order), order.offset
    while offset + (wanted := pressing.slice) <= order.end:
        try:
            data = os.pread(fd, wanted, offset)
        except OSError:
            data = b""  # ordinary reading meets it too, and says it
        pressed = pressing.encode_next(data) if len(data) == wanted else None
        if pressed is None:
            yield False
            return
        offset += pressed.size
        yield pressed
    yield True


if __name__ == "__main__":
    main(float(sys.argv[1]))
