"""Alarms and the dashboard deploy with the stack, and are about its own resources."""

from __future__ import annotations

import json

import pytest
from tests.integration.permissions.conftest import TOPIC
from tests.support.stacks import STACK, Stack

pytestmark = pytest.mark.cloud


def test_alarms_and_the_dashboard_are_about_the_stacks_own_resources(stack: Stack) -> None:
    """As many as the README says, each telling the topic."""
    cloudwatch = stack.client("cloudwatch")
    made = [one for page in cloudwatch.get_paginator("describe_alarms").paginate() for one in page["MetricAlarms"]]
    assert len(made) == 29
    physical = set(stack.physical.values())
    for alarm in made:
        assert alarm["AlarmActions"] == [TOPIC]
        assert (alarm["TreatMissingData"] == "missing") == (alarm.get("InsufficientDataActions") == [TOPIC])
        named = {one["Value"] for one in alarm["Dimensions"]}
        assert named & physical or alarm["Namespace"] == f"Logferry/{STACK}"
    [dashboard] = cloudwatch.list_dashboards()["DashboardEntries"]
    body = json.loads(cloudwatch.get_dashboard(DashboardName=dashboard["DashboardName"])["DashboardBody"])
    assert len(body["widgets"]) == 13
    assert "${" not in json.dumps(body)
