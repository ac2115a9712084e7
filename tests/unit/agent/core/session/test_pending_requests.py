"""Test `core/session/pending_requests.py` and `core/session/connections.py`."""

from __future__ import annotations

from logferry_agent.core.session.connections import SILENT_TIMEOUTS, Connections
from logferry_agent.core.session.pending_requests import LATE_KEPT, PendingRequests, Request
from logferry_agent.core.session.timers import Timers


def requests() -> tuple[PendingRequests, Timers]:
    timers = Timers()
    return PendingRequests("run", timers, 10.0), timers


def test_answer_is_used_once() -> None:
    """A repeated one finds no request."""
    book, _ = requests()
    envelope = Request(1, "ingest", ("a",), (7,))
    request_id = book.add(envelope, 0.0)
    assert book.envelopes == 1
    assert book.answered(request_id) == envelope
    assert book.answered(request_id) is None
    assert book.answered_late(request_id) is None


def test_every_request_has_its_own_timer() -> None:
    """Due after the timeout, in the order of requests."""
    book, timers = requests()
    asked = [book.add(Request(1, "open", ("a",)), 0.0), book.add(Request(1, "open", ("b",)), 1.0)]
    assert timers.next == 10.0
    assert list(timers.due(10.5)) == [("answer", asked[0])]
    assert list(timers.due(11.0)) == [("answer", asked[1])]
    assert timers.next is None


def test_only_an_envelope_may_be_answered_late() -> None:
    """Once, and only the most recent ones."""
    book, _ = requests()
    opened = book.add(Request(1, "open", ("a",)), 0.0)
    book.give_up(opened)
    assert book.answered_late(opened) is None
    asked = [book.add(Request(1, "ingest", ("a",), (n,)), 0.0) for n in range(LATE_KEPT + 1)]
    for request_id in asked:
        book.give_up(request_id)
    assert book.answered_late(asked[0]) is None
    assert book.answered_late(asked[1]) == Request(1, "ingest", ("a",), (1,))
    assert book.answered_late(asked[1]) is None


def test_lost_connection_abandons_only_its_own_requests() -> None:
    """The other's answers are still awaited."""
    book, _ = requests()
    mine, other = Request(1, "ingest", ("a",), (1,)), Request(2, "status", ("b",))
    late = book.add(mine, 0.0)
    book.add(other, 0.0)
    assert book.links == {1, 2}
    assert book.give_up_all(1) == [mine]
    assert book.links == {2}
    assert book.answered_late(late) == mine


def test_old_connection_is_closed_when_idle() -> None:
    """The only one never is."""
    links = Connections()
    links.up(1)
    assert links.drop_replaced(busy=set()) == []
    links.up(2)
    assert links.current == 2
    assert links.drop_replaced(busy={1}) == []
    assert links.drop_replaced(busy=set()) == [1]
    assert 1 not in links


def test_unanswered_requests_count_until_something_arrives() -> None:
    """In a row, on that connection."""
    links = Connections()
    links.up(1)
    for _ in range(SILENT_TIMEOUTS - 1):
        assert not links.unanswered(1)
    links.mark_received(1)
    for _ in range(SILENT_TIMEOUTS - 1):
        assert not links.unanswered(1)
    assert links.unanswered(1)
    links.remove(1)
    assert links.current is None
    assert not links.unanswered(1)
