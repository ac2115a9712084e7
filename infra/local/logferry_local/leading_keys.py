"""Teach the emulator's IAM the condition key `dynamodb:LeadingKeys`, with which the template limits every function.

MiniStack does not know it: a condition with `ForAllValues` on a key that is absent is true, so every call would pass.
The keys that a request names are now a part of what its policies are asked. Like AWS, a Scan names none, and passes
`ForAllValues`; so no role may grant it.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html

The emulator's own Python runs this, as guard.py. It imports nothing of this package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
HashKey = Callable[[str, str | None], str | None]
"""Returns the name of the partition key of a table, or of one of its indexes."""

TARGET: Final = b"DynamoDB_20120810."
CONDITION: Final = "dynamodb:LeadingKeys"

keys_of_request: ContextVar[list[str] | None] = ContextVar("keys_of_request", default=None)
"""The partition keys that the request being served names; None for a request that names none."""


def leading_keys(operation: str, body: Mapping[str, Any], hash_key: HashKey) -> list[str] | None:
    """Return the values of the partition key that a DynamoDB request names; None where it names none.

    Args:
        operation: `PutItem`, for example.
        body: The request's document.
        hash_key: The tables' partition keys.
    """
    if operation == "Query":
        found = _queried(body, hash_key)
        return None if found is None else [found]
    items = list(_items(operation, body))
    if not items:
        return None
    values = (_plain((item or {}).get(hash_key(table, None) or "")) for table, item in items)
    return [value for value in values if value is not None]


def _items(operation: str, body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield the table and the item or key of each part of a request."""
    if operation in ("PutItem", "GetItem", "UpdateItem", "DeleteItem"):
        yield body["TableName"], body.get("Item") or body.get("Key")
    elif operation == "BatchGetItem":
        for table, request in body["RequestItems"].items():
            for key in request["Keys"]:
                yield table, key
    elif operation == "BatchWriteItem":
        for table, writes in body["RequestItems"].items():
            for write in writes:
                yield table, write.get("PutRequest", {}).get("Item") or write.get("DeleteRequest", {}).get("Key")
    elif operation in ("TransactWriteItems", "TransactGetItems"):
        for action in body["TransactItems"]:
            for part in action.values():
                yield part["TableName"], part.get("Item") or part.get("Key")


def _queried(body: Mapping[str, Any], hash_key: HashKey) -> str | None:
    name = hash_key(body["TableName"], body.get("IndexName"))
    if name is None:
        return None
    if name in body.get("KeyConditions", {}):
        return _plain(body["KeyConditions"][name]["AttributeValueList"][0])
    expression = body.get("KeyConditionExpression", "")
    aliases = [name, *(alias for alias, real in body.get("ExpressionAttributeNames", {}).items() if real == name)]
    for alias in aliases:
        # recheck: a name and an expression that our functions write
        if found := re.search(rf"(?<![\w#]){re.escape(alias)}\s*=\s*(:\w+)", expression):
            return _plain(body["ExpressionAttributeValues"].get(found[1]))
    return None


def _plain(value: Any) -> str | None:
    """Return what a DynamoDB value holds, as text."""
    return str(next(iter(value.values()))) if isinstance(value, dict) and value else None


def enforced(app: App) -> App:
    """Let the emulator's IAM know the keys of each DynamoDB request.

    Args:
        app: The emulator.

    Returns:
        The application to serve in its place.
    """
    from ministack.core import iam_evaluator  # noqa: PLC0415 - there in the emulator's own environment alone
    from ministack.services import dynamodb  # noqa: PLC0415

    enforce = iam_evaluator.enforce

    def hash_key(table: str, index: str | None) -> str | None:
        found = dynamodb._tables.get(table.rsplit("/", 1)[-1]) or {}
        schema = found.get("KeySchema") or []
        for one in found.get("GlobalSecondaryIndexes") or []:
            if one["IndexName"] == index:
                schema = one["KeySchema"]
        return next((str(part["AttributeName"]) for part in schema if part["KeyType"] == "HASH"), None)

    def enforce_keys(*given: Any, service_context: dict[str, Any] | None = None, **more: Any) -> Any:
        keys = keys_of_request.get()
        if keys is not None:  # of a DynamoDB request only
            service_context = {**(service_context or {}), CONDITION: keys}
        return enforce(*given, service_context=service_context, **more)

    iam_evaluator.enforce = enforce_keys

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        target = bytes(dict(scope.get("headers") or ()).get(b"x-amz-target", b""))
        if scope["type"] != "http" or not target.startswith(TARGET):
            keys_of_request.set(None)
            await app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            keys = leading_keys(target.removeprefix(TARGET).decode(), json.loads(body or b"{}"), hash_key)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            keys = None  # a malformed request, which the emulator refuses
        keys_of_request.set(keys)
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, replay, send)

    return serve
