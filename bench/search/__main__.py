"""`make bench-search`: time a hostile expression's answers from the deployed local cloud.

An answer must end within its budget plus one second, for any lines. The cloud must be running (`logferry up --detach`);
`--state` names its folder. The benchmark writes a job for each kind of lines, as an agent writes it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.support.batches import batch_document
from websockets.sync.client import connect

from logferry_state.state import LocalKeys, LocalState, load_keys, load_state
from query.search import GRACE_S, SEARCH_S

HOSTILE = "(?:a|b|ab|ba){1000}" * 15 + "z"
"""287 characters that RE2 compiles to 75,006 instructions: the search that took 29 s and failed."""
PIECE = 16_384
BATCH = 60
"""Fragments of 16 KiB in a batch: below 1 MiB decoded."""
ROUND_TRIP_S = 0.5
"""Seconds allowed for gateway, emulator and authorizer in addition to the search."""


@dataclass(frozen=True)
class Kind:
    """A job's lines, as entries."""

    name: str
    streams: str
    texts: tuple[str, ...]


KINDS = (
    Kind("5,000 lines of 200 characters", "o" * 5_000, ("ab" * 100,) * 5_000),
    Kind("64 lines of 16 KiB", "o" * 64, ("ab" * (PIECE // 2),) * 64),
    Kind("4 lines of 256 KiB, in 16 fragments each", ("o" + "O" * 15) * 4, ("ab" * (PIECE // 2),) * 64),
    Kind("1 line of 1 MiB, in 64 fragments", "o" + "O" * 63, ("ab" * (PIECE // 2),) * 64),
)


def write(state: LocalState, keys: LocalKeys, kind: Kind) -> str:
    """Store a job and return its id."""
    container = secrets.token_hex(32)
    opening = [{"job": container, "container": {"name": "bench-search"}, "life": {"state": "running", "created": 1}}]
    with connect(
        f"{state.agents_url}?v=1", additional_headers={"Authorization": f"Bearer {keys.agent_key}"}, open_timeout=60
    ) as socket:

        def ask(message: dict[str, Any]) -> dict[str, Any]:
            socket.send(json.dumps(message))
            answer: dict[str, Any] = json.loads(socket.recv(60))
            return answer

        opened = ask({"type": "open", "id": "o", "instance": secrets.token_hex(8).upper(), "jobs": opening})
        for at in range(0, len(kind.texts), BATCH):
            texts, streams = kind.texts[at : at + BATCH], kind.streams[at : at + BATCH]
            batch = batch_document(at + 1, texts, streams=streams, job=container)
            result = ask({"type": "ingest", "id": f"i{at}", "batches": [batch]})["results"][0]
            if result["outcome"] != "stored":
                raise AssertionError(f"a batch was not stored: {result}, after {opened}")
    return f"local.{container}"


def main() -> int:
    """Print the budget and the time that each kind of lines took."""
    parser = argparse.ArgumentParser(prog="bench.search", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("LOGFERRY_STATE", ".logferry")))
    parser.add_argument("--answers", type=int, default=3, help="answers to request for each job")
    options = parser.parse_args()
    state, keys = load_state(options.state), load_keys(options.state)
    if state is None or keys is None:
        parser.error(
            f"there is no local cloud in {options.state}; `logferry up --detach --state {options.state}` first"
        )
    most = SEARCH_S + GRACE_S
    print(f"budget {SEARCH_S:.0f} s, and {GRACE_S:.0f} s more; {ROUND_TRIP_S} s on top for the round trip")
    missed = False
    with httpx.Client(timeout=60, headers={"Authorization": f"Bearer {keys.viewer_key}"}) as client:
        for kind in KINDS:
            job = write(state, keys, kind)
            client.get(f"{state.http_url}/api/jobs/{job}/search", params={"q": "warm"})
            after, took, unsearched = 0, [], 0
            for _ in range(options.answers):
                began = time.monotonic()
                query: dict[str, Any] = {"q": HOSTILE, "regex": 1, "after": after}
                answer = client.get(f"{state.http_url}/api/jobs/{job}/search", params=query)
                took.append(time.monotonic() - began)
                answer.raise_for_status()
                document = answer.json()
                unsearched += len(document["unsearched"])
                if document["next"] is None:
                    after = document["tip"]
                    break
                if document["next"] <= after:
                    raise AssertionError("an answer that does not advance")
                after = document["next"]
            held = max(took) <= most + ROUND_TRIP_S
            missed = missed or not held
            said = ", ".join(f"{one:.1f}" for one in took)
            print(
                f"{kind.name}: {said} s for {len(took)} answers (target {most:.0f} s) {'ok' if held else 'MISSED'}; "
                f"searched to entry {after} of {len(kind.texts)}, {unsearched} lines searched in part",
                flush=True,
            )
    print(f"load average: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
