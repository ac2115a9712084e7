"""Test a viewer's messages and their answers (PROTOCOL.md, viewers)."""

import json

import pytest
from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud

from connect import message_handler

JOB = f"web.{CONTAINER}"


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    message_handler._watched_until.clear()


def test_subscription_gets_the_tip_and_the_record(cloud: Cloud) -> None:
    """History is read up to the tip, and live lines from there on."""
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    cloud.send(agent, 1)
    answer = cloud.viewer(cloud.viewer_key()).say({"type": "subscribe", "id": "s", "job": JOB, "after": 0})
    assert (answer["type"], answer["id"], answer["tip"]) == ("subscribed", "s", 3)
    assert answer["record"]["container"]["name"] == "web"


def test_ping_is_counted(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    """The number of connected viewers and their minutes are derived from it."""
    viewer = cloud.viewer(cloud.viewer_key())
    capsys.readouterr()
    assert viewer.say({"type": "ping", "id": "p"})["type"] == "pong"
    [document] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert document["Pings"] == [1.0]


@pytest.mark.parametrize("job", [JOB, f"other.{CONTAINER}"])
def test_foreign_job_and_missing_job_are_refused_alike(cloud: Cloud, job: str) -> None:
    """Whoever may not read a job does not learn that it exists."""
    cloud.open_job(cloud.agent(cloud.agent_key()))
    stranger = cloud.viewer(cloud.viewer_key("stranger", groups=("elsewhere",)))
    answer = stranger.say({"type": "subscribe", "id": "s", "job": job})
    assert (answer["type"], answer["code"], answer["id"]) == ("error", "not_found", "s")
    assert answer["message"] == "There is no such job, or you may not read it."
    assert not [key for key in cloud.snapshot() if "SUBSCRIPTION" in key]


def test_first_viewer_makes_the_agent_watch_and_the_next_does_not(cloud: Cloud) -> None:
    """One conditional update decides who tells the agent."""
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    key = cloud.viewer_key()
    for _ in range(3):
        cloud.viewer(key).say({"type": "subscribe", "id": "s", "job": JOB})
    assert agent.inbox == [{"type": "watch", "job": CONTAINER, "ttl": 150_000, "interval": 0}]


def test_viewers_pings_renew_the_watch(cloud: Cloud) -> None:
    """The agent stays in watch mode while somebody looks, and not longer."""
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    viewer = cloud.viewer(cloud.viewer_key())
    viewer.say({"type": "subscribe", "id": "s", "job": JOB})
    for _ in range(10):
        cloud.now_ms += 30_000
        viewer.say({"type": "ping", "id": "p"})
    assert 3 <= len(agent.inbox) <= 6


def test_open_after_a_subscription_says_watched(cloud: Cloud) -> None:
    """An agent that connects while somebody looks ships at once."""
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    cloud.viewer(cloud.viewer_key()).say({"type": "subscribe", "id": "s", "job": JOB})
    cloud.now_ms += 50_000
    assert cloud.open_job(agent)["watched"] == {"ttl": 100_000, "interval": 0}
    cloud.now_ms += 100_001
    assert "watched" not in cloud.open_job(agent)


def test_pong_has_the_tips_of_subscribed_jobs(cloud: Cloud) -> None:
    """It reveals a lost last broadcast."""
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    viewer = cloud.viewer(cloud.viewer_key())
    viewer.say({"type": "subscribe", "id": "s", "job": JOB})
    cloud.send(agent, 1)
    assert viewer.say({"type": "ping", "id": "p"}) == {"type": "pong", "id": "p", "tips": {JOB: 3}}
    assert viewer.say({"type": "unsubscribe", "id": "u", "job": JOB}) == {"type": "unsubscribed", "id": "u"}
    assert viewer.say({"type": "ping", "id": "p"}) == {"type": "pong", "id": "p", "tips": {}}


def test_connection_follows_a_bounded_number_of_jobs(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tips must fit one frame; it may resubscribe to jobs that it follows."""
    monkeypatch.setattr(message_handler, "MAX_SUBSCRIPTIONS", 2)
    agent = cloud.agent(cloud.agent_key())
    viewer = cloud.viewer(cloud.viewer_key())
    for container in ("a" * 64, "b" * 64, CONTAINER):
        cloud.open_job(agent, container)
    answers = [viewer.say({"type": "subscribe", "id": "s", "job": f"web.{one}"}) for one in ("a" * 64, "b" * 64)]
    assert [answer["type"] for answer in answers] == ["subscribed", "subscribed"]
    assert viewer.say({"type": "subscribe", "id": "s", "job": JOB})["code"] == "too_many"
    assert viewer.say({"type": "subscribe", "id": "s", "job": f"web.{'a' * 64}"})["type"] == "subscribed"


def test_disconnected_viewer_is_forgotten(cloud: Cloud) -> None:
    """Nothing of it is left in the registry."""
    cloud.open_job(cloud.agent(cloud.agent_key()))
    viewer = cloud.viewer(cloud.viewer_key())
    viewer.say({"type": "subscribe", "id": "s", "job": JOB})
    viewer.say({"type": "subscribe", "id": "l", "jobs": {}})
    viewer.disconnect()
    assert not [key for key in cloud.snapshot() if viewer.id in key]


def test_expired_sign_in_is_reported(cloud: Cloud) -> None:
    """An open connection does not outlive its credential."""
    key = cloud.issue("viewer", "me", subject="me", groups=("team",), admin=False, expires=cloud.now_ms // 1000 + 60)
    viewer = cloud.viewer(key)
    cloud.now_ms += 60_000
    assert viewer.say({"type": "ping", "id": "p"})["code"] == "expired"
