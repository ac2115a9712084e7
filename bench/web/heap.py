"""Read the memory of a page and its workers from the browser (Chrome DevTools Protocol)."""

from __future__ import annotations

import asyncio
import itertools
import json
import urllib.request
from typing import Any

from websockets.asyncio.client import connect

Heap = dict[str, float]


async def _read(port: int) -> dict[str, Heap]:
    async with connect(f"ws://127.0.0.1:{port}{_path(port)}", max_size=None, compression=None) as socket:
        numbers = itertools.count(1)
        attached: list[tuple[str, str]] = []

        async def call(method: str, params: dict[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
            number = next(numbers)
            message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
            if session:
                message["sessionId"] = session
            await socket.send(json.dumps(message))
            while True:
                said = json.loads(await socket.recv())
                if said.get("method") == "Target.attachedToTarget":
                    attached.append((said["params"]["targetInfo"]["title"] or "worker", said["params"]["sessionId"]))
                if said.get("id") == number:
                    return dict(said.get("result", {}))

        targets = (await call("Target.getTargets"))["targetInfos"]
        page = next(target for target in targets if target["type"] == "page" and "127.0.0.1" in target["url"])
        session = (await call("Target.attachToTarget", {"targetId": page["targetId"], "flatten": True}))["sessionId"]
        attached.clear()
        auto = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        await call("Target.setAutoAttach", auto, session)
        await call("Runtime.evaluate", {"expression": "1"}, session)
        found: dict[str, Heap] = {}
        for name, one in [("page", session), *attached]:
            await call("HeapProfiler.collectGarbage", session=one)
            usage = await call("Runtime.getHeapUsage", session=one)
            key = name if name not in found else f"{name} {len(found)}"
            found[key] = {part: usage.get(part, 0) / 1e6 for part in ("usedSize", "backingStorageSize")}
        return found


def _path(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/version", timeout=10) as answer:
        url = json.load(answer)["webSocketDebuggerUrl"]
    return "/" + str(url).split("/", 3)[3]


def heaps(port: int) -> dict[str, Heap]:
    """Return megabytes of the page and each worker.

    JavaScript's heap, its backing buffers, and WebAssembly's memory.
    """
    return asyncio.run(asyncio.wait_for(_read(port), 60))
