"""Run Amazon ECS' task metadata endpoint (version 4) as a real HTTP server here, with the documented answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/v4/ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66-2495160603"
TASK_ARN = "arn:aws:ecs:eu-west-1:111122223333:task/prod/8f03e41243824aea923aca126495f665"

CONTAINER = {
    "DockerId": "ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66",
    "Name": "agent",
    "DockerName": "ecs-logferry-agent-24-agent-cca48e8dcadd97805600",
    "Image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/logferry-agent:1",
    "Labels": {
        "com.amazonaws.ecs.cluster": "prod",
        "com.amazonaws.ecs.container-name": "agent",
        "com.amazonaws.ecs.task-arn": TASK_ARN,
        "com.amazonaws.ecs.task-definition-family": "logferry-agent",
        "com.amazonaws.ecs.task-definition-version": "24",
    },
    "KnownStatus": "RUNNING",
}
TASK = {
    "Cluster": "prod",
    "TaskARN": TASK_ARN,
    "Family": "logferry-agent",
    "ServiceName": "logferry",
    "Revision": "24",
    "DesiredStatus": "RUNNING",
    "KnownStatus": "RUNNING",
    "AvailabilityZone": "eu-west-1b",
    "LaunchType": "EC2",
    "VPCID": "vpc-1234567890abcdef0",
    "Containers": [CONTAINER],
}


class Endpoint:
    """The server; its answers may be changed while it runs."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {PATH: CONTAINER, PATH + "/task": TASK}
        self.status = 200
        self.trickles = False
        """Send the answer one byte at a time, without an end."""
        self.held = threading.Event()
        """While it is cleared, no request is answered."""
        self.held.set()
        self.asked: list[str] = []
        self.ending = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.answer(self)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}{PATH}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.asked.append(request.path)
        while not self.held.wait(0.05):
            if self.ending.is_set():
                return
        document = self.documents.get(request.path)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        request.send_response(self.status if document is not None else 404)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", "1000000" if self.trickles else str(len(body)))
        request.end_headers()
        while self.trickles and not self.ending.wait(0.02):
            request.wfile.write(b" ")
        request.wfile.write(body)

    def stop(self) -> None:
        """Stop the server."""
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Run an endpoint for the length of a block."""
    made = Endpoint()
    try:
        yield made
    finally:
        made.stop()
