"""Test how a stack is followed to its end, against a CloudFormation that answers from a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from logferry_cli.deploy.adoption import KeptData
from logferry_cli.deploy.formation import Formation
from logferry_cli.problems import Problem


class FakeCloudFormation:
    """Gives the statuses of a script, one a look; the last one stays."""

    def __init__(self, *statuses: str | None) -> None:
        self.statuses = list(statuses)
        self.events: list[dict[str, Any]] = []
        self.calls: list[str] = []

    def describe_stacks(self, **given: str) -> dict[str, Any]:
        self.calls.append("describe")
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status is None:
            raise refusal(f"Stack with id {given['StackName']} does not exist")
        return {"Stacks": [{"StackStatus": status, "StackId": "arn:stack"}]}

    def describe_stack_events(self, **_given: str) -> dict[str, Any]:
        return {"StackEvents": self.events}

    def execute_change_set(self, **_given: str) -> None:
        self.calls.append("execute")

    def delete_stack(self, **_given: str) -> None:
        self.calls.append("delete")

    def delete_change_set(self, **_given: str) -> None:
        self.calls.append("drop")

    def get_paginator(self, name: str) -> Any:
        client = self

        class Pages:
            def paginate(self, **given: Any) -> Iterator[dict[str, Any]]:
                yield getattr(client, name)(**given)

        return Pages()


def refusal(words: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": words}}, "DescribeStacks")


def event(number: int, status: str, reason: str = "") -> dict[str, Any]:
    return {
        "EventId": str(number),
        "Timestamp": datetime.now(UTC),
        "LogicalResourceId": "Query",
        "ResourceType": "AWS::Lambda::Function",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def told() -> tuple[list[str], Callable[[str], None]]:
    words: list[str] = []
    return words, words.append


def test_update_that_has_not_begun_is_waited_for() -> None:
    """CloudFormation accepts the change set, and shows the status of the deployment before for a moment."""
    fake = FakeCloudFormation(
        "UPDATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"
    )
    words, tell = told()
    Formation(fake, "logs", poll_s=0).execute("changes", 3, tell)
    assert fake.statuses == ["UPDATE_COMPLETE"]
    assert words == ["0 of 3 resources"]


def test_update_that_ended_before_the_first_look_is_not_waited_for() -> None:
    """Its events tell that it was."""
    fake = FakeCloudFormation("UPDATE_COMPLETE")
    fake.events = [event(1, "UPDATE_COMPLETE")]

    def execute(**_given: str) -> None:
        fake.events = [event(2, "UPDATE_COMPLETE"), *fake.events]

    fake.execute_change_set = execute  # type: ignore[method-assign]
    Formation(fake, "logs", poll_s=0).execute("changes", 1, told()[1])
    assert fake.calls.count("describe") <= 3


def test_failed_deployment_names_the_resource_and_the_reason() -> None:
    fake = FakeCloudFormation("CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE")
    fake.events = [event(2, "CREATE_FAILED", "no such role"), event(1, "CREATE_IN_PROGRESS")]
    with pytest.raises(Problem, match=r"ended with ROLLBACK_COMPLETE: Query \(AWS::Lambda::Function\): no such role\."):
        Formation(fake, "logs", poll_s=0).execute("changes", 1, told()[1])


def test_deletion_is_over_when_the_stack_is_gone() -> None:
    fake = FakeCloudFormation("UPDATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS", None)
    Formation(fake, "logs", poll_s=0).delete(1, told()[1])
    assert fake.statuses == [None]


def test_failed_deletion_names_the_resource_and_the_reason() -> None:
    fake = FakeCloudFormation("CREATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED")
    fake.events = [event(1, "DELETE_FAILED", "The bucket is not empty")]
    with pytest.raises(Problem, match=r"DELETE_FAILED: .*The bucket is not empty"):
        Formation(fake, "logs", poll_s=0).delete(1, told()[1])


def test_absent_stack_is_no_problem() -> None:
    fake = FakeCloudFormation(None)
    formation = Formation(fake, "logs", poll_s=0)
    formation.delete(0, told()[1])
    assert (formation.status(), formation.parameters(), formation.outputs()) == (None, None, {})
    assert "delete" not in fake.calls


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refusal("not authorized"), r"AWS refused to describe the stack logs \(not authorized\)"),
        (EndpointConnectionError(endpoint_url="https://x"), "AWS cannot be reached to describe the stack logs"),
    ],
)
def test_refusal_is_one_sentence(error: Exception, words: str) -> None:
    fake = FakeCloudFormation("CREATE_COMPLETE")

    def refuse(**_given: str) -> Any:
        raise error

    fake.describe_stacks = refuse  # type: ignore[method-assign]
    with pytest.raises(Problem, match=words):
        Formation(fake, "logs", poll_s=0).status()


def test_dropped_change_set_leaves_no_empty_stack() -> None:
    """A stack that was never created exists as REVIEW_IN_PROGRESS as long as it has a change set."""
    new, old = FakeCloudFormation("REVIEW_IN_PROGRESS"), FakeCloudFormation("UPDATE_COMPLETE")
    for fake in (new, old):
        Formation(fake, "logs", poll_s=0).drop("changes")
    assert "delete" in new.calls
    assert "delete" not in old.calls


def test_kept_data_of_the_last_deleted_stack_is_found() -> None:
    """CloudFormation describes deleted stacks by their ids, for 90 days."""

    class WithHistory(FakeCloudFormation):
        def list_stacks(self, **_given: Any) -> dict[str, Any]:
            names = (("logs", 1), ("logs", 2), ("other", 3))
            return {
                "StackSummaries": [
                    {"StackName": name, "StackId": f"{name}/{day}", "CreationTime": datetime(2026, 11, day, tzinfo=UTC)}
                    for name, day in names
                ]
            }

        def list_stack_resources(self, **given: str) -> dict[str, Any]:
            return {
                "StackResourceSummaries": [
                    {
                        "LogicalResourceId": name,
                        "PhysicalResourceId": f"{name} of {given['StackName']}",
                        "ResourceStatus": "DELETE_SKIPPED",
                    }
                    for name in ("LogTable", "RegistryTable", "ArchiveBucket")
                ]
            }

    found = Formation(WithHistory("DELETE_COMPLETE"), "logs", poll_s=0).kept_by_deleted()
    assert found == KeptData("LogTable of logs/2", "RegistryTable of logs/2", "ArchiveBucket of logs/2")


class WithStacks(FakeCloudFormation):
    """Describes given stacks."""

    def __init__(self, *stacks: dict[str, Any]) -> None:
        super().__init__(None)
        self.stacks = stacks

    def describe_stacks(self, **given: str) -> dict[str, Any]:
        return {"Stacks": [one for one in self.stacks if given.get("StackName", one["StackName"]) == one["StackName"]]}


def described(name: str, status: str = "CREATE_COMPLETE", **parameters: str) -> dict[str, Any]:
    return {
        "StackName": name,
        "StackStatus": status,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }


def test_stack_of_another_application_is_refused() -> None:
    """A deployment would remove all that it has, and `destroy` would delete it."""
    own = described("logs", BatchRetentionDays="30", GatewayBase="")
    empty = described("new", "REVIEW_IN_PROGRESS")
    fake = WithStacks(own, described("shop", BatchRetentionDays="30"), empty)
    for name in ("logs", "new"):
        Formation(fake, name).check_template()
    Formation(FakeCloudFormation(None), "absent").check_template()
    with pytest.raises(Problem, match="The stack shop belongs to another application"):
        Formation(fake, "shop").check_template()


@pytest.mark.parametrize(
    ("stack", "reason"),
    [
        (described("logs") | {"EnableTerminationProtection": True}, "is protected against deletion"),
        (described("logs", "UPDATE_IN_PROGRESS"), "a deployment works on the stack"),
    ],
)
def test_stack_that_cannot_be_deleted_is_refused_first(stack: dict[str, Any], reason: str) -> None:
    """Otherwise the viewer's bucket would be emptied, and the stack would stay."""
    with pytest.raises(Problem, match=f"Nothing was removed: .*{reason}"):
        Formation(WithStacks(stack), "logs").check_deletable()


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_FAILED", "DELETE_IN_PROGRESS"])
def test_stack_that_can_be_deleted_passes(status: str) -> None:
    Formation(WithStacks(described("logs", status)), "logs").check_deletable()


def test_other_stacks_that_use_the_data_are_found() -> None:
    """They adopted it, or it is theirs."""
    outputs = [{"OutputKey": "ArchiveBucket", "OutputValue": "c"}, {"OutputKey": "AgentsUrl", "OutputValue": "a"}]
    fake = WithStacks(
        described("logs") | {"Outputs": outputs},
        described("adopter", ExistingLogTable="a"),
        described("owner") | {"Outputs": outputs},
        described("other", ExistingLogTable="", Name="a") | {"Outputs": outputs[1:]},
    )
    formation = Formation(fake, "logs")
    assert formation.other_users_of(KeptData("a", "b", "c")) == ["adopter", "owner"]
    assert formation.other_users_of(KeptData("x", "y", "z")) == []
