"""One job's entries, each once and in order, out of batches that come in any order, twice, or not at all.

Theory of operation. A viewer subscribes, is told the tip, and from then on is sent every new batch, as far as the
network allows. What it lacks it asks from history, one request at a time. Three facts move the reader on:

- `learn(tip)`: the job has entries up to there (`subscribed`, `pong`, or a history page said so);
- `receive(batch)`: a live batch, in any order, perhaps for the tenth time;
- `answer(page)` or `failed()`: what became of the history request that `request()` made.

`take()` hands out what follows on what was handed out before. While something below the known tip is missing, `due`
says when to ask history for it: at once for the past that a new reader has to fetch anyway, after a jittered moment for
a hole in the live batches, because a whole audience has that same hole. An answer without anything new means "not yet",
and the next request waits longer.

What is stored of a job is a gap-free prefix, except that retention takes entries from its beginning. History says where
what it keeps begins: what was asked for before that is `Lost`. Where it does not say so, yet knows of the entries asked
for and goes on later than them (or has none at all) each time that it is asked again, it means the same.

No clock, randomness or I/O in here: `now` is any monotonic time in seconds, and `jitter` draws from [0, 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from logferry_protocol.backoff import Backoff, Jitter
from logferry_protocol.batch import Columns, decode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import BatchError
from logferry_protocol.messages import BatchFacts

HOLE_BACKOFF: Final = Backoff(first_s=0.5, longest_s=10.0)
"""Waits before each request for the same hole in the live batches. Most holes fill themselves before the first."""

MAX_PENDING: Final = 512
"""Batches held while one before them is missing (at most 11 MiB). Those furthest ahead go first: history has them."""


BELIEVED_AFTER: Final = 4
"""So often in a row history must leave out what it knows of to be believed; one read may not be consistent yet."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive entries of the job; the first has the sequence `first`."""

    first: int
    columns: Columns

    @property
    def last(self) -> int:
        """Sequence of the last entry."""
        return self.first + len(self.columns) - 1


@dataclass(frozen=True, slots=True)
class Lost:
    """Entries `first` to `last` are not kept any more."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """Entries `first` to `last` are stored in a batch that cannot be read: no reading again will help."""

    first: int
    last: int
    detail: str

    @property
    def count(self) -> int:
        """Return how many entries."""
        return self.last - self.first + 1


Stored = BatchFacts | Damaged
Taken = Run | Lost | Damaged


@dataclass(frozen=True, slots=True)
class Page:
    """History's answer: batches with entries after what was asked for, ascending, and the tip that it knew."""

    tip: int
    batches: Sequence[Stored]
    more: bool
    kept: int | None = None
    """Where what is kept begins, if what was asked for before it is kept no more."""


class Reader:
    """The entries of one job after the sequence `after`. See the theory of operation above."""

    def __init__(self, jitter: Jitter, after: int = 0) -> None:
        self.position = after
        """The last sequence that was handed out."""
        self.tip = after
        """The last sequence that is known to exist."""
        self.due: float | None = None
        """When to make the next request; None while nothing is missing, or a request is under way."""
        self._jitter = jitter
        self._pending: dict[int, Stored] = {}
        self._asked: int | None = None
        self._attempts = 0
        self._doubt = (0, 0)
        self._lost: Lost | None = None

    @property
    def complete(self) -> bool:
        """Return whether everything known to exist was handed out."""
        return self.position >= self.tip

    def learn(self, tip: int, now: float, *, at_once: bool = False) -> None:
        """The job has entries up to `tip`. `at_once`: it is our own past, not a hole that everybody has."""
        self.tip = max(self.tip, tip)
        if at_once and not self.complete and self._asked is None:
            self.due = now
        self._schedule(now)

    def receive(self, batch: BatchFacts, now: float) -> None:
        """A live batch. One whose bytes are damaged is as good as lost on the way: history has it whole."""
        self.tip = max(self.tip, batch.last)
        if batch.last > self.position and digest_of(batch.body) == batch.digest:
            self._keep(batch)
        self._schedule(now)

    def request(self, now: float) -> int | None:
        """Return the sequence to ask history's entries after, once it is time; the caller then owes `answer` or `failed`."""
        if self.due is None or now < self.due or self._asked is not None:
            return None
        self.due = None
        self._asked = self._reached()
        return self._asked

    def answer(self, page: Page, now: float) -> None:
        """History's answer to the request. A batch in it that cannot be what an agent sent is handed out as damaged."""
        asked, self._asked = self._asked, None
        if asked is None:
            return
        self.tip = max(self.tip, page.tip, *(batch.last for batch in page.batches))
        fresh = [batch for batch in page.batches if batch.last > self.position]
        for batch in fresh:
            if isinstance(batch, BatchFacts) and digest_of(batch.body) != batch.digest:
                self._keep(Damaged(batch.first, batch.last, "its bytes do not match its digest"))
            else:
                self._keep(batch)
        if self._reached() > asked:
            self._attempts = 0
            self._doubt = (0, 0)
        elif page.kept is not None and page.kept > asked + 1:
            self._lost = Lost(asked + 1, page.kept - 1)
            self._doubt = (0, 0)
        elif page.tip > asked:
            self._hear_of_loss(min([batch.first for batch in fresh], default=page.tip + 1))
        else:
            # History does not know of them yet.
            self._doubt = (0, 0)
        if asked < self._reached() < self.tip:
            self.due = now
        self._schedule(now)

    def failed(self, now: float) -> None:
        """The request got no answer."""
        self._asked = None
        self._schedule(now)

    def take(self) -> Iterator[Taken]:
        """Everything that follows on what was handed out before."""
        while True:
            if self._lost is not None:
                lost, self._lost = self._lost, None
                if lost.last > self.position:
                    first = max(lost.first, self.position + 1)
                    self.position = lost.last
                    yield Lost(first, lost.last)
            batch = self._next()
            if batch is None:
                return
            taken = _taken_of(batch, self.position + 1)
            self.position = taken.last
            yield taken

    def _next(self) -> Stored | None:
        """Return the pending batch that holds the next entry. Batches that are wholly behind are forgotten on the way."""
        wanted = self.position + 1
        if (exact := self._pending.pop(wanted, None)) is not None:
            return exact
        for first in sorted(self._pending):
            if first > wanted:
                return None
            batch = self._pending.pop(first)
            if batch.last >= wanted:
                return batch
        return None

    def _reached(self) -> int:
        """Return how far the entries go without a hole, those not taken yet among them."""
        reached = self.position if self._lost is None else max(self.position, self._lost.last)
        if not self._pending:
            return reached
        for first in sorted(self._pending):
            if first > reached + 1:
                break
            reached = max(reached, self._pending[first].last)
        return reached

    def _keep(self, batch: Stored) -> None:
        held = self._pending.get(batch.first)
        # A whole one that came live is better than a damaged one that is stored.
        if held is None or (isinstance(batch, BatchFacts), batch.count) > (isinstance(held, BatchFacts), held.count):
            self._pending[batch.first] = batch
        if len(self._pending) > MAX_PENDING:
            del self._pending[max(self._pending)]

    def _hear_of_loss(self, kept: int) -> None:
        """History knows of what was asked for, and keeps nothing before the sequence `kept`."""
        heard = self._doubt[1] + 1 if self._doubt[0] == kept else 1
        self._doubt = (kept, heard)
        if heard >= BELIEVED_AFTER:
            self._lost = Lost(self._reached() + 1, kept - 1)
            self._doubt = (0, 0)

    def _schedule(self, now: float) -> None:
        if self._reached() >= self.tip:
            self.due = None
            self._attempts = 0
        elif self.due is None and self._asked is None:
            self._attempts += 1
            self.due = now + HOLE_BACKOFF.delay(self._attempts, self._jitter)


def _taken_of(batch: Stored, wanted: int) -> Run | Damaged:
    """Return the batch's entries from the sequence `wanted` on."""
    if isinstance(batch, Damaged):
        return Damaged(wanted, batch.last, batch.detail)
    try:
        columns = decode_body(batch.body)
    except BatchError as error:
        return Damaged(wanted, batch.last, str(error))
    if len(columns) != batch.count:
        return Damaged(wanted, batch.last, f"it holds {len(columns)} entries and says {batch.count}")
    skip = wanted - batch.first
    if skip == 0:
        return Run(batch.first, columns)
    return Run(wanted, Columns(columns.times[skip:], columns.streams[skip:], columns.texts[skip:]))
