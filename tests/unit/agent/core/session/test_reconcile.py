"""Test `core/session/reconcile.py`."""

from __future__ import annotations

from collections import deque

from logferry_agent.core.session.job_record import JobRecord, QueuedBatch
from logferry_agent.core.session.reconcile import Diverged, InSync, reconcile
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import OpenedJob

JOB = "a" * 64


def ref(serial: int, first: int | None = None) -> QueuedBatch:
    return QueuedBatch(serial, 10, 100, 0, 1, 2, f"{serial:064x}", 1_000, first=first)


def job(tip: int, digest: str | None, *queue: QueuedBatch) -> JobRecord:
    return JobRecord(JOB, Container(name="c"), LifeCycle(state="running"), tip=tip, digest=digest, queue=deque(queue))


def cloud(tip: int, digest: str | None) -> OpenedJob:
    return OpenedJob(job=JOB, tip=tip, digest=digest)


def test_equal_tips_and_digests_agree() -> None:
    """Nothing to do; an unknown digest does not matter."""
    assert reconcile(job(10, "1" * 64), cloud(10, "1" * 64)) == InSync()
    assert reconcile(job(10, None), cloud(10, "1" * 64)) == InSync()
    assert reconcile(job(10, "1" * 64), cloud(10, None)) == InSync()


def test_batch_with_a_lost_answer_is_recognised_by_its_digest() -> None:
    """The cloud is ahead by exactly the head of the queue."""
    sent, waiting = ref(1, first=11), ref(2)
    assert reconcile(job(10, "f" * 64, sent, waiting), cloud(20, sent.digest)) == InSync((sent,))


def test_other_bytes_are_a_conflict() -> None:
    """At the tip, and in what was sent beyond it."""
    assert reconcile(job(10, "1" * 64), cloud(10, "2" * 64)) == Diverged("conflict")
    assert reconcile(job(10, "1" * 64, ref(1, first=11)), cloud(20, "2" * 64)) == Diverged("conflict")
    assert reconcile(job(10, "1" * 64, ref(1, first=11)), cloud(15, "2" * 64)) == Diverged("conflict")


def test_spool_that_knows_nothing_was_lost() -> None:
    """What it read again was never sent, so it is no conflict."""
    assert reconcile(job(0, None), cloud(10, "1" * 64)) == Diverged("spool_lost")
    assert reconcile(job(0, None, ref(1)), cloud(20, "1" * 64)) == Diverged("spool_lost")


def test_cloud_behind_the_spool_lost_something() -> None:
    """Its cursor still counts."""
    assert reconcile(job(10, "1" * 64), cloud(5, "2" * 64)) == Diverged("cloud_lost")
