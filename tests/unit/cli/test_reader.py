"""Test the gapless reader: entries come out once each and in order, whatever happens in transit."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_cli.reader import BELIEVED_AFTER, MAX_PENDING, Damaged, Lost, Page, Reader, Run, Taken
from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.messages import BatchFacts


def batch(first: int, count: int) -> BatchFacts:
    """Return a batch whose texts are its entries' sequences."""
    body = encode_body([1000 + first] * count, "o" * count, [str(n) for n in range(first, first + count)])
    return BatchFacts(first=first, count=count, start=1, end=1, raw=count, digest=digest_of(body), body=body)


def batches(sizes: Sequence[int]) -> list[BatchFacts]:
    firsts = [1 + sum(sizes[:n]) for n in range(len(sizes))]
    return [batch(first, size) for first, size in zip(firsts, sizes, strict=True)]


class History:
    """Stored batches, answered in pages; a stale read answers with an earlier state."""

    def __init__(self, stored: Sequence[BatchFacts], page: int = 3) -> None:
        self.stored = list(stored)
        self.page = page

    def ask(self, after: int, known: int | None = None) -> Page:
        known = len(self.stored) if known is None else known
        seen = self.stored[:known]
        matching = [held for held in seen if held.last > after]
        tip = seen[-1].last if seen else 0
        return Page(tip, matching[: self.page], len(matching) > self.page)


def texts(taken: Sequence[Taken]) -> list[str]:
    return [text for run in taken if isinstance(run, Run) for text in run.columns.texts]


@settings(max_examples=100)
@given(data=st.data())
def test_every_entry_comes_once_and_in_order_over_an_unreliable_link(data: st.DataObject) -> None:
    """Invariant 1 of ARCHITECTURE.md: the link may drop, repeat and reorder, history may be stale."""
    stored = batches(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=25), label="sizes"))
    subscribed_at = data.draw(st.integers(0, len(stored)), label="batches stored before the subscription")
    live = stored[subscribed_at:]
    chosen = data.draw(st.lists(st.sampled_from(live), max_size=2 * len(live)) if live else st.just([]), label="live")
    reader = Reader(random.Random(data.draw(st.integers(0, 99))).random)
    taken: list[Taken] = []
    now = 0.0
    reader.update_tip(sum(held.count for held in stored[:subscribed_at]), now, at_once=True)
    arrivals = list(chosen)
    known = subscribed_at
    stale = 0
    history = History(stored)
    for _ in range(400):
        now += data.draw(st.sampled_from([0.0, 0.1, 1.0, 11.0]))
        step = data.draw(st.sampled_from(["live", "ask", "ask", "grow"]))
        if step == "live" and arrivals:
            arriving = arrivals.pop(0)
            known = max(known, stored.index(arriving) + 1)
            reader.receive(arriving, now)
        elif step == "grow":
            known = min(len(stored), known + 1)
        elif (after := reader.request(now)) is not None:
            outcome = data.draw(st.sampled_from(["answer", "fail", "stale"]))
            if outcome == "fail":
                reader.failed(now)
            elif outcome == "stale" and stale + 1 < BELIEVED_AFTER:
                # A stale read may know the tip without having the batches yet, but not forever.
                stale += 1
                old = history.ask(after, data.draw(st.integers(0, known)))
                reader.answer(Page(max(old.tip, reader.tip), old.batches, old.more), now)
            else:
                stale = 0
                reader.answer(history.ask(after, known), now)
        taken += reader.take()
        if not arrivals and known == len(stored):
            break
    # In the end the last pong gives the tip, and history answers.
    reader.update_tip(stored[-1].last, now)
    for _ in range(3 * len(stored) + BELIEVED_AFTER):
        if reader.due is None:
            break
        now = max(now, reader.due)
        after = reader.request(now)
        assert after is not None
        reader.answer(history.ask(after), now)
        taken += reader.take()
    assert texts(taken) == [str(n) for n in range(1, stored[-1].last + 1)]
    assert all(isinstance(run, Run) and run.columns.texts[0] == str(run.first) for run in taken)
    assert reader.complete


@given(after=st.integers(0, 30), sizes=st.lists(st.integers(1, 7), min_size=5, max_size=12))
def test_reader_resumes_in_the_middle_of_a_batch(after: int, sizes: list[int]) -> None:
    """It continues after its last sequence, wherever batches end."""
    stored = batches(sizes)
    reader = Reader(lambda: 0.0, after)
    for held in reversed(stored):
        reader.receive(held, 0.0)
    while (asked := reader.request(0.0)) is not None:
        reader.answer(History(stored).ask(asked), 0.0)
    assert texts(list(reader.take())) == [str(n) for n in range(after + 1, sum(sizes) + 1)]


def test_past_is_fetched_at_once_and_a_hole_after_a_jittered_delay() -> None:
    """All viewers have the same hole at the same time; each one's past is its own."""
    stored = batches([2, 2, 2])
    reader = Reader(lambda: 0.8)
    reader.update_tip(2, 100.0, at_once=True)
    assert reader.request(100.0) == 0
    reader.answer(Page(2, stored[:1], False), 100.0)
    assert reader.due is None
    reader.receive(stored[2], 100.0)
    assert reader.request(100.0) is None
    assert reader.due == pytest.approx(100.4)
    assert reader.request(100.4) == 2


def test_hole_that_closes_itself_is_not_requested() -> None:
    """Batches that were only reordered cost no request."""
    one, two = batches([3, 3])
    reader = Reader(lambda: 0.5)
    reader.receive(two, 0.0)
    assert reader.due is not None
    reader.receive(one, 0.1)
    assert reader.due is None
    assert texts(list(reader.take())) == ["1", "2", "3", "4", "5", "6"]


def test_unknown_entries_are_requested_again_with_backoff() -> None:
    """History may not know of the entries yet."""
    reader = Reader(lambda: 1.0)
    reader.receive(batch(5, 1), 0.0)
    waits = []
    now = 0.0
    for _ in range(8):
        assert reader.due is not None
        waits.append(reader.due - now)
        now = reader.due
        assert reader.request(now) == 0
        reader.answer(Page(0, [], False), now)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert list(reader.take()) == []


def test_expired_entries_are_reported_and_not_awaited() -> None:
    """Entries before the first kept one become `Lost` once history has said so several times in a row."""
    kept = [batch(11, 5), batch(16, 5)]
    reader = Reader(lambda: 0.0)
    reader.update_tip(20, 0.0, at_once=True)
    taken: list[Taken] = []
    for asked in range(1, 10):
        if reader.request(0.0) is None:
            break
        reader.answer(Page(20, kept, False), 0.0)
        taken += reader.take()
        assert bool(taken) == (asked >= BELIEVED_AFTER)
    assert taken[0] == Lost(1, 10)
    assert texts(taken) == [str(n) for n in range(11, 21)]
    assert reader.complete


@pytest.mark.parametrize(("kept", "expected"), [(11, Lost(1, 10)), (21, Lost(1, 20))])
def test_history_that_reports_what_is_kept_is_asked_once(kept: int, expected: Lost) -> None:
    """One answer, at a job's beginning or for a job of which nothing is left."""
    reader = Reader(lambda: 0.0)
    reader.update_tip(20, 0.0, at_once=True)
    assert reader.request(0.0) == 0
    reader.answer(Page(20, [batch(11, 10)] if kept == 11 else [], False, kept), 0.0)
    taken = list(reader.take())
    assert taken[0] == expected
    assert texts(taken) == ([str(n) for n in range(11, 21)] if kept == 11 else [])
    assert reader.complete


def test_loss_in_the_middle_is_reported_in_place() -> None:
    """What is before and after it arrives."""
    reader = Reader(lambda: 0.0)
    reader.update_tip(9, 0.0, at_once=True)
    stored = [batch(1, 3), batch(7, 3)]
    taken: list[Taken] = []
    for asked, kept in ((0, None), (3, 7)):
        assert reader.request(0.0) == asked
        reader.answer(Page(9, [one for one in stored if one.last > asked], False, kept), 0.0)
        taken += reader.take()
    assert [one for one in taken if isinstance(one, Lost)] == [Lost(4, 6)]
    assert texts(taken) == ["1", "2", "3", "7", "8", "9"]
    assert reader.complete


def test_history_unaware_of_an_entry_does_not_make_it_lost() -> None:
    """Only omitting a known entry repeatedly means that it expired."""
    reader = Reader(lambda: 0.0)
    reader.update_tip(20, 0.0, at_once=True)
    for _ in range(BELIEVED_AFTER - 1):
        reader.request(0.0)
        reader.answer(Page(20, [], False), 0.0)
    reader.request(0.0)
    reader.answer(Page(0, [], False), 0.0)
    reader.request(0.0)
    reader.answer(Page(20, [], False), 0.0)
    assert list(reader.take()) == []


def test_job_with_nothing_kept_ends() -> None:
    """The reader does not wait forever for a tip without batches."""
    reader = Reader(lambda: 0.0)
    reader.update_tip(20, 0.0, at_once=True)
    taken: list[Taken] = []
    for _ in range(BELIEVED_AFTER):
        assert reader.request(0.0) == 0
        reader.answer(Page(20, [], False), 0.0)
        taken += reader.take()
    assert taken == [Lost(1, 20)]
    assert reader.complete


def test_damaged_live_batch_is_fetched_from_history() -> None:
    """Bytes that do not match their digest never reach the screen."""
    whole = batch(1, 3)
    reader = Reader(lambda: 0.0)
    reader.receive(whole.model_copy(update={"body": whole.body[:-1]}), 0.0)
    assert list(reader.take()) == []
    assert reader.request(0.0) == 0
    reader.answer(Page(3, [whole], False), 0.0)
    assert texts(list(reader.take())) == ["1", "2", "3"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_damaged_stored_batch_is_reported_and_others_are_emitted(at: int) -> None:
    """Nothing better is stored, and rereading it would never end."""
    stored: list[BatchFacts | Damaged] = [*batches([3, 3, 3])]
    stored[at] = batches([3, 3, 3])[at].model_copy(update={"digest": "0" * 64})
    reader = Reader(lambda: 0.0)
    reader.update_tip(9, 0.0, at_once=True)
    reader.request(0.0)
    reader.answer(Page(9, stored, False), 0.0)
    taken = list(reader.take())
    first = 1 + 3 * at
    assert taken[at] == Damaged(first, first + 2, "its bytes do not match its digest")
    assert texts([one for one in taken if isinstance(one, Run)]) == [
        str(n) for n in range(1, 10) if not first <= n < first + 3
    ]
    assert reader.complete
    assert reader.due is None


def test_intact_live_batch_replaces_a_damaged_stored_one() -> None:
    """Whichever arrives first."""
    whole = batch(2, 3)
    for live_first in (True, False):
        reader = Reader(lambda: 0.0)
        reader.update_tip(4, 0.0, at_once=True)
        reader.request(0.0)
        if live_first:
            reader.receive(whole, 0.0)
        reader.answer(Page(4, [Damaged(2, 4, "")], False), 0.0)
        if not live_first:
            reader.receive(whole, 0.0)
        reader.receive(batch(1, 1), 0.0)
        assert texts(list(reader.take())) == ["1", "2", "3", "4"]


def test_batch_with_a_wrong_entry_count_is_damaged() -> None:
    """A count is trusted only when the body agrees."""
    lying = batch(1, 3).model_copy(update={"count": 4})
    reader = Reader(lambda: 0.0)
    reader.receive(lying, 0.0)
    assert list(reader.take()) == [Damaged(1, 4, "it holds 3 entries and says 4")]


def test_held_back_batches_are_bounded() -> None:
    """A reader that fetches a long past does not keep everything that arrives live."""
    stored = batches([1] * (MAX_PENDING + 50))
    reader = Reader(lambda: 0.0)
    for held in stored[1:]:
        reader.receive(held, 0.0)
    assert len(reader._pending) <= MAX_PENDING
    taken: list[Taken] = []
    while (asked := reader.request(0.0)) is not None:
        reader.answer(History(stored, page=20).ask(asked), 0.0)
        taken += reader.take()
    assert texts(taken) == [str(n) for n in range(1, len(stored) + 1)]
