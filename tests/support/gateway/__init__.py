"""A strict API Gateway: what AWS documents and emulators leave out, between clients and the local cloud's functions.

Theory of operation
-------------------
The emulator's WebSocket APIs know no limits, and they run one connection's messages one after the other, in one
process a
function. A proxy in front of them could add limits, but no concurrency: whatever it sends up one connection comes
back in
order, and more connections upstream would each be authorized and counted by the functions under an id of their own, one
that no `PostToConnection` could be led back from. So this gateway does not use the emulator's WebSocket APIs at
all. It *is* the API Gateway:

    client ══ WebSocket ══► gateway ── Lambda Invoke API ──► the emulator's functions, one process an invocation
                               ▲                                           │
                               └───────── POST @connections/{id} ──────────┘

It reads the routes, authorizers, throttles and route responses from template.yaml, makes the connection ids, and
invokes
authorizer, $connect, route and $disconnect through Lambda's own API, where the emulator gives concurrent invocations
processes of their own, as Lambda does. Answers are thus really out of order. The functions' management endpoint points
here (`repoint`, or the template's parameter `GatewayBase`). Everything else that arrives (the HTTP API, DynamoDB,
ids of
connections that the emulator itself holds) is passed on as it came, signature and all; so permissions are still
checked by the emulator.

`limits.py` has what is enforced and where it is documented, `faults.py` what can be made to go wrong. `python -m
tests.support.gateway --help` runs one by hand.
"""

from tests.support.gateway.clock import HandClock, RunningClock
from tests.support.gateway.faults import Faults
from tests.support.gateway.functions import EmulatorFunctions, Functions, Outcome
from tests.support.gateway.gateway import StrictGateway
from tests.support.gateway.limits import Limits
from tests.support.gateway.template import WebSocketApi, read_template

__all__ = [
    "EmulatorFunctions",
    "Faults",
    "Functions",
    "HandClock",
    "Limits",
    "Outcome",
    "RunningClock",
    "StrictGateway",
    "WebSocketApi",
    "read_template",
]
