"""The gapless reader: whatever happens on the way, entries come out once each and in order."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_cli.reader import BELIEVED_AFTER, MAX_PENDING, Damaged, Lost, Page, Reader, Run
from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.messages import BatchFacts


def batch(first: int, count: int) -> BatchFacts:
    """A batch whose texts are the entries' own sequences."""
    body = encode_body([1000 + first] * count, "o" * count, [str(n) for n in range(first, first + count)])
    return BatchFacts(first=first, count=count, start=1, end=1, raw=count, digest=digest_of(body), body=body)


def batches(sizes: Sequence[int]) -> list[BatchFacts]:
    firsts = [1 + sum(sizes[:n]) for n in range(len(sizes))]
    return [batch(first, size) for first, size in zip(firsts, sizes, strict=True)]


class History:
    """What is stored, answered in pages; a stale read is answered as of a while ago."""

    def __init__(self, stored: Sequence[BatchFacts], page: int = 3) -> None:
        self.stored = list(stored)
        self.page = page

    def ask(self, after: int, known: int | None = None) -> Page:
        known = len(self.stored) if known is None else known
        seen = self.stored[:known]
        matching = [held for held in seen if held.last > after]
        tip = seen[-1].last if seen else 0
        return Page(tip, matching[: self.page], len(matching) > self.page)


def texts(taken: Sequence[Run | Lost]) -> list[str]:
    return [text for run in taken if isinstance(run, Run) for text in run.columns.texts]


@settings(max_examples=100)
@given(data=st.data())
def test_every_entry_comes_once_and_in_order_whatever_is_dropped_repeated_or_reordered(data: st.DataObject) -> None:
    """Invariant 1 of ARCHITECTURE.md, over a link and a history that do all that they are allowed to."""
    stored = batches(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=25), label="sizes"))
    subscribed_at = data.draw(st.integers(0, len(stored)), label="batches stored before the subscription")
    live = stored[subscribed_at:]
    chosen = data.draw(st.lists(st.sampled_from(live), max_size=2 * len(live)) if live else st.just([]), label="live")
    reader = Reader(random.Random(data.draw(st.integers(0, 99))).random)
    taken: list[Run | Lost] = []
    now = 0.0
    reader.learn(sum(held.count for held in stored[:subscribed_at]), now, at_once=True)
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
                # A read that is behind may know the tip and not have the batches yet; not for ever, though.
                stale += 1
                old = history.ask(after, data.draw(st.integers(0, known)))
                reader.answer(Page(max(old.tip, reader.tip), old.batches, old.more), now)
            else:
                stale = 0
                reader.answer(history.ask(after, known), now)
        taken += reader.take()
        if not arrivals and known == len(stored):
            break
    # In the end the last pong tells the tip, and history answers.
    reader.learn(stored[-1].last, now)
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
def test_a_reader_takes_up_in_the_middle_of_a_batch(after: int, sizes: list[int]) -> None:
    """A reconnecting reader goes on after the last sequence that it has, wherever batches end."""
    stored = batches(sizes)
    reader = Reader(lambda: 0.0, after)
    for held in reversed(stored):
        reader.receive(held, 0.0)
    while (asked := reader.request(0.0)) is not None:
        reader.answer(History(stored).ask(asked), 0.0)
    assert texts(list(reader.take())) == [str(n) for n in range(after + 1, sum(sizes) + 1)]


def test_the_past_is_fetched_at_once_and_a_hole_after_a_jittered_moment() -> None:
    """A whole audience has the same hole at the same time; each one's own past is only its own."""
    stored = batches([2, 2, 2])
    reader = Reader(lambda: 0.8)
    reader.learn(2, 100.0, at_once=True)
    assert reader.request(100.0) == 0
    reader.answer(Page(2, stored[:1], False), 100.0)
    assert reader.due is None
    reader.receive(stored[2], 100.0)
    assert reader.request(100.0) is None
    assert reader.due == pytest.approx(100.4)
    assert reader.request(100.4) == 2


def test_a_hole_that_fills_itself_is_not_asked_for() -> None:
    """Batches that were only reordered cost no request."""
    one, two = batches([3, 3])
    reader = Reader(lambda: 0.5)
    reader.receive(two, 0.0)
    assert reader.due is not None
    reader.receive(one, 0.1)
    assert reader.due is None
    assert texts(list(reader.take())) == ["1", "2", "3", "4", "5", "6"]


def test_not_yet_is_a_legal_answer_and_is_asked_again_later_and_later() -> None:
    """History that does not know of the entries yet is given time."""
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


def test_what_retention_took_is_told_and_not_waited_for() -> None:
    """Entries before the first one kept become `Lost`, once history has said so several times in a row."""
    kept = [batch(11, 5), batch(16, 5)]
    reader = Reader(lambda: 0.0)
    reader.learn(20, 0.0, at_once=True)
    taken: list[Run | Lost] = []
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
def test_where_history_says_what_is_kept_nobody_asks_twice(kept: int, expected: Lost) -> None:
    """One answer, at a job's beginning or of a job of which nothing is left."""
    reader = Reader(lambda: 0.0)
    reader.learn(20, 0.0, at_once=True)
    assert reader.request(0.0) == 0
    reader.answer(Page(20, [batch(11, 10)] if kept == 11 else [], False, kept), 0.0)
    taken = list(reader.take())
    assert taken[0] == expected
    assert texts(taken) == ([str(n) for n in range(11, 21)] if kept == 11 else [])
    assert reader.complete


def test_a_loss_in_the_middle_is_told_where_it_is() -> None:
    """What is before it and behind it comes."""
    reader = Reader(lambda: 0.0)
    reader.learn(9, 0.0, at_once=True)
    stored = [batch(1, 3), batch(7, 3)]
    taken: list[Run | Lost] = []
    for asked, kept in ((0, None), (3, 7)):
        assert reader.request(0.0) == asked
        reader.answer(Page(9, [one for one in stored if one.last > asked], False, kept), 0.0)
        taken += reader.take()
    assert [one for one in taken if isinstance(one, Lost)] == [Lost(4, 6)]
    assert texts(taken) == ["1", "2", "3", "7", "8", "9"]
    assert reader.complete


def test_history_that_does_not_know_of_an_entry_casts_no_doubt_on_it() -> None:
    """Only leaving out what it knows of, again and again, says that it is kept no more."""
    reader = Reader(lambda: 0.0)
    reader.learn(20, 0.0, at_once=True)
    for _ in range(BELIEVED_AFTER - 1):
        reader.request(0.0)
        reader.answer(Page(20, [], False), 0.0)
    reader.request(0.0)
    reader.answer(Page(0, [], False), 0.0)
    reader.request(0.0)
    reader.answer(Page(20, [], False), 0.0)
    assert list(reader.take()) == []


def test_a_job_of_which_nothing_is_kept_ends() -> None:
    """A tip without a single batch left is not waited for for ever."""
    reader = Reader(lambda: 0.0)
    reader.learn(20, 0.0, at_once=True)
    taken: list[Run | Lost] = []
    for _ in range(BELIEVED_AFTER):
        assert reader.request(0.0) == 0
        reader.answer(Page(20, [], False), 0.0)
        taken += reader.take()
    assert taken == [Lost(1, 20)]
    assert reader.complete


def test_a_damaged_live_batch_is_fetched_from_history() -> None:
    """Bytes that do not match their digest never reach the screen."""
    whole = batch(1, 3)
    reader = Reader(lambda: 0.0)
    reader.receive(whole.model_copy(update={"body": whole.body[:-1]}), 0.0)
    assert list(reader.take()) == []
    assert reader.request(0.0) == 0
    reader.answer(Page(3, [whole], False), 0.0)
    assert texts(list(reader.take())) == ["1", "2", "3"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_damaged_stored_batch_is_said_and_the_others_are_handed_out(at: int) -> None:
    """Nothing better will come than what is stored, and reading it again would not end."""
    stored: list[BatchFacts | Damaged] = [*batches([3, 3, 3])]
    stored[at] = batches([3, 3, 3])[at].model_copy(update={"digest": "0" * 64})
    reader = Reader(lambda: 0.0)
    reader.learn(9, 0.0, at_once=True)
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


def test_a_whole_live_batch_is_better_than_a_damaged_stored_one() -> None:
    """Whichever comes first."""
    whole = batch(2, 3)
    for live_first in (True, False):
        reader = Reader(lambda: 0.0)
        reader.learn(4, 0.0, at_once=True)
        reader.request(0.0)
        if live_first:
            reader.receive(whole, 0.0)
        reader.answer(Page(4, [Damaged(2, 4, "")], False), 0.0)
        if not live_first:
            reader.receive(whole, 0.0)
        reader.receive(batch(1, 1), 0.0)
        assert texts(list(reader.take())) == ["1", "2", "3", "4"]


def test_a_batch_that_holds_another_number_of_entries_is_damaged() -> None:
    """A count is believed only when the body agrees."""
    lying = batch(1, 3).model_copy(update={"count": 4})
    reader = Reader(lambda: 0.0)
    reader.receive(lying, 0.0)
    assert list(reader.take()) == [Damaged(1, 4, "it holds 3 entries and says 4")]


def test_what_is_held_back_is_bounded() -> None:
    """A reader with a long past to fetch does not keep all that arrives live meanwhile."""
    stored = batches([1] * (MAX_PENDING + 50))
    reader = Reader(lambda: 0.0)
    for held in stored[1:]:
        reader.receive(held, 0.0)
    assert len(reader._pending) <= MAX_PENDING
    taken: list[Run | Lost] = []
    while (asked := reader.request(0.0)) is not None:
        reader.answer(History(stored, page=20).ask(asked), 0.0)
        taken += reader.take()
    assert texts(taken) == [str(n) for n in range(1, len(stored) + 1)]
