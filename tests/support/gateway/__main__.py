"""`python -m tests.support.gateway --upstream http://127.0.0.1:4566`: run a strict gateway for a local cloud by hand.

It prints one line of JSON with its addresses when it is ready. `GET /_gateway` returns what happened since,
`PUT /_gateway/faults` sets the faults from now on (the fields of `Faults`), `POST /_gateway/cut?api=Agents` cuts
connections, and `POST /_gateway/policies` reads the functions' policies again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from dataclasses import fields
from pathlib import Path

from tests.support.gateway.attach import STACK, attached_gateway
from tests.support.gateway.faults import Faults
from tests.support.gateway.limits import Limits


def _arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="python -m tests.support.gateway", description=__doc__.split("\n")[0])
    words.add_argument("--upstream", required=True, help="the emulator's address")
    words.add_argument("--template", type=Path, default=Path("template.yaml"))
    words.add_argument("--stack", default=STACK)
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--tables", action="store_true", help="the functions' DynamoDB calls come through here as well")
    for kind, group in ((Limits, "limits"), (Faults, "faults")):
        section = words.add_argument_group(group)
        for field in fields(kind):
            integral = str(field.type).startswith("int")
            section.add_argument(
                f"--{field.name.replace('_', '-')}", type=int if integral else float, default=field.default
            )
    return words.parse_args()


async def _main(given: argparse.Namespace) -> None:
    limits = Limits(**{field.name: getattr(given, field.name) for field in fields(Limits)})
    faults = Faults(**{field.name: getattr(given, field.name) for field in fields(Faults)})
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with attached_gateway(
        given.upstream,
        given.template,
        # In the environment, where other users cannot see it.
        access_key=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        stack=given.stack,
        limits=limits,
        faults=faults,
        seed=given.seed,
        port=given.port,
        tables=given.tables,
    ) as gateway:
        addresses = {name: gateway.address(name) for name in gateway.apis}
        print(json.dumps({"url": gateway.url, "base": gateway.base, **addresses}), flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_main(_arguments()))
