"""Test `core/session/session.py` against a correct cloud over an unreliable link."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_agent.core.session.connections import SILENT_TIMEOUTS
from logferry_agent.core.session.effects import (
    Acknowledged,
    CloseConnection,
    Discard,
    Effect,
    Forget,
    Park,
    Reread,
    SendBatches,
    SendMessage,
    SetAside,
)
from logferry_agent.core.session.job_record import JobRecord, QueuedBatch
from logferry_agent.core.session.job_state import TRANSITIONS, JobEvent, JobState
from logferry_agent.core.session.scheduler import ENDED_STATUS_S, PARKED_S, STATUS_EVERY_S
from logferry_agent.core.session.session import PING_EVERY_S, Session
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import (
    Error,
    Ingested,
    Noted,
    Open,
    Opened,
    OpenedJob,
    Ping,
    Pong,
    Result,
    Status,
    ToAgent,
    Watch,
    Watched,
)

RUNNING = LifeCycle(state="running")
JOBS = [f"{number:064x}" for number in range(3)]


def digest(job: str, serial: int) -> str:
    return f"{int(job, 16):032x}{serial:032x}"


def ref(job: str, serial: int, count: int = 1, size: int = 1_000) -> QueuedBatch:
    return QueuedBatch(
        id=serial, count=count, raw=10, gaps=0, start=serial, end=serial, digest=digest(job, serial), size=size
    )


class Cloud:
    """Store as ingest does: compare-and-set on the tip."""

    def __init__(self) -> None:
        self.stored: dict[str, list[tuple[int, QueuedBatch]]] = {}
        self.names: dict[str, str] = {}

    def tip(self, job: str) -> int:
        stored = self.stored.get(job)
        return stored[-1][0] + stored[-1][1].count - 1 if stored else 0

    def open(self, message: Open) -> Opened:
        jobs = []
        for entry in message.jobs:
            self.names[entry.job] = entry.container.name
            stored = self.stored.get(entry.job)
            last = stored[-1] if stored else None
            jobs.append(
                OpenedJob(
                    job=entry.job,
                    tip=self.tip(entry.job),
                    digest=last[1].digest if last else None,
                    first=last[0] if last else None,
                    cursor=str(last[1].id) if last else None,
                )
            )
        return Opened(id=message.id, jobs=jobs)

    def ingest(self, ship: SendBatches, sent: dict[str, QueuedBatch]) -> Ingested:
        results = []
        for job, _ in ship.batches:
            batch = sent[job]
            assert batch.first is not None
            tip = self.tip(job)
            if batch.first <= tip:
                same = (batch.first, batch.digest) in [(first, old.digest) for first, old in self.stored[job]]
                results.append(Result(job=job, first=batch.first, outcome="duplicate" if same else "conflict", tip=tip))
            elif batch.first == tip + 1:
                self.stored.setdefault(job, []).append((batch.first, batch))
                results.append(Result(job=job, first=batch.first, outcome="stored", tip=tip + batch.count))
            else:
                results.append(
                    Result(
                        job=job, first=batch.first, outcome="rejected", reason="out_of_sequence", retry=True, tip=tip
                    )
                )
        return Ingested(id=ship.id, results=results)


class SessionHarness:
    """Run the session's effects: a spool that survives crashes, and frames in transit both ways."""

    def __init__(self, cloud: Cloud, seed: int = 0) -> None:
        self.cloud, self.rng = cloud, Random(seed)
        self.now = 0.0
        self.spool: dict[str, list[QueuedBatch]] = {job: [] for job in JOBS}
        self.tips: dict[str, tuple[int, str | None]] = dict.fromkeys(JOBS, (0, None))
        self.read: dict[str, int] = dict.fromkeys(JOBS, 0)
        """Serials made so far: batch k of a job is the k-th part of its log."""
        self.up: list[tuple[int, Effect, dict[str, QueuedBatch]]] = []
        self.down: list[tuple[int, ToAgent]] = []
        self.link = 0
        self.names = dict.fromkeys(JOBS, "")
        self.lives = dict.fromkeys(JOBS, RUNNING)
        self.others: list[Effect] = []
        self.start()

    def start(self) -> None:
        """Start (again, after a crash) from the spool only."""
        self.session = Session("engine", Random(self.rng.random()))
        self.up, self.down = [], []
        for job in JOBS:
            tip, tip_digest = self.tips[job]
            state = JobRecord(job, Container(name=self.names[job]), self.lives[job], tip=tip, digest=tip_digest)
            state.queue.extend(replace(stored) for stored in self.spool[job])
            self.session.add(state, self.now)
        self.carry_out()

    def connect(self) -> None:
        self.link += 1
        self.session.connected(self.link, self.now)
        self.carry_out()

    def cut(self) -> None:
        self.down = [(link, message) for link, message in self.down if link != self.link]
        self.up = [frame for frame in self.up if frame[0] != self.link]
        self.session.lost(self.link, self.now)
        self.carry_out()

    def make(self, job: str, count: int = 1) -> None:
        self.read[job] += 1
        made = ref(job, self.read[job], count)
        self.spool[job].append(replace(made))
        self.session.enqueue(job, made, self.now)
        self.carry_out()

    def rename(self, job: str, name: str) -> None:
        self.names[job] = name
        self.session.change(job, Container(name=name), RUNNING, self.now)
        self.carry_out()

    def carry_out(self) -> None:
        for effect in self.session.effects():
            match effect:
                case SendBatches():
                    for job, batch in effect.batches:
                        assert self.spool[job][0].id == batch.id, "only the head of a queue is sent"
                        assert self.spool[job][0].first in {None, batch.first}, "a sequence is never given twice"
                        self.spool[job][0].first = batch.first
                    self.up.append((effect.link, effect, {job: replace(batch) for job, batch in effect.batches}))
                case SendMessage():
                    self.up.append((effect.link, effect, {}))
                case Acknowledged():
                    for batch in effect.batches:
                        assert self.spool[effect.job][0].id == batch.id
                        gone = self.spool[effect.job].pop(0)
                        self.tips[effect.job] = (self.tips[effect.job][0] + gone.count, gone.digest)
                case Reread():
                    self.spool[effect.job].clear()
                    self.tips[effect.job] = (effect.tip, effect.digest)
                    self.read[effect.job] = int(effect.cursor or 0)
                    self.others.append(effect)
                case _:
                    self.others.append(effect)

    def arrive(self, index: int, *, answered: bool = True) -> None:
        """Deliver a frame to the cloud, not necessarily the oldest; its answer may be lost."""
        link, effect, sent = self.up.pop(index % len(self.up))
        match effect:
            case SendBatches():
                answer: ToAgent = self.cloud.ingest(effect, sent)
            case SendMessage(message=Open() as message):
                answer = self.cloud.open(message)
            case SendMessage(message=Status() as message):
                answer = Noted(id=message.id)
            case SendMessage(message=Ping() as message):
                answer = Pong(id=message.id)
        if answered:
            self.down.append((link, answer))

    def receive(self, index: int, *, again: bool = False) -> None:
        """Deliver an answer to the agent, not necessarily the oldest, perhaps to be repeated."""
        link, message = self.down[index % len(self.down)]
        if not again:
            self.down.remove((link, message))
        self.session.received(link, message, self.now)
        self.carry_out()

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.session.advance(self.now)
        self.carry_out()

    def drain(self) -> None:
        """Deliver everything in transit over the current connection."""
        while self.up or self.down:
            if self.up:
                self.arrive(0)
            else:
                self.receive(0)

    def settle(self) -> None:
        """Let everything work from now on, until nothing is left to do."""
        self.connect()
        for _ in range(2_000):
            if self.up:
                self.arrive(0)
            elif self.down:
                self.receive(0)
            elif any(self.spool.values()) or self.cloud.names != self.names:
                self.advance(5.0)
            else:
                return
        raise AssertionError("it never settles")


def opened() -> SessionHarness:
    shell = SessionHarness(Cloud())
    shell.settle()
    return shell


actions = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("make", "arrive", "arrive", "lose", "receive", "receive", "again"),
                *("cut", "connect", "crash", "advance", "rename"),
            ]
        ),
        st.integers(0, 5),
        st.integers(1, 3),
    ),
    max_size=120,
)


@given(actions, st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_stored_entries_equal_read_entries_over_an_unreliable_link(
    script: list[tuple[str, int, int]], seed: int
) -> None:
    """Invariant 1: any order of acknowledgement, loss, repeat, cut, crash, timeout and second connection."""
    shell = SessionHarness(Cloud(), seed)
    for action, index, size in script:
        if action == "make":
            shell.make(JOBS[index % len(JOBS)], size)
        elif action in {"arrive", "lose"} and shell.up:
            shell.arrive(index, answered=action == "arrive")
        elif action in {"receive", "again"} and shell.down:
            shell.receive(index, again=action == "again")
        elif action == "rename":
            shell.rename(JOBS[index % len(JOBS)], f"name {size}")
        elif action == "cut":
            shell.cut()
        elif action == "connect":
            shell.connect()
        elif action == "crash":
            shell.start()
        elif action == "advance":
            shell.advance(size * 4.0)
    shell.settle()
    assert shell.cloud.names == shell.names
    for job in JOBS:
        stored = shell.cloud.stored.get(job, [])
        assert [batch.id for _, batch in stored] == list(range(1, shell.read[job] + 1))
        next_first = 1
        for first, batch in stored:
            assert first == next_first
            next_first += batch.count
    assert not [effect for effect in shell.others if isinstance(effect, Reread)]


def test_table_names_every_phase() -> None:
    """Every event causes a transition."""
    assert set(TRANSITIONS) == set(JobState)
    assert {event for row in TRANSITIONS.values() for event in row} == set(JobEvent)


def test_at_most_one_batch_of_a_job_is_unacknowledged() -> None:
    """Invariant 4, while many jobs share an envelope."""
    shell = opened()
    shell.make(JOBS[0])
    shell.make(JOBS[0])
    shell.make(JOBS[1])
    ships = [effect for _, effect, _ in shell.up if isinstance(effect, SendBatches)]
    assert [[job for job, _ in ship.batches] for ship in ships] == [[JOBS[0]], [JOBS[1]]]


def test_several_jobs_share_an_envelope_while_they_fit() -> None:
    """32,768 bytes: three batches of 15,000 take two."""
    shell = SessionHarness(Cloud())
    for job in JOBS:
        big = ref(job, 1, size=15_000)
        shell.spool[job].append(replace(big))
    shell.start()
    shell.connect()
    shell.arrive(0)
    shell.receive(0)
    ships = [effect for _, effect, _ in shell.up if isinstance(effect, SendBatches)]
    assert [len(ship.batches) for ship in ships] == [2, 1]


def test_late_answer_still_counts() -> None:
    """A slow cloud must not make the agent resend forever."""
    shell = opened()
    shell.make(JOBS[0])
    shell.arrive(0)
    shell.advance(11.0)
    shell.receive(0)
    assert shell.spool[JOBS[0]] == []


def test_late_answer_does_not_count_for_a_later_batch() -> None:
    """It is matched to the batch that its request carried."""
    shell = opened()
    shell.make(JOBS[0])
    shell.make(JOBS[0])
    shell.arrive(0)  # stored; its answer is slow
    shell.advance(11.0)
    shell.advance(31.0)
    shell.arrive(0)
    shell.receive(1)  # the answer to the second try: `duplicate`
    assert [batch.id for batch in shell.spool[JOBS[0]]] == [2]
    shell.receive(0)
    assert [batch.id for batch in shell.spool[JOBS[0]]] == [2]
    shell.settle()
    assert [batch.id for _, batch in shell.cloud.stored[JOBS[0]]] == [1, 2]


def test_lost_spool_adopts_the_clouds_sequence_and_cursor() -> None:
    """Reconciliation after a lost spool."""
    shell = opened()
    for _ in range(3):
        shell.make(JOBS[0])
    shell.settle()
    fresh = SessionHarness(shell.cloud)
    fresh.make(JOBS[0])  # read again from the start, before the cloud gave its position
    fresh.settle()
    (reread,) = [effect for effect in fresh.others if isinstance(effect, Reread)]
    assert (reread.tip, reread.cursor, reread.cause) == (3, "3", "spool_lost")
    assert len(fresh.cloud.stored[JOBS[0]]) == 3


def test_spool_behind_by_its_queue_continues_with_the_rest() -> None:
    """Power failed after the cloud stored two batches, before the spool knew."""
    shell = opened()
    for _ in range(2):
        shell.make(JOBS[0])
    rolled_back = [replace(batch, first=None) for batch in shell.spool[JOBS[0]]]
    shell.settle()
    again = SessionHarness(shell.cloud)
    again.spool[JOBS[0]] = [*rolled_back, ref(JOBS[0], 3)]
    again.read[JOBS[0]] = 3
    again.start()
    again.settle()
    assert [batch.id for _, batch in shell.cloud.stored[JOBS[0]]] == [1, 2, 3]
    assert not [effect for effect in again.others if isinstance(effect, Reread)]


def test_conflict_adopts_the_clouds_state_and_never_overwrites() -> None:
    """Another agent stored something else at the same sequence."""
    shell = opened()
    shell.make(JOBS[0])
    other = replace(ref(JOBS[1], 77, count=2), first=1)
    shell.cloud.stored[JOBS[0]] = [(1, other)]
    shell.settle()
    (reread,) = [effect for effect in shell.others if isinstance(effect, Reread)]
    assert (reread.tip, reread.cursor, reread.cause) == (2, "77", "conflict")
    assert shell.cloud.stored[JOBS[0]] == [(1, other)]


def test_cloud_that_lost_data_receives_it_again() -> None:
    """The tip went back: reading continues from the cloud's cursor."""
    shell = opened()
    for _ in range(3):
        shell.make(JOBS[0])
    shell.settle()
    del shell.cloud.stored[JOBS[0]][1:]
    shell.start()
    shell.settle()
    (reread,) = [effect for effect in shell.others if isinstance(effect, Reread)]
    assert (reread.tip, reread.cursor, reread.cause) == (1, "1", "cloud_lost")


def test_ended_job_is_reread_before_it_is_forgotten_when_the_cloud_lost_data() -> None:
    """The tip went back to the one of the last confirmed status, and the job has ended."""
    shell = opened()
    shell.make(JOBS[0])
    shell.drain()
    end(shell)
    shell.make(JOBS[0])
    shell.drain()
    shell.cut()
    shell.session.end(JOBS[0], shell.now)
    shell.carry_out()
    del shell.cloud.stored[JOBS[0]][1:]
    shell.connect()
    shell.arrive(0)
    shell.receive(0)
    assert [type(effect) for effect in shell.others] == [Reread]
    assert JOBS[0] in shell.session.jobs
    shell.drain()
    assert Forget(JOBS[0]) in shell.others


def sent_open(shell: SessionHarness) -> Open:
    """Take the last frame that was sent, which is an `open`."""
    (_, effect, _) = shell.up.pop()
    assert isinstance(effect, SendMessage)
    assert isinstance(effect.message, Open)
    return effect.message


def answer(shell: SessionHarness, **fields: Any) -> None:
    """Answer the only envelope in transit with one result."""
    (ship,) = [effect for _, effect, _ in shell.up if isinstance(effect, SendBatches)]
    shell.up.clear()
    ((job, batch),) = ship.batches
    result = Result(job=job, first=batch.first, **fields)
    shell.session.received(shell.link, Ingested(id=ship.id, results=[result]), shell.now)
    shell.carry_out()


def test_permanently_refused_batch_is_set_aside_and_a_gap_takes_its_sequence() -> None:
    """It is not retried and does not block what follows."""
    shell = opened()
    shell.make(JOBS[0])
    answer(shell, outcome="rejected", reason="malformed", retry=False)
    (aside,) = [effect for effect in shell.others if isinstance(effect, SetAside)]
    aside.batch.gap, aside.batch.digest = True, digest(JOBS[0], 99)
    shell.session.replace_queue(JOBS[0], shell.session.jobs[JOBS[0]].queue, shell.now)
    shell.carry_out()
    shell.make(JOBS[0])
    shell.settle()
    assert [(first, batch.digest) for first, batch in shell.cloud.stored[JOBS[0]]] == [
        (1, digest(JOBS[0], 99)),
        (2, digest(JOBS[0], 2)),
    ]


def test_job_whose_gap_is_refused_too_is_parked() -> None:
    """The bytes are not the problem."""
    shell = opened()
    shell.make(JOBS[0])
    shell.session.jobs[JOBS[0]].queue[0].gap = True
    answer(shell, outcome="rejected", reason="quota", retry=False)
    assert [effect.reason for effect in shell.others if isinstance(effect, Park)] == ["quota"]
    assert shell.session.jobs[JOBS[0]].state is JobState.PARKED
    shell.advance(PARKED_S)
    assert shell.session.jobs[JOBS[0]].state is JobState.OPENING
    shell.settle()
    assert shell.cloud.tip(JOBS[0]) == 1


def test_deleted_job_is_dropped_and_forgotten_at_its_end() -> None:
    """The cloud will never accept it again."""
    shell = opened()
    shell.make(JOBS[0])
    answer(shell, outcome="rejected", reason="deleted", retry=False)
    assert [effect for effect in shell.others if isinstance(effect, Discard)] == [Discard(JOBS[0])]
    shell.session.end(JOBS[0], shell.now)
    shell.carry_out()
    assert Forget(JOBS[0]) in shell.others


def test_retryable_rejection_is_resent_unchanged() -> None:
    """Same bytes, same sequence, after a backoff."""
    shell = opened()
    shell.make(JOBS[0])
    answer(shell, outcome="rejected", reason="throttled", retry=True)
    shell.advance(31.0)
    (ship,) = [effect for _, effect, _ in shell.up if isinstance(effect, SendBatches)]
    assert [(job, batch.id, batch.first) for job, batch in ship.batches] == [(JOBS[0], 1, 1)]


def test_slow_down_is_obeyed() -> None:
    """Nothing is sent before the time is over."""
    shell = opened()
    shell.make(JOBS[0])
    shell.make(JOBS[0])
    (ship,) = [effect for _, effect, _ in shell.up if isinstance(effect, SendBatches)]
    shell.up.clear()
    result = Result(job=JOBS[0], first=1, outcome="stored")
    shell.session.received(shell.link, Ingested(id=ship.id, results=[result], slow_down=2_000), shell.now)
    shell.carry_out()
    assert shell.up == []
    shell.advance(1.9)
    assert shell.up == []
    shell.advance(0.2)
    assert len(shell.up) == 1


def test_unresponsive_connection_is_closed() -> None:
    """A dead peer may still accept bytes."""
    shell = opened()
    for _ in range(SILENT_TIMEOUTS):
        shell.make(JOBS[0]) if not shell.spool[JOBS[0]] else None
        shell.up.clear()
        shell.advance(11.0)
        shell.up.clear()
        shell.advance(31.0)
    assert [effect.link for effect in shell.others if isinstance(effect, CloseConnection)] == [shell.link]
    assert not shell.session.online


def test_second_connection_takes_over_without_losing_batches_in_flight() -> None:
    """Make before break: the old one closes once its answers have arrived."""
    shell = opened()
    shell.make(JOBS[0])
    old = shell.link
    shell.connect()
    assert not [effect for effect in shell.others if isinstance(effect, CloseConnection)]
    shell.settle()
    assert next(effect.link for effect in shell.others if isinstance(effect, CloseConnection)) == old
    assert shell.cloud.tip(JOBS[0]) == 1


def test_expired_credential_closes_the_connection() -> None:
    """The next handshake reports it."""
    shell = opened()
    shell.session.received(shell.link, Error(code="unauthorized", message="revoked"), shell.now)
    shell.carry_out()
    assert CloseConnection(shell.link, "unauthorized") in shell.others


def test_ping_is_sent_every_four_minutes() -> None:
    """Against the 10-minute idle limit."""
    shell = opened()
    shell.advance(PING_EVERY_S)
    assert [effect.message.type for _, effect, _ in shell.up if isinstance(effect, SendMessage)] == ["ping"]


def test_watch_lasts_for_its_stated_time() -> None:
    """By `watch`, and by the answer to `open`."""
    shell = opened()
    shell.session.received(shell.link, Watch(job=JOBS[0], ttl=5_000, interval=250), shell.now)
    assert shell.session.watched(JOBS[0], shell.now + 4.9)
    assert not shell.session.watched(JOBS[0], shell.now + 5.1)
    assert shell.session.jobs[JOBS[0]].interval_s == 0.25
    fresh = SessionHarness(Cloud())
    fresh.connect()
    effect = sent_open(fresh)
    answers = [OpenedJob(job=job, watched=Watched(ttl=1_000, interval=0)) for job in JOBS]
    fresh.session.received(fresh.link, Opened(id=effect.id, jobs=answers), fresh.now)
    assert fresh.session.watched(JOBS[0], fresh.now + 0.9)


def statuses(shell: SessionHarness) -> list[Status]:
    return [e.message for _, e, _ in shell.up if isinstance(e, SendMessage) and isinstance(e.message, Status)]


def test_state_change_is_reported_at_once_and_growth_every_five_minutes() -> None:
    """`status`, PROTOCOL.md."""
    shell = opened()
    shell.make(JOBS[0])
    shell.settle()
    assert statuses(shell) == []
    shell.advance(STATUS_EVERY_S + 1)
    assert [(job.job, job.tip) for status in statuses(shell) for job in status.jobs] == [(JOBS[0], 1)]
    shell.settle()
    shell.session.change(JOBS[0], Container(), LifeCycle(state="exited", exit_code=1), shell.now)
    shell.carry_out()
    assert [job.life.exit_code for status in statuses(shell) for job in status.jobs] == [1]


def reported(shell: SessionHarness) -> list[int]:
    """Return the tips of the statuses in transit."""
    return [job.tip for message in statuses(shell) for job in message.jobs]


def end(shell: SessionHarness) -> None:
    """End the first job's container, and let the cloud know."""
    shell.lives[JOBS[0]] = LifeCycle(state="exited", exit_code=1)
    shell.session.change(JOBS[0], Container(), shell.lives[JOBS[0]], shell.now)
    shell.carry_out()
    shell.drain()


def test_growth_after_a_containers_exit_is_reported_once_a_second() -> None:
    """A backlog is many batches: a status after each would cost as much as they do."""
    shell = opened()
    shell.make(JOBS[0])
    shell.drain()
    end(shell)
    for _ in range(4):
        shell.make(JOBS[0])
        shell.drain()
    assert reported(shell) == []
    shell.advance(ENDED_STATUS_S)
    assert reported(shell) == [5]
    shell.drain()
    shell.make(JOBS[0])
    shell.drain()
    assert reported(shell) == []
    shell.advance(ENDED_STATUS_S)
    assert reported(shell) == [6]
    shell.drain()
    shell.advance(2 * STATUS_EVERY_S)
    assert reported(shell) == []


def test_growth_during_a_status_in_transit_is_reported_after_it() -> None:
    """Also if the time for it came meanwhile."""
    shell = opened()
    end(shell)
    shell.make(JOBS[0])
    shell.drain()
    shell.advance(ENDED_STATUS_S)
    shell.make(JOBS[0])
    shell.arrive(1)
    shell.receive(0)
    shell.advance(ENDED_STATUS_S)
    assert reported(shell) == [1]
    shell.drain()
    shell.advance(ENDED_STATUS_S)
    assert reported(shell) == [2]


def test_unanswered_status_is_resent() -> None:
    """Within the timeout of any other request."""
    shell = opened()
    end(shell)
    shell.make(JOBS[0])
    shell.drain()
    shell.advance(ENDED_STATUS_S)
    shell.arrive(0, answered=False)
    for _ in range(30):
        shell.advance(1.0)
    assert reported(shell) == [1]


def test_unreported_end_is_reported_by_the_next_agent() -> None:
    """The agent before exited first."""
    shell = opened()
    end(shell)
    shell.make(JOBS[0])
    shell.drain()
    shell.start()
    shell.connect()
    shell.drain()
    shell.advance(ENDED_STATUS_S)
    assert reported(shell) == [1]


def test_exiting_agent_reports_what_is_unreported() -> None:
    """Its host may be gone for good; a status in transit need not be resent."""
    shell = opened()
    for job in JOBS[:2]:
        shell.make(job)
    shell.drain()
    end(shell)
    shell.session.report_before_exit(shell.now)
    shell.carry_out()
    assert [(job.job, job.tip) for message in statuses(shell) for job in message.jobs] == [(JOBS[1], 1)]
    shell.make(JOBS[1])
    shell.arrive(1)
    shell.receive(0)
    shell.up.clear()
    shell.session.report_before_exit(shell.now)
    shell.carry_out()
    assert [(job.job, job.tip) for message in statuses(shell) for job in message.jobs] == [(JOBS[1], 2)]
    shell.up.clear()
    shell.session.report_before_exit(shell.now)
    shell.carry_out()
    assert statuses(shell) == []


def test_renamed_container_is_reported_at_once_and_once() -> None:
    """Only an `open` describes a job's container; messages in transit are not disturbed."""
    shell = opened()
    shell.make(JOBS[0])
    shell.rename(JOBS[0], "other")
    shell.rename(JOBS[1], "another")
    opens = [
        effect.message
        for _, effect, _ in shell.up
        if isinstance(effect, SendMessage) and isinstance(effect.message, Open)
    ]
    assert [entry.container.name for message in opens for entry in message.jobs] == ["another"]
    while shell.up or shell.down:
        if shell.up:
            shell.arrive(0)
        else:
            shell.receive(0)
    assert shell.cloud.names == {JOBS[0]: "other", JOBS[1]: "another", JOBS[2]: ""}
    assert shell.cloud.tip(JOBS[0]) == 1
    shell.rename(JOBS[1], "another")
    assert shell.up == []


def test_ended_job_is_forgotten_when_all_is_stored_and_reported() -> None:
    """Not before."""
    shell = opened()
    shell.make(JOBS[0])
    shell.session.change(JOBS[0], Container(), LifeCycle(state="removed"), shell.now)
    shell.session.end(JOBS[0], shell.now)
    shell.carry_out()
    assert Forget(JOBS[0]) not in shell.others
    shell.settle()
    for _ in range(20):
        if shell.up:
            shell.arrive(0)
        elif shell.down:
            shell.receive(0)
    assert Forget(JOBS[0]) in shell.others
    assert JOBS[0] not in shell.session.jobs


def test_job_that_may_not_be_opened_does_not_block_the_others() -> None:
    """It is parked; the rest continues."""
    shell = SessionHarness(Cloud())
    shell.make(JOBS[0])
    shell.make(JOBS[1])
    shell.connect()
    effect = sent_open(shell)
    answers = [OpenedJob(job=JOBS[0], error="forbidden", message="no"), OpenedJob(job=JOBS[1]), OpenedJob(job=JOBS[2])]
    shell.session.received(shell.link, Opened(id=effect.id, jobs=answers), shell.now)
    shell.carry_out()
    assert shell.session.jobs[JOBS[0]].state is JobState.PARKED
    shell.arrive(0)
    assert shell.cloud.tip(JOBS[1]) == 1


@pytest.mark.parametrize("message", [None, Error(code="internal", message="?"), Noted(id="x"), Pong(id="y")])
def test_unrelated_messages_are_ignored(message: object) -> None:
    """API Gateway's own errors, and answers without a request."""
    shell = opened()
    shell.session.received(shell.link, message, shell.now)  # type: ignore[arg-type]
    shell.session.received(99, Ingested(id="z", results=[]), shell.now)
    shell.session.received(99, Watch(job="f" * 64, ttl=1, interval=1), shell.now)
    shell.make(JOBS[0])
    shell.settle()
    assert shell.cloud.tip(JOBS[0]) == 1
