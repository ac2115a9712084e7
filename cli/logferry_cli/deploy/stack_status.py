"""What a stack's status allows, and why a deployment failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from logferry_cli.problems import Problem

CANCELLED: Final = ("cancelled", "canceled", "The following resource(s) failed")
"""Reasons that only follow from another resource's."""


STACK: Final = "AWS::CloudFormation::Stack"


class Next(Enum):
    """What to do with a stack before it is deployed."""

    CREATE = "create"
    UPDATE = "update"
    WAIT = "wait"
    """Something else works on it. Look again when that is done."""
    CLEAR = "clear"
    """Its creation failed. It can only be deleted, and holds no data."""


def next_step(status: str | None, stack: str) -> Next:
    """Return what to do with a stack of this status; None: there is no stack.

    Raises:
        Problem: Only the operator can decide what to do.
    """
    match status:
        case None | "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE":
            return Next.CREATE
        case "ROLLBACK_COMPLETE" | "CREATE_FAILED" | "ROLLBACK_FAILED":
            return Next.CLEAR
        case "UPDATE_ROLLBACK_FAILED":
            raise Problem(
                f"The stack {stack} could not return to its state before the last deployment.",
                f"Remove the cause, run `aws cloudformation continue-update-rollback --stack-name {stack}`, and deploy "
                "again.",
            )
        case "DELETE_FAILED":
            raise Problem(f"The stack {stack} was not deleted to the end.", "Run `logferry destroy` again.")
    return Next.WAIT if status.endswith("_IN_PROGRESS") else Next.UPDATE


def succeeded(status: str) -> bool:
    """Return whether a deployment that ended with this status did what it should."""
    return status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"}


def failure_reason(events: Iterable[Mapping[str, Any]]) -> str:
    """Return the first cause among a deployment's events, in one line.

    Args:
        events: As `DescribeStackEvents` returns them, the newest first.
    """
    failed = [one for one in events if _status(one).endswith("_FAILED")]
    failed.reverse()
    causes = [one for one in failed if _is_cause(one)] or failed
    if not causes:
        return "CloudFormation gave no reason"
    first = causes[0]
    reason = " ".join(str(first.get("ResourceStatusReason", "no reason given")).split())
    return f"{first.get('LogicalResourceId', '?')} ({first.get('ResourceType', '?')}): {reason}"[:600].rstrip(". ")


def _is_cause(event: Mapping[str, Any]) -> bool:
    reason = str(event.get("ResourceStatusReason", ""))
    return bool(reason) and not any(word in reason for word in CANCELLED)


def progress(events: Sequence[Mapping[str, Any]], total: int) -> str:
    """Return how far a deployment is, from its own events."""
    ended = [one for one in events if _status(one).endswith("_COMPLETE") and one.get("ResourceType") != STACK]
    done = {one["LogicalResourceId"] for one in ended}
    working = next((one["LogicalResourceId"] for one in events if _status(one).endswith("_IN_PROGRESS")), "")
    return f"{min(len(done), total)} of {total} resources" + (f", now {working}" if working else "")


def _status(event: Mapping[str, Any]) -> str:
    return str(event.get("ResourceStatus", ""))
