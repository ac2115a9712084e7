"""Test share links and job deletion on the deployed template."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.e2e.conftest import Agent, Cloud, Containers

pytestmark = [pytest.mark.engine, pytest.mark.cloud, pytest.mark.timeout(600)]


def test_link_reads_one_job_until_revoked_and_a_deleted_job_is_gone(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """The link's secret is a key for its job only; deletion leaves nothing to read."""
    make_agent()
    names = [containers.run(what, f"echo {what}") for what in ("shared", "private")]
    shared, private = (cloud.ended(name) for name in names)
    made = cloud.logferry("share", "create", shared, "--expires-in", "1h", "--note", "for Ann")
    link = urlsplit(made.stdout.decode().strip())
    assert f"{link.scheme}://{link.netloc}" == cloud.state.viewer_url
    assert parse_qs(link.query) == {"job": [shared]}
    secret = link.fragment.removeprefix("key=")

    read = cloud.logferry("export", shared, "--format", "text", LOGFERRY_VIEWER_KEY=secret)
    assert read.stdout == b"shared\n"
    refused = cloud.logferry("export", private, "--format", "text", check=False, LOGFERRY_VIEWER_KEY=secret)
    assert (refused.returncode, refused.stdout) == (1, b"")

    [share] = json.loads(cloud.logferry("share", "list", shared, "--json").stdout)
    assert share["note"] == "for Ann"
    assert secret not in json.dumps(share)
    cloud.logferry("share", "revoke", share["share"])
    refused = cloud.logferry("export", shared, "--format", "text", check=False, LOGFERRY_VIEWER_KEY=secret)
    assert refused.returncode == 1
    assert b"refused" in refused.stderr

    cloud.logferry("delete", shared, "--yes")
    gone = cloud.logferry("export", shared, "--format", "text", check=False)
    assert (gone.returncode, gone.stdout) == (1, b"")
    assert b"no such job" in gone.stderr
    assert [job["job"] for job in cloud.get("/api/jobs")["jobs"] if job["job"] in {shared, private}] == [private]
