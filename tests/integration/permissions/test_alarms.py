"""Test that alarms and the dashboard deploy with the stack and refer to its resources."""

from __future__ import annotations

import json
import re

import pytest
from tests.integration.permissions.conftest import TOPIC
from tests.support.stacks import STACK, Stack

pytestmark = pytest.mark.cloud


def test_alarms_and_dashboard_refer_to_the_stacks_resources(stack: Stack) -> None:
    """The count of alarms in docs/operate.md but the one on an expression, each notifying the topic."""
    cloudwatch = stack.client("cloudwatch")
    made = [one for page in cloudwatch.get_paginator("describe_alarms").paginate() for one in page["MetricAlarms"]]
    assert len(made) == 37
    physical = set(stack.physical.values())
    for alarm in made:
        assert alarm["AlarmActions"] == [TOPIC]
        assert (alarm["TreatMissingData"] == "missing") == (alarm.get("InsufficientDataActions") == [TOPIC])
        named = {one["Value"] for one in alarm["Dimensions"]}
        assert named & physical or alarm["Namespace"] == f"Logferry/{STACK}"
        assert re.search(r" What to do: https://[^ $]+/runbook\.html#[\w-]+$", alarm["AlarmDescription"])
    [dashboard] = cloudwatch.list_dashboards()["DashboardEntries"]
    body = json.loads(cloudwatch.get_dashboard(DashboardName=dashboard["DashboardName"])["DashboardBody"])
    [shown] = [one["properties"]["alarms"] for one in body["widgets"] if one["type"] == "alarm"]
    assert set(shown) == {alarm["AlarmArn"] for alarm in made}
    assert "${" not in json.dumps(body)
