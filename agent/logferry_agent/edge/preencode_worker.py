"""The preencode process: `python -m logferry_agent.edge.preencode_worker SECONDS`, with a socket as standard input.

It reports that it is ready. Then it takes one stretch after the other, each with the open file that it is in. It
answers batch after batch, as far ahead as the socket takes them, and at the end whether everything was plain. It ends
when the agent does, or after SECONDS without work.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import msgspec

from ..core.batching.preencode import PreencodedSlice, Preencoder, PreencodeRequest

REQUEST_BYTES = 65_536
"""Limit of a request. It is under 1 KiB without the patterns of what to hide."""

LENGTH_BYTES = 4
"""Bytes of the length before each request and each message."""

_ENCODER = msgspec.msgpack.Encoder()

TOGETHER = 4
"""Batches sent together: waking the agent for each would cost more than to process it."""


def main(idle_s: float) -> None:
    """Serve requests until the agent ends or none comes."""
    line = socket.socket(fileno=0)
    line.settimeout(idle_s)
    requests = msgspec.msgpack.Decoder(PreencodeRequest)
    try:
        line.sendall(with_length(True))
        while True:
            head, files, _, _ = socket.recv_fds(line, LENGTH_BYTES, 1, socket.MSG_WAITALL)
            if not head:
                return
            line.settimeout(None)
            raw = line.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            ready: list[bytes] = []
            for answer in encode_stretch(files[0], requests.decode(raw)):
                ready.append(with_length(answer))
                if len(ready) == TOGETHER or isinstance(answer, bool):
                    line.sendall(b"".join(ready))
                    ready.clear()
            os.close(files[0])
            line.settimeout(idle_s)
    except (TimeoutError, ConnectionError):
        return


def with_length(message: PreencodedSlice | PreencodeRequest | bool) -> bytes:
    """Return an encoded message behind its length."""
    data = _ENCODER.encode(message)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def encode_stretch(fd: int, request: PreencodeRequest) -> Iterator[PreencodedSlice | bool]:
    """Yield the batches of a stretch, then whether it was plain to its end, where less than a whole batch is left."""
    preencoder, offset = Preencoder(request), request.offset
    while offset + (wanted := preencoder.slice) <= request.end:
        try:
            data = os.pread(fd, wanted, offset)
        except OSError:
            data = b""  # ordinary reading finds the error too, and reports it
        batch = preencoder.encode_next(data) if len(data) == wanted else None
        if batch is None:
            yield False
            return
        offset += batch.size
        yield batch
    yield True


if __name__ == "__main__":
    main(float(sys.argv[1]))
