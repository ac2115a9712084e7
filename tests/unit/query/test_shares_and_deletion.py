"""Test share links and deletion: who may use them, and what they end."""

from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud, Socket

JOB = f"web.{CONTAINER}"


def with_lines(cloud: Cloud) -> Socket:
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    cloud.send(agent, 1)
    cloud.open_job(agent, "d" * 64)
    return agent


def test_share_link_reads_one_job_and_nothing_else(cloud: Cloud) -> None:
    """Its history, live lines and search; no other job, no other list, no further link, no deletion."""
    agent = with_lines(cloud)
    share = cloud.http("POST", f"/api/jobs/{JOB}/shares", cloud.viewer_key(), body={"note": "for Ann"}).json
    secret = share["secret"]
    assert secret.startswith(f"lfs_{share['share']}_")
    for path in ("", "/batches", "/export", "/search?q=one", "/at?time=0"):
        assert cloud.http("GET", f"/api/jobs/{JOB}{path}", secret).status == 200, path
        assert cloud.http("GET", f"/api/jobs/web.{'d' * 64}{path}", secret).status == 404, path
    assert [job["job"] for job in cloud.http("GET", "/api/jobs", secret).json["jobs"]] == [JOB]
    assert cloud.http("GET", "/api/me", secret).json["job"] == JOB
    for method, path in (
        ("DELETE", f"/api/jobs/{JOB}"),
        ("POST", f"/api/jobs/{JOB}/shares"),
        ("GET", f"/api/jobs/{JOB}/shares"),
        ("DELETE", f"/api/shares/{share['share']}"),
    ):
        assert cloud.http(method, path, secret).status in {403, 404}, path
    cloud.stream()
    viewer = cloud.viewer(secret)
    assert viewer.say({"type": "subscribe", "id": "s", "job": JOB})["type"] == "subscribed"
    assert viewer.say({"type": "subscribe", "id": "s", "job": f"web.{'d' * 64}"})["code"] == "not_found"
    cloud.send(agent, 4)
    cloud.stream()
    assert [message["type"] for message in viewer.inbox] == ["batch"]


def test_secret_is_shown_once_and_stored_hashed(cloud: Cloud) -> None:
    """Neither the list nor the registry holds it."""
    with_lines(cloud)
    key = cloud.viewer_key()
    secret = cloud.http("POST", f"/api/jobs/{JOB}/shares", key).json["secret"]
    assert secret not in str(cloud.snapshot())
    listed = cloud.http("GET", f"/api/jobs/{JOB}/shares", key)
    assert len(listed.json["shares"]) == 1
    assert secret not in listed.body


def test_revoked_link_ends_at_once_with_its_connections(cloud: Cloud) -> None:
    """The registry's stream closes them; requests are refused from the next one on."""
    with_lines(cloud)
    key = cloud.viewer_key()
    share = cloud.http("POST", f"/api/jobs/{JOB}/shares", key).json
    viewer, owner = cloud.viewer(share["secret"]), cloud.viewer(key)
    cloud.stream()
    stranger = cloud.viewer_key("stranger", groups=())
    assert cloud.http("DELETE", f"/api/shares/{share['share']}", stranger).status == 404
    assert cloud.http("DELETE", f"/api/shares/{share['share']}", key).json["revoked"] == cloud.now_ms
    assert cloud.http("GET", f"/api/jobs/{JOB}", share["secret"]).status == 403
    assert cloud.stream() == []
    assert (viewer.closed, owner.closed) == (True, False)


def test_link_ends_with_its_time_and_with_its_makers_rights(cloud: Cloud) -> None:
    """Revoking a key ends what was shared with it."""
    agent = with_lines(cloud)
    key = cloud.viewer_key()
    short = cloud.http("POST", f"/api/jobs/{JOB}/shares", key, body={"expires_in": 60}).json
    long = cloud.http("POST", f"/api/jobs/{JOB}/shares", key).json
    watching = cloud.viewer(short["secret"])
    watching.say({"type": "subscribe", "id": "s", "job": JOB})
    cloud.now_ms += 60_000
    assert cloud.http("GET", "/api/me", short["secret"]).status == 403
    cloud.send(agent, 4)
    cloud.stream()
    assert [message["type"] for message in watching.inbox] == ["expired"]
    assert cloud.http("GET", "/api/me", long["secret"]).status == 200
    viewer = cloud.viewer(long["secret"])
    principal = cloud.get("PRINCIPAL#me", "PRINCIPAL")
    assert principal is not None
    cloud.put(**{**principal, "revoked": cloud.now_ms})
    assert cloud.http("GET", "/api/me", long["secret"]).status == 403
    cloud.stream()
    assert viewer.closed


def test_deleted_job_is_neither_read_nor_written(cloud: Cloud) -> None:
    """The tombstone comes first; an agent still writing is told so."""
    agent = with_lines(cloud)
    key = cloud.viewer_key()
    watching = cloud.viewer(key)
    watching.say({"type": "subscribe", "id": "l", "jobs": {}})
    cloud.stream()
    assert cloud.http("DELETE", f"/api/jobs/{JOB}", key).status == 202
    for path in ("", "/batches", "/export", "/search?q=one", "/at?time=0", "/shares"):
        assert cloud.http("GET", f"/api/jobs/{JOB}{path}", key).status == 404, path
    assert JOB not in [job["job"] for job in cloud.http("GET", "/api/jobs", key).json["jobs"]]
    # This function remembers the job's tip and does not read the record again: the key behind the tip is taken.
    result = cloud.send(agent, 4)
    assert (result["outcome"], result["reason"], result["retry"]) == ("rejected", "deleted", False)
    assert cloud.open_job(agent)["error"] == "not_found"  # which tells an agent to drop the job's batches
    assert cloud.send(agent, 4)["reason"] == "deleted"
    cloud.stream()
    assert [(message["type"], message["deleted"]) for message in watching.inbox][-1] == ("job", True)


def test_erased_job_is_gone_and_reported(cloud: Cloud) -> None:
    """The stores follow in the background; the record of the deletion stays."""
    agent = with_lines(cloud)
    for first in range(4, 100):
        cloud.send(agent, first, ("x",))
    key = cloud.viewer_key()
    cloud.archive({"erase": JOB}, None)
    assert cloud.ingest_store.last_batch(JOB) is not None, "nothing is erased without a tombstone"
    cloud.http("DELETE", f"/api/jobs/{JOB}", key)
    assert cloud.to_erase == [JOB]
    cloud.archive({"erase": JOB}, None)
    stored = [place for place in cloud.snapshot() if place.startswith(f"{JOB}/")]
    assert len(stored) == 1, "the tombstone alone"
    record = cloud.ingest_store.job(JOB)
    assert record is not None
    assert (record["erased_batches"], record["erased_entries"]) == (97, 99)
    assert record["erased"]


def test_deleting_twice_is_no_error(cloud: Cloud) -> None:
    """The second request finds nothing to read."""
    with_lines(cloud)
    key = cloud.viewer_key()
    assert cloud.http("DELETE", f"/api/jobs/{JOB}", key).status == 202
    assert cloud.http("DELETE", f"/api/jobs/{JOB}", key).status == 404


def test_reads_shares_and_deletions_are_recorded(cloud: Cloud) -> None:
    """A reader once an hour; readable for the job's managers, after its deletion too."""
    with_lines(cloud)
    key = cloud.viewer_key()
    share = cloud.http("POST", f"/api/jobs/{JOB}/shares", key).json
    for _ in range(3):
        cloud.now_ms += 1
        cloud.http("GET", f"/api/jobs/{JOB}/batches", share["secret"])
        cloud.http("GET", f"/api/jobs/{JOB}/search?q=x", key)
    cloud.http("DELETE", f"/api/jobs/{JOB}", key)
    records = cloud.http("GET", f"/api/jobs/{JOB}/audit", key).json["records"]
    did = sorted((record["did"], record["principal"]) for record in records)
    assert did == [("delete", "me"), ("read", "me"), ("read", f"share-{share['share']}"), ("share", "me")]
    assert cloud.http("GET", f"/api/jobs/{JOB}/audit", cloud.viewer_key("stranger", groups=())).status == 404
