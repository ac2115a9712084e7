"""Order and deduplicate one job's entries, from batches that come in any order, twice, or not at all.

Theory of operation. A viewer subscribes, is told the tip, and from then on is sent every new batch, as far as the
network allows. It asks history for what it lacks, one request at a time. Three facts move the reader on:

- `update_tip(tip)`: the job has entries up to this sequence (`subscribed`, `pong`, or a history page said so);
- `receive(batch)`: a live batch, in any order, possibly repeated;
- `answer(page)` or `failed()`: the result of the history request that `request()` made.

`take()` returns the entries that follow those returned before. While entries below the known tip are missing, `due`
says when to ask history for them. A new reader fetches the past at once. For a hole in the live batches it waits a
jittered moment, because a whole audience has the same hole. An answer without anything new means "not yet", and the
next request waits longer.

What is stored of a job is a gap-free prefix, except that retention takes entries from its beginning. History says where
what it keeps begins: what was asked for before that is `Lost`. History may not say so, but know of the entries and
repeatedly return only later ones or none. That means the same.

There is no clock, randomness or I/O here. `now` is any monotonic time in seconds, and `jitter` draws from [0, 1).
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
"""Limit of batches held while one before them is missing (at most 11 MiB). The furthest are dropped first: history has
them."""


BELIEVED_AFTER: Final = 4
"""How often in a row history must leave out known entries before they count as lost: one read may be inconsistent."""


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
    """Entries `first` to `last` are no longer kept."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """Entries `first` to `last` are stored in a batch that cannot be read. Reading again does not help."""

    first: int
    last: int
    detail: str

    @property
    def count(self) -> int:
        """Number of entries."""
        return self.last - self.first + 1


Stored = BatchFacts | Damaged
Taken = Run | Lost | Damaged


@dataclass(frozen=True, slots=True)
class Page:
    """History's answer: batches with entries after the sequence asked for, ascending, and the tip at that time."""

    tip: int
    batches: Sequence[Stored]
    more: bool
    kept: int | None = None
    """The first sequence kept, if the entries asked for are no longer kept."""


class Reader:
    """Returns one job's entries after the sequence `after`. See the theory of operation above."""

    def __init__(self, jitter: Jitter, after: int = 0) -> None:
        self.position = after
        """The last sequence that was returned."""
        self.tip = after
        """The last sequence known to exist."""
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
        """Whether everything known to exist was returned."""
        return self.position >= self.tip

    def update_tip(self, tip: int, now: float, *, at_once: bool = False) -> None:
        """Take in that the job has entries up to `tip`.

        Args:
            tip: The last sequence.
            now: The time.
            at_once: Whether to ask history at once: it is this reader's own past, not a hole that the audience shares.
        """
        self.tip = max(self.tip, tip)
        if at_once and not self.complete and self._asked is None:
            self.due = now
        self._schedule(now)

    def receive(self, batch: BatchFacts, now: float) -> None:
        """Take in a live batch. A damaged one counts as lost: history has it complete."""
        self.tip = max(self.tip, batch.last)
        if batch.last > self.position and digest_of(batch.body) == batch.digest:
            self._keep(batch)
        self._schedule(now)

    def request(self, now: float) -> int | None:
        """Return the sequence after which to ask history for entries, once it is time; None before.

        The caller must then call `answer` or `failed`.
        """
        if self.due is None or now < self.due or self._asked is not None:
            return None
        self.due = None
        self._asked = self._reached()
        return self._asked

    def answer(self, page: Page, now: float) -> None:
        """Take in history's answer to the request. A batch that no agent can have sent is returned as damaged."""
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
        """Take in that the request got no answer."""
        self._asked = None
        self._schedule(now)

    def take(self) -> Iterator[Taken]:
        """Yield everything that follows what was returned before."""
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
        """Return the pending batch that holds the next entry, and drop batches before it; None without one."""
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
        """Return the last sequence without a hole before it, including entries that are not taken yet."""
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
        # A complete batch that came live is better than a damaged one that is stored.
        if held is None or (isinstance(batch, BatchFacts), batch.count) > (isinstance(held, BatchFacts), held.count):
            self._pending[batch.first] = batch
        if len(self._pending) > MAX_PENDING:
            del self._pending[max(self._pending)]

    def _hear_of_loss(self, kept: int) -> None:
        """Take in that history knows the entries asked for and keeps nothing before the sequence `kept`."""
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
