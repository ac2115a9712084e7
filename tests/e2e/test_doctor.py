"""`logferry doctor --deep` and `verify`, on the deployed template."""

from __future__ import annotations

import json

import boto3
import pytest
from tests.e2e.conftest import Cloud

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


def test_a_line_goes_through_and_leaves_nothing_behind(cloud: Cloud) -> None:
    """Every leg is ok; the key is revoked and the job deleted."""
    legs = json.loads(cloud.logferry("doctor", "--deep", "--json", "--patience", "180").stdout)
    assert [leg for leg in legs if leg["outcome"] != "ok"] == []
    assert {"stream and broadcast", "ingest and store", "read it from history"} <= {leg["name"] for leg in legs}
    assert cloud.get("/api/jobs", name="logferry-doctor")["jobs"] == []
    principals = json.loads(cloud.logferry("keys", "list", "--json").stdout)
    [doctor] = [principal for principal in principals if principal["name"] == "logferry-doctor"]
    assert all("revoked" in key for key in doctor["keys"])


def test_a_broadcast_that_does_not_run_is_named(cloud: Cloud) -> None:
    """The stream's mapping is switched off: storing and history work, and the leg between is the one that fails."""
    functions = boto3.client(
        "lambda",
        endpoint_url=cloud.state.endpoint_url,
        region_name=cloud.state.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    mappings = [
        mapping["UUID"]
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]
        if cloud.state.tables.log in mapping["EventSourceArn"]
    ]
    assert mappings
    for mapping in mappings:
        functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        done = cloud.logferry("doctor", "--json", "--patience", "180", check=False)
    finally:
        for mapping in mappings:
            functions.update_event_source_mapping(UUID=mapping, Enabled=True)
    found = {leg["name"]: leg["outcome"] for leg in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["LogTable and its stream"] == "failed"
    assert found["RegistryTable and its stream"] == "ok"
