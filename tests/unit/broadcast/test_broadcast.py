"""Test what subscribers receive (PROTOCOL.md, viewers)."""

import json
import random
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.batches import CONTAINER, batch
from tests.support.cloud import AGENTS, Cloud, Socket

from broadcast import core
from connect.core import Caller
from logferry_protocol.limits import MAX_BODY_BYTES, MAX_FRAME_BYTES
from logferry_protocol.messages import TO_VIEWER, BatchMessage, decode

JOB = f"web.{CONTAINER}"


@pytest.fixture
def agent(cloud: Cloud) -> Socket:
    socket = cloud.agent(cloud.agent_key())
    cloud.open_job(socket)
    return socket


def subscribed(cloud: Cloud, key: str | None = None) -> Socket:
    viewer = cloud.viewer(key or cloud.viewer_key())
    assert viewer.say({"type": "subscribe", "id": "s", "job": JOB})["type"] == "subscribed"
    return viewer


def test_subscribers_get_new_batches_and_others_do_not(cloud: Cloud, agent: Socket) -> None:
    """Connections that unsubscribed or never subscribed receive nothing."""
    one, two, gone = subscribed(cloud), subscribed(cloud), subscribed(cloud)
    gone.say({"type": "unsubscribe", "id": "u", "job": JOB})
    cloud.stream()
    cloud.send(agent, 1)
    assert cloud.stream() == []
    assert [len(viewer.inbox) for viewer in (one, two, gone)] == [1, 1, 0]
    (message,) = one.inbox
    assert (message["type"], message["job"]) == ("batch", JOB)
    assert [(each["first"], each["count"]) for each in message["batches"]] == [(1, 3)]


def test_batches_and_their_delay_are_counted(cloud: Cloud, agent: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    """Also without a viewer: an alarm compares what was stored with what left the stream."""
    cloud.stream()
    cloud.send(agent, 1)
    cloud.send(agent, 4)
    cloud.now_ms += 1_500
    capsys.readouterr()
    cloud.stream()
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
    assert [sum(one.get("BatchesBroadcast", ())) for one in documents] == [2]
    assert [one.get("BroadcastDelay") for one in documents] == [[1_500, 1_500]]


def test_several_batches_share_a_frame(cloud: Cloud, agent: Socket) -> None:
    """A burst costs each viewer as few messages as possible."""
    viewer = subscribed(cloud)
    for first in range(1, 30, 3):
        cloud.send(agent, first)
    cloud.stream()
    assert [[each["first"] for each in message["batches"]] for message in viewer.inbox] == [list(range(1, 30, 3))]


def test_frames_fit_and_hold_every_batch_once() -> None:
    """For batches of any size, the largest included; equal to the protocol's own encoding."""
    chance = random.Random(1)
    items = []
    for index in range(40):
        body = chance.randbytes(MAX_BODY_BYTES if index % 7 == 0 else chance.randrange(1, 9_000))
        facts = batch(index + 1, ("x",)).model_dump(exclude={"job", "cursor", "body"})
        items.append({**facts, "body": body})
    frames = core.batch_frames("p" * 63 + "." + CONTAINER, items)
    assert max(map(len, frames)) <= MAX_FRAME_BYTES
    messages = [decode(frame, TO_VIEWER) for frame in frames]
    assert all(isinstance(message, BatchMessage) for message in messages)
    found = [each for message in messages for each in message.batches]  # type: ignore[union-attr]
    assert [(each.first, each.body) for each in found] == [(item["first"], item["body"]) for item in items]


def test_large_audience_is_served_concurrently(cloud: Cloud, agent: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of it are handed to other invocations; every viewer gets everything once."""
    monkeypatch.setattr(core, "FAN_OUT_SUBSCRIBERS", 3)
    monkeypatch.setattr(core, "FAN_OUT_BYTES", 1)
    key = cloud.viewer_key()
    viewers = [subscribed(cloud, key) for _ in range(8)]
    cloud.send(agent, 1)
    cloud.stream()
    assert sorted(len(viewer.inbox) for viewer in viewers) == [0] * 5 + [1] * 3
    assert len(cloud.handed_over) == 2
    for part in cloud.handed_over:
        assert cloud.broadcast(json.loads(part), None) == {"batchItemFailures": []}
    assert [len(viewer.inbox) for viewer in viewers] == [1] * 8


def test_hand_over_fits_an_asynchronous_invocation() -> None:
    """A megabyte, with the longest names and the largest frames."""
    key = {"pk": {"S": "JOB#" + "p" * 63 + "." + CONTAINER}, "sk": {"S": "SUBSCRIPTION#" + "c" * 32}}
    one = core.Subscriber(key, "c" * 32, "k" * 12, "p" * 63, 10**13, 10**10, 10**13, {"label": "x" * 100}, "g" * 12)
    parts = core.fan_out_events(JOB, [b"f" * MAX_FRAME_BYTES] * 100, [one] * core.FAN_OUT_SUBSCRIBERS)
    assert sum(len(part["frames"]) for part in parts) == 100
    assert max(len(json.dumps(part)) for part in parts) < 1_000_000
    assert core.parse_fan_out_event(json.loads(json.dumps(parts[0])))[2][0] == one


def test_gone_viewer_is_removed(cloud: Cloud, agent: Socket) -> None:
    """API Gateway's $disconnect is best effort; a 410 replaces it."""
    gone, here = subscribed(cloud), subscribed(cloud)
    gone.closed = True
    cloud.send(agent, 1)
    assert cloud.stream() == []
    assert len(here.inbox) == 1
    assert not [key for key in cloud.snapshot() if key.endswith(f"SUBSCRIPTION#{gone.id}")]


def test_slow_viewer_is_skipped_and_catches_up(cloud: Cloud, agent: Socket) -> None:
    """After bounded attempts, under a second in total, it is skipped briefly; the others get theirs."""
    slow, quick = subscribed(cloud), subscribed(cloud)
    cloud.busy.add(slow.id)
    cloud.send(agent, 1)
    assert cloud.stream() == []
    assert sum(cloud.slept) < 1
    attempts = len(cloud.slept)
    cloud.busy.clear()
    cloud.send(agent, 4)
    cloud.stream()
    assert len(cloud.slept) == attempts
    assert (len(slow.inbox), len(quick.inbox)) == (0, 2)
    cloud.now_ms += core.LAGGING_MS
    cloud.send(agent, 7)
    cloud.stream()
    assert len(slow.inbox) == 1


def failing(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ProvisionedThroughputExceededException", "Message": ""}}, operation)


@pytest.mark.parametrize("what", ["gone", "slow"])
def test_failed_write_for_one_viewer_fails_nothing(
    cloud: Cloud, agent: Socket, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Otherwise the record would repeat for everyone; the next batch meets the same viewer anyway."""
    viewers = [subscribed(cloud) for _ in range(3)]
    viewers[0].closed = what == "gone"
    if what == "slow":
        cloud.busy.add(viewers[0].id)

    def fail(*_given: Any, **_more: Any) -> None:
        raise failing("DeleteItem")

    for call in ("remove_subscriber", "mark_lagging"):
        monkeypatch.setattr(cloud.broadcast_store, call, fail)
    cloud.send(agent, 1)
    assert cloud.stream() == []
    assert [len(viewer.inbox) for viewer in viewers] == [0, 1, 1]


def test_credential_is_read_once_for_an_audience(cloud: Cloud, agent: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of viewers with one key must not all read it at the same moment."""
    key = cloud.viewer_key()
    viewers = [subscribed(cloud, key) for _ in range(8)]
    read, reads = cloud.broadcast_store.credential_revoked, []

    def slow(credential: str) -> bool:
        reads.append(credential)
        time.sleep(0.05)  # so that concurrent readers have time to read
        return read(credential)

    monkeypatch.setattr(cloud.broadcast_store, "credential_revoked", slow)
    cloud.send(agent, 1)
    cloud.stream()
    assert [len(viewer.inbox) for viewer in viewers] == [1] * 8
    assert len(reads) == 1


def test_expired_subscription_ends_with_a_message(cloud: Cloud, agent: Socket) -> None:
    """Every send checks it, so a connection does not outlive its key. Then it is closed."""
    key = cloud.issue("viewer", "me", subject="me", groups=("team",), admin=False, expires=cloud.now_ms // 1000 + 60)
    viewer = subscribed(cloud, key)
    cloud.now_ms += 60_000
    cloud.send(agent, 1)
    cloud.stream()
    assert [message["type"] for message in viewer.inbox] == ["expired"]
    assert viewer.closed
    cloud.send(agent, 4)
    cloud.stream()
    assert len(viewer.inbox) == 1


def revoke(cloud: Cloud, pk: str, sk: str) -> None:
    item = cloud.get(pk, sk)
    assert item is not None
    cloud.put(**{**item, "revoked": cloud.now_ms})


@pytest.mark.parametrize("what", ["credential", "principal"])
def test_revocation_closes_open_connections(cloud: Cloud, agent: Socket, what: str) -> None:
    """Whoever writes it: the registry's stream delivers it."""
    key = cloud.viewer_key()
    viewer, other = subscribed(cloud, key), subscribed(cloud, cloud.viewer_key("other"))
    cloud.stream()
    where = {
        "credential": (f"CREDENTIAL#{key.split('_')[1]}", "CREDENTIAL"),
        "principal": ("PRINCIPAL#me", "PRINCIPAL"),
    }
    revoke(cloud, *where[what])
    assert cloud.stream() == []
    assert (viewer.closed, other.closed) == (True, False)
    assert not [name for name in cloud.snapshot() if viewer.id in name]
    assert not agent.closed


def test_failed_close_is_retried_with_its_record(cloud: Cloud, agent: Socket) -> None:
    """A connection is forgotten only once it is closed."""
    key = cloud.viewer_key()
    viewer = subscribed(cloud, key)
    cloud.stream()
    revoke(cloud, f"CREDENTIAL#{key.split('_')[1]}", "CREDENTIAL")
    records = cloud.records()
    cloud.close_fails = True
    assert cloud.broadcast({"Records": records}, None)["batchItemFailures"] != []
    assert not viewer.closed
    cloud.close_fails = False
    assert cloud.broadcast({"Records": records}, None)["batchItemFailures"] == []
    assert viewer.closed


def test_revoked_agent_is_disconnected(cloud: Cloud) -> None:
    """Its key opens nothing more, and its connections are closed."""
    key = cloud.agent_key()
    socket = cloud.agent(key)
    cloud.stream()
    revoke(cloud, f"CREDENTIAL#{key.split('_')[1]}", "CREDENTIAL")
    cloud.stream()
    assert socket.closed


def test_revoked_role_ends_connections_opened_with_it(cloud: Cloud) -> None:
    """Keys of the same principal are unaffected."""
    with_key = cloud.agent(cloud.agent_key("fleet"))
    cloud.put("ROLE#arn:aws:iam::123456789012:role/Fleet", "ROLE", principal="fleet")
    cloud.identify = lambda _token: Caller("arn:aws:iam::123456789012:role/Fleet", "AROA0123456789FLEET00")
    with_role = cloud.agent("lfaws_x")
    cloud.stream()
    revoke(cloud, "ROLE#arn:aws:iam::123456789012:role/Fleet", "ROLE")
    assert cloud.stream() == []
    assert (with_role.closed, with_key.closed) == (True, False)
    assert cloud.open_socket(AGENTS, {"Authorization": "Bearer lfaws_x"}, {}) is None


def test_revocation_is_found_even_if_no_connection_was_closed(cloud: Cloud, agent: Socket) -> None:
    """A send reads the credential again, whatever happened to the revocation's own record."""
    key = cloud.viewer_key()
    viewer = subscribed(cloud, key)
    revoke(cloud, f"CREDENTIAL#{key.split('_')[1]}", "CREDENTIAL")
    cloud.send(agent, 1)
    batches = [record for record in cloud.records() if "first" in record["dynamodb"]["Keys"]]
    cloud.broadcast({"Records": batches}, None)
    assert [message["type"] for message in viewer.inbox] == ["expired"]


def test_lists_are_live_for_permitted_viewers(cloud: Cloud) -> None:
    """A new or changed job reaches matching lists of its owner and of admins."""
    viewers = {
        "mine": cloud.viewer(cloud.viewer_key()),
        "named": cloud.viewer(cloud.viewer_key("named")),
        "other name": cloud.viewer(cloud.viewer_key("another")),
        "stranger": cloud.viewer(cloud.viewer_key("stranger", groups=("elsewhere",))),
        "asking too much": cloud.viewer(cloud.viewer_key("asking", groups=("elsewhere",))),
        "admin": cloud.viewer(cloud.viewer_key("root", groups=(), admin=True)),
    }
    selectors = {"named": {"name": "web"}, "other name": {"name": "db"}, "asking too much": {"owner": "team"}}
    for name, viewer in viewers.items():
        viewer.say({"type": "subscribe", "id": "l", "jobs": selectors.get(name, {})})
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    cloud.stream()
    told = {name for name, viewer in viewers.items() if viewer.inbox}
    assert told == {"mine", "named", "admin"}
    message = viewers["mine"].inbox[0]
    assert (message["type"], message["record"]["job"]) == ("job", JOB)


def listed(cloud: Cloud) -> Socket:
    viewer = cloud.viewer(cloud.viewer_key("lists"))
    viewer.say({"type": "subscribe", "id": "l", "jobs": {}})
    return viewer


def test_lists_show_a_running_jobs_growth(cloud: Cloud, agent: Socket) -> None:
    """From its batches: the record itself is written every few minutes at most."""
    viewer = listed(cloud)
    cloud.stream()
    viewer.inbox.clear()
    cloud.send(agent, 1)
    cloud.send(agent, 4)
    cloud.stream()
    (message,) = viewer.inbox
    record = message["record"]
    assert (message["type"], record["job"], record["tip"]) == ("job", JOB, 6)
    assert record["last"] == batch(4, ("one", "two", "three")).end // 1000
    assert (cloud.get(f"JOB#{JOB}", "JOB") or {}).get("tip") is None


def test_busy_job_does_not_flood_lists(cloud: Cloud, agent: Socket) -> None:
    """However many batches arrive, a list hears of one job at a limited rate."""
    viewer = listed(cloud)
    cloud.stream()
    viewer.inbox.clear()
    for first in range(1, 31, 3):
        cloud.send(agent, first)
        cloud.stream()
    assert len(viewer.inbox) == 1
    cloud.now_ms += core.GROWTH_INTERVAL_MS
    cloud.send(agent, 31)
    cloud.stream()
    assert [message["record"]["tip"] for message in viewer.inbox] == [3, 33]


def test_failed_list_update_resends_no_batch(cloud: Cloud, agent: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The subscribers have it already."""
    viewer = subscribed(cloud)
    cloud.stream()

    def fail(*_: object) -> None:
        raise RuntimeError("the registry cannot be read")

    monkeypatch.setattr("broadcast.store.Store.job", fail)
    cloud.send(agent, 1)
    assert cloud.stream() == []
    assert [message["type"] for message in viewer.inbox] == ["batch"]


def test_deleted_job_appears_in_no_list(cloud: Cloud, agent: Socket) -> None:
    """Batches in transit when it was deleted do not restore it."""
    viewer = listed(cloud)
    cloud.send(agent, 1)
    item = cloud.get(f"JOB#{JOB}", "JOB")
    assert item is not None
    cloud.put(**{**item, "deleted": cloud.now_ms})
    batches = [record for record in cloud.records() if "first" in record["dynamodb"]["Keys"]]
    assert batches
    viewer.inbox.clear()
    cloud.broadcast({"Records": batches}, None)
    assert viewer.inbox == []


def test_poison_record_fails_alone(cloud: Cloud, agent: Socket) -> None:
    """The others of its batch are sent, and it ends whole in the failure bucket."""
    viewer = subscribed(cloud)
    cloud.stream()
    cloud.send(agent, 1)
    poison: dict[str, Any] = {
        "eventName": "INSERT",
        "dynamodb": {"Keys": {"first": {"N": "1"}}, "SequenceNumber": "bad"},
    }
    answer = cloud.broadcast({"Records": [poison, *cloud.records()]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert len(viewer.inbox) == 1


@pytest.mark.parametrize("event", ["MODIFY", "REMOVE"])
def test_what_is_no_new_batch_is_passed_over(cloud: Cloud, agent: Socket, event: str) -> None:
    """Expired and erased batches come without an image. Neither is sent, and neither ends in the failure bucket."""
    viewer = subscribed(cloud)
    cloud.stream()
    cloud.send(agent, 1)
    (record,) = (one for one in cloud.records() if "first" in one["dynamodb"]["Keys"])
    by_time_to_live = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    late = {**record, "eventName": event, **({"userIdentity": by_time_to_live} if event == "REMOVE" else {})}
    if event == "REMOVE":
        late["dynamodb"] = {name: value for name, value in record["dynamodb"].items() if name != "NewImage"}
    assert cloud.broadcast({"Records": [late]}, None) == {"batchItemFailures": []}
    assert viewer.inbox == []


def test_removed_item_of_the_registry_is_passed_over(cloud: Cloud, agent: Socket) -> None:
    """Job records, keys and shares expire, too."""
    viewer = listed(cloud)
    cloud.send(agent, 1)
    removals = [
        {
            "eventName": "REMOVE",
            "dynamodb": {"Keys": one["dynamodb"]["Keys"], "SequenceNumber": one["dynamodb"]["SequenceNumber"]},
        }
        for one in cloud.records()
        if "sk" in one["dynamodb"]["Keys"]
    ]
    assert removals
    viewer.inbox.clear()
    assert cloud.broadcast({"Records": removals}, None) == {"batchItemFailures": []}
    assert viewer.inbox == []


def test_log_text_is_never_interpreted_in_transit(cloud: Cloud, agent: Socket) -> None:
    """Hostile lines arrive with unchanged bytes."""
    viewer = subscribed(cloud)
    texts = ('","type":"expired"', "</script>", "\x1b]0;title\x07", "{{7*7}}", "\u2028", "%s%n")
    cloud.send(agent, 1, texts)
    cloud.stream()
    (message,) = viewer.inbox
    decoded = decode(json.dumps(message), TO_VIEWER)
    assert isinstance(decoded, BatchMessage)
    assert decoded.batches[0].body == batch(1, texts).body
