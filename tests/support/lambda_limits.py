"""Hold every handler to Lambda's limits, wherever a test builds one.

The emulator and moto have none of them. `install` wraps the `build_handler` of each function when its module is
imported. What exceeds a limit raises, and is noted in `exceeded` too, because some tests catch what a handler raises.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and, for the authorizers,
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
"""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final

FUNCTIONS: Final = ("archive", "broadcast", "connect", "ingest", "pages", "publish", "query")

ANSWER_BYTES: Final = 6_291_556
"""Of an answer, and of an event that is waited for."""
ASYNCHRONOUS_BYTES: Final = 1_048_576
"""Of an event that nobody waits for: to archive, and from a function to itself."""
AUTHORIZER_BYTES: Final = 8_192

exceeded: Final[list[str]] = []
"""What exceeded a limit since the tests began."""

Handler = Callable[[Any, Any], Any]


class LimitExceededError(AssertionError):
    """Lambda or API Gateway would have failed here."""


def encoded_bytes(value: Any) -> int:
    """Return the bytes of an event or an answer. Older runtimes escape what is not ASCII: the larger number counts."""
    return len(value) if isinstance(value, bytes) else len(json.dumps(value, default=str))


def excess_of(what: str, value: Any, most: int) -> str | None:
    """Return a sentence about an event or an answer that has too many bytes."""
    size = encoded_bytes(value)
    return f"{what} has {size:,} bytes, of {most:,} allowed" if size > most else None


def answer_excess(function: str, event: Any, answer: Any) -> str | None:
    """Return a sentence about an answer that has too many bytes."""
    if isinstance(event, dict) and event.get("type") == "REQUEST":
        return excess_of(f"the authorizer's result of {function}", answer, AUTHORIZER_BYTES)
    return excess_of(f"the answer of {function}", answer, ANSWER_BYTES)


def _require(excess: str | None) -> None:
    if excess is not None:
        exceeded.append(excess)
        raise LimitExceededError(excess)


def bounded(function: str, build: Callable[..., Handler]) -> Callable[..., Handler]:
    """Return a `build_handler` whose handlers keep to the limits."""

    @functools.wraps(build)
    def build_bounded(*given: Any, **named: Any) -> Handler:
        if function == "archive":
            given = (given[0], _bounded_invocation(function, given[1]), *given[2:])
        if named.get("fan_out"):
            named["fan_out"] = _bounded_invocation(function, named["fan_out"])
        handler = build(*given, **named)

        def bounded_handler(event: Any, context: Any) -> Any:
            most = ASYNCHRONOUS_BYTES if function == "archive" else ANSWER_BYTES
            _require(excess_of(f"the event to {function}", event, most))
            answer = handler(event, context)
            _require(answer_excess(function, event, answer))
            return answer

        return bounded_handler

    return build_bounded


def _bounded_invocation(function: str, invoke: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def bounded_invoke(event: Any) -> Any:
        _require(excess_of(f"the event from {function} to itself", event, ASYNCHRONOUS_BYTES))
        return invoke(event)

    return bounded_invoke


class _Finder(PathFinder):
    """Finds the functions' modules, and wraps what they build handlers with."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the specification of a function's `app`, and of no other module."""
        function, _, name = fullname.partition(".")
        if function not in FUNCTIONS or name != "app":
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            vars(module)["build_handler"] = bounded(function, vars(module)["build_handler"])

        vars(spec.loader)["exec_module"] = execute_and_wrap
        return spec


def install() -> None:
    """Wrap the handlers of all functions that are imported from now on. Importing them here would slow every run."""
    early = [f"{function}.app" for function in FUNCTIONS if f"{function}.app" in sys.modules]
    assert not early, f"imported before their handlers could be wrapped: {early}"
    sys.meta_path.insert(0, _Finder)
