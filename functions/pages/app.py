"""Serves HTTP requests for the viewer's files."""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from . import core
from .store import Store


def build_handler(store: Store, policy: str, logger: Logger) -> Callable[[Mapping[str, Any], Any], core.Answer]:
    """Return the Lambda handler.

    Args:
        store: the bucket.
        policy: the Content-Security-Policy of each answer.
        logger: takes failures.
    """

    def handler(event: Mapping[str, Any], context: Any) -> core.Answer:
        key = core.key_of(event["rawPath"])
        try:
            file = None if key is None else store.get(key)
        except (BotoCoreError, ClientError):
            logger.exception("the viewer's file could not be read", extra={"key": key})
            return core.answer_problem(503, "The viewer's files cannot be read now. Try again.", policy)
        if file is None:
            return core.answer_problem(404, "The viewer has no such file.", policy)
        return core.answer_file(file, event.get("headers") or {}, policy)

    return handler
