"""Test what is done with a stack in each status, and how a failure is explained."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader

from logferry_cli.deploy.stack_status import Next, failure_reason, next_step, progress, succeeded
from logferry_cli.problems import Problem

ASK = {"UPDATE_ROLLBACK_FAILED": "continue-update-rollback", "DELETE_FAILED": "logferry destroy"}


def statuses() -> list[str]:
    """Return every status that AWS documents for a stack."""
    model = Loader().load_service_model("cloudformation", "service-2")
    return list(model["shapes"]["StackStatus"]["enum"])


@pytest.mark.parametrize("status", statuses())
def test_every_status_has_a_next_step(status: str) -> None:
    """Nothing is done while something works; a failed creation is cleared; the rest is updated."""
    if status in ASK:
        with pytest.raises(Problem) as raised:
            next_step(status, "logs")
        assert ASK[status] in raised.value.advice
        return
    found = next_step(status, "logs")
    if status in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE"):
        assert found is Next.CREATE
    elif status.endswith("_IN_PROGRESS"):
        assert found is Next.WAIT
    elif status in ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED"):
        assert found is Next.CLEAR
    else:
        assert found is Next.UPDATE
    assert next_step(None, "logs") is Next.CREATE


def test_rolled_back_deployment_did_not_succeed() -> None:
    assert succeeded("UPDATE_COMPLETE")
    assert not succeeded("UPDATE_ROLLBACK_COMPLETE")
    assert not succeeded("ROLLBACK_COMPLETE")


def event(resource: str, status: str, reason: str | None = None) -> dict[str, Any]:
    words = {"LogicalResourceId": resource, "ResourceType": "AWS::Lambda::Function", "ResourceStatus": status}
    return words if reason is None else {**words, "ResourceStatusReason": reason}


def test_first_cause_is_named_and_what_followed_is_not() -> None:
    """CloudFormation cancels all other resources, and then says of the stack that resources failed."""
    newest_first = [
        event("logs", "CREATE_FAILED", "The following resource(s) failed to create: [Query]."),
        event("Connect", "CREATE_FAILED", "Resource creation cancelled"),
        event("Archive", "CREATE_FAILED", "another"),
        event("Query", "CREATE_FAILED", "no such\n  runtime."),
        event("Query", "CREATE_IN_PROGRESS"),
    ]
    assert failure_reason(newest_first) == "Query (AWS::Lambda::Function): no such runtime"
    assert failure_reason(newest_first[1:2]) == "Connect (AWS::Lambda::Function): Resource creation cancelled"
    assert failure_reason([]) == "CloudFormation gave no reason"


def test_progress_counts_each_resource_once() -> None:
    events = [
        event("Query", "CREATE_IN_PROGRESS"),
        event("Connect", "CREATE_COMPLETE"),
        event("Connect", "UPDATE_COMPLETE"),
        {**event("logs", "UPDATE_COMPLETE"), "ResourceType": "AWS::CloudFormation::Stack"},
    ]
    assert progress(events, 5) == "1 of 5 resources, now Query"
    assert progress([], 5) == "0 of 5 resources"
