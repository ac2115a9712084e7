"""The stack in CloudFormation: read it, execute a change set, follow it, delete it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from logferry_cli.deploy import adoption
from logferry_cli.deploy.adoption import KeptData
from logferry_cli.deploy.change_set import Change, changes_of
from logferry_cli.deploy.stack_status import failure_reason, progress, succeeded
from logferry_cli.deploy.template import DATA, EXISTING
from logferry_cli.problems import Problem

POLL_S: Final = 2.0
"""Seconds between two looks at a stack. CloudFormation throttles accounts that look more often."""

BEGINS_WITHIN_S: Final = 60.0

OWN_PARAMETERS: Final = frozenset({"BatchRetentionDays", "GatewayBase"})
"""Parameters that the template has in every release. Together they tell Logferry's stacks from all others."""

RIGHTS: Final = "Check that your AWS identity has the rights for it."

Tell = Callable[[str], None]
"""Shows how far a step is."""


@contextmanager
def refusals_explained(doing: str) -> Iterator[None]:
    """Turn a refusal of AWS into a problem.

    Raises:
        Problem: AWS refused, or cannot be reached.
    """
    try:
        yield
    except ClientError as error:
        raise Problem(
            f"AWS refused to {doing} ({error.response['Error']['Message']}).",
            RIGHTS,
        ) from None
    except BotoCoreError as error:
        raise Problem(f"AWS cannot be reached to {doing} ({error}).", "Run the command again.") from None


class Formation:
    """One stack, by name."""

    def __init__(self, client: Any, stack: str, poll_s: float = POLL_S) -> None:
        self._client, self.stack, self._poll_s = client, stack, poll_s

    def describe(self) -> dict[str, Any] | None:
        """Return the stack; None when there is none."""
        with refusals_explained(f"describe the stack {self.stack}"):
            try:
                found: dict[str, Any] = self._client.describe_stacks(StackName=self.stack)["Stacks"][0]
            except ClientError as error:
                if "does not exist" in error.response["Error"]["Message"]:
                    return None
                raise
        return found

    def status(self) -> str | None:
        """Return the stack's status; None when there is none."""
        found = self.describe()
        return None if found is None else str(found["StackStatus"])

    def parameters(self) -> dict[str, str] | None:
        """Return the values of the deployed stack's parameters; None when none is deployed."""
        found = self.describe()
        if found is None or found["StackStatus"] in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE"):
            return None
        return _values(found)

    def check_template(self) -> None:
        """Check that the stack was made from Logferry's template. None, and one that holds nothing yet, pass.

        Raises:
            Problem: It is another application's, which must be neither replaced nor deleted.
        """
        found = self.describe()
        if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS":
            return
        if not _values(found).keys() >= OWN_PARAMETERS:
            raise Problem(
                f"The stack {self.stack} belongs to another application: it was not made from Logferry's template.",
                "Nothing was changed. Name Logferry's stack with --stack.",
            )

    def check_deletable(self) -> None:
        """Check that CloudFormation would accept a deletion, before anything is removed for it.

        Raises:
            Problem: The stack is protected, or a deployment works on it.
        """
        found = self.describe() or {"StackStatus": None}
        if found.get("EnableTerminationProtection"):
            raise Problem(
                f"Nothing was removed: the stack {self.stack} is protected against deletion.",
                "Lift that with `aws cloudformation update-termination-protection --no-enable-termination-protection "
                f"--stack-name {self.stack}`.",
            )
        status = found["StackStatus"]
        if _works(status) and status not in ("DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS"):
            raise Problem(
                f"Nothing was removed: a deployment works on the stack {self.stack} ({status}).",
                "Run the command again when it has ended.",
            )

    def other_users_of(self, kept: KeptData) -> list[str]:
        """Return the names of other stacks that use one of these tables or this bucket."""
        names = {kept.log_table, kept.registry_table, kept.archive_bucket}
        with refusals_explained("list the stacks that may use the data"):
            pages = self._client.get_paginator("describe_stacks").paginate()
            return sorted(
                one["StackName"]
                for page in pages
                for one in page["Stacks"]
                if one["StackName"] != self.stack and names & _data_of(one)
            )

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs by name."""
        found = self.describe() or {}
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}

    def resources(self, of: str | None = None) -> list[dict[str, Any]]:
        """Return the resources of the stack, or of a deleted one by its id."""
        with refusals_explained("list the stack's resources"):
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=of or self.stack)
            return [one for page in pages for one in page["StackResourceSummaries"]]

    def changes(self, change_set: str) -> list[Change]:
        """Return what a change set would do."""
        with refusals_explained("read the change set"):
            pages = self._client.get_paginator("describe_change_set").paginate(
                StackName=self.stack, ChangeSetName=change_set
            )
            return changes_of(one for page in pages for one in page.get("Changes", ()))

    def drop(self, change_set: str) -> None:
        """Delete a change set, and the empty stack that it was made for."""
        with refusals_explained("delete the change set"):
            self._client.delete_change_set(StackName=self.stack, ChangeSetName=change_set)
            if self.status() == "REVIEW_IN_PROGRESS":
                self._client.delete_stack(StackName=self.stack)

    def execute(self, change_set: str, total: int, tell: Tell) -> None:
        """Execute a change set, and follow it to its end.

        Raises:
            Problem: It failed. The sentence names the first resource that failed, and why.
        """
        began, before = datetime.now(UTC), self._newest_event()
        with refusals_explained("execute the change set"):
            self._client.execute_change_set(StackName=self.stack, ChangeSetName=change_set)
        # For a moment, the stack may still have the status of the deployment before.
        self._wait_until(lambda: _works(self.status()) or self._newest_event() != before)
        self.follow(began, total, tell)

    def delete(self, total: int, tell: Tell) -> None:
        """Delete the stack, and follow it to its end.

        Raises:
            Problem: It failed.
        """
        described = self.describe()
        if described is None:
            return
        began = datetime.now(UTC)
        with refusals_explained("delete the stack"):
            self._client.delete_stack(StackName=self.stack)
        self._wait_until(lambda: str(self.status() or "DELETE").startswith("DELETE"))
        self.follow(began, total, tell, described["StackId"])

    def follow(self, began: datetime, total: int, tell: Tell, stack_id: str | None = None) -> None:
        """Wait until nothing works on the stack any more.

        Raises:
            Problem: What was done to it failed.
        """
        while _works(status := self.status()):
            tell(progress(self._events(began, stack_id), total))
            time.sleep(self._poll_s)
        if status is not None and not succeeded(status):
            reason = failure_reason(self._events(began, stack_id))
            raise Problem(
                f"CloudFormation ended with {status}: {reason}.",
                "Remove the cause and run the command again. The stack's events in CloudFormation have more.",
            )

    def _wait_until(self, has_begun: Callable[[], bool]) -> None:
        """Wait until CloudFormation begins with what it accepted, at most for a minute."""
        deadline = time.monotonic() + BEGINS_WITHIN_S
        while not has_begun() and time.monotonic() < deadline:
            time.sleep(self._poll_s)

    def _newest_event(self) -> str | None:
        try:
            found = self._client.describe_stack_events(StackName=self.stack)["StackEvents"]
        except (ClientError, BotoCoreError):
            return None
        return str(found[0]["EventId"]) if found else None

    def _events(self, since: datetime, stack_id: str | None = None) -> list[dict[str, Any]]:
        """Return the stack's events since a time, the newest first. It may lag behind, or be gone with the stack."""
        found: list[dict[str, Any]] = []
        try:
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id or self.stack):
                for event in page["StackEvents"]:
                    # The two clocks may differ by some seconds.
                    if (event["Timestamp"] - since).total_seconds() < -5:
                        return found
                    found.append(event)
        except (ClientError, BotoCoreError):
            pass
        return found

    def kept_by_deleted(self) -> KeptData | None:
        """Return what the last deleted stack of this name kept, as far as CloudFormation remembers (90 days)."""
        try:
            pages = self._client.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
            deleted = [one for page in pages for one in page["StackSummaries"] if one["StackName"] == self.stack]
            deleted.sort(key=lambda one: one["CreationTime"], reverse=True)
            for one in deleted:
                described = self._client.describe_stacks(StackName=one["StackId"])["Stacks"][0]
                given = _values(described)
                if found := adoption.of_resources(self.resources(one["StackId"]), given):
                    return found
        except (ClientError, BotoCoreError, Problem):
            return None
        return None


def _works(status: str | None) -> bool:
    """Return whether something works on a stack of this status."""
    return status is not None and status.endswith("_IN_PROGRESS")


def _data_of(described: Mapping[str, Any]) -> set[str]:
    """Return the names of the tables and the bucket that a stack has, or has adopted."""
    outputs = {one["OutputValue"] for one in described.get("Outputs", ()) if one["OutputKey"] in DATA}
    return outputs | {value for name, value in _values(described).items() if name in EXISTING and value}


def _values(described: Mapping[str, Any]) -> dict[str, str]:
    return {one["ParameterKey"]: one.get("ParameterValue", "") for one in described.get("Parameters", ())}
