"""A strict API Gateway: what AWS documents and emulators omit, between clients and the local cloud's functions.

Theory of operation
-------------------
The emulator's WebSocket APIs know no limits, and run one connection's messages in sequence, in one process a function.
A proxy in front of them could add limits, but no concurrency: messages on one connection come back in order, and the
functions would authorize and count further upstream connections under other ids, from which no `PostToConnection`
finds its way back. So this gateway does not use the emulator's WebSocket APIs. It *is* the API Gateway:

    client ══ WebSocket ══► gateway ── Lambda Invoke API ──► the emulator's functions, one process an invocation
                               ▲                                           │
                               └───────── POST @connections/{id} ──────────┘

It reads the routes, authorizers, throttles and route responses from template.yaml, and makes the connection ids. It
invokes authorizer, $connect, route and $disconnect through Lambda's own API, if the function's policy permits it.
There the emulator gives concurrent invocations their own processes, as Lambda does, so answers really arrive out of
order. The functions' management endpoint points here (`repoint`, or the template's parameter `GatewayBase`).

All other requests (the HTTP API, DynamoDB, ids of connections that the emulator itself holds) pass through unchanged,
signature included, so the emulator still checks their permissions. Before that, `http_api.py` keeps the limits of an
HTTP API, and `permissions.py` asks the policies of the functions behind it: the emulator only stores these policies.

`limits.py` has the enforced limits and their documentation, `faults.py` the faults that can be injected. `python -m
tests.support.gateway --help` runs one by hand.
"""

from tests.support.gateway.clock import ManualClock, RunningClock
from tests.support.gateway.faults import Faults
from tests.support.gateway.functions import EmulatorFunctions, Functions, Outcome
from tests.support.gateway.gateway import StrictGateway
from tests.support.gateway.limits import Limits
from tests.support.gateway.template import WebSocketApi, read_template

__all__ = [
    "EmulatorFunctions",
    "Faults",
    "Functions",
    "Limits",
    "ManualClock",
    "Outcome",
    "RunningClock",
    "StrictGateway",
    "WebSocketApi",
    "read_template",
]
