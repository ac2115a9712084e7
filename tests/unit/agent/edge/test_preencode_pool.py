"""Test `edge/preencode_pool.py`: a second process that may end at any moment without data loss."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.docker_log import START
from tests.support.preencoding import assert_ended, file_of, has_worker, plain_records, take_all, worker_of

from logferry_agent.core.batching.preencode import PreencodeRequest
from logferry_agent.core.parsing.fragments import StreamPositions
from logferry_agent.core.redaction.redaction import REDACTED, Redaction
from logferry_agent.edge.preencode_pool import PreencodePool
from logferry_protocol.batch import decode_body

MUCH = plain_records(20_000, START)
"""About 4 MB: encoded, more than the socket between the processes holds."""
LITTLE = MUCH[: 1024 * 1024 - 1]


@pytest.fixture(name="fd", scope="module")
def _fd() -> Iterator[int]:
    with file_of(MUCH) as fd:
        yield fd


@pytest.fixture(name="pool")
def _pool() -> Iterator[PreencodePool]:
    # A test must not depend on how soon a busy machine runs another process.
    pool = PreencodePool(patience_s=60)
    yield pool
    pool.stop()


def submitted(pool: PreencodePool, fd: int, owner: object) -> bool:
    return pool.submit(owner, fd, PreencodeRequest(0, len(MUCH), StreamPositions()))


def until(condition: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.005)


def start_range(pool: PreencodePool, fd: int, owner: object) -> int:
    """Start a range, and return the process's id."""
    until(lambda: submitted(pool, fd, owner), "it is never there")
    return worker_of(pool)


def texts(pool: PreencodePool, owner: object) -> list[str]:
    return [text for batch in take_all(pool, owner) for text in decode_body(batch.body).texts]


EXPECTED = [line.split(b'"')[3].decode().removesuffix("\\n") for line in MUCH.splitlines()]


def test_range_is_encoded_once_the_process_has_started(pool: PreencodePool, fd: int) -> None:
    """Requesting before that is harmless; afterwards ranges follow one another."""
    owner, other = object(), object()
    assert not submitted(pool, fd, owner), "who asks first has it started"
    assert not pool.submit(owner, fd, PreencodeRequest(0, len(LITTLE), StreamPositions())), (
        "that is read faster than asked for"
    )
    pid = start_range(pool, fd, owner)
    found = texts(pool, owner)
    assert len(found) > len(EXPECTED) * 0.9, "all but what would not fill a batch"
    assert found == EXPECTED[: len(found)]
    assert (pool.owner, pool.plain) == (None, True)
    assert not pool.submit(owner, fd, PreencodeRequest(0, len(LITTLE), StreamPositions()))
    assert submitted(pool, fd, other), "it is free"
    assert texts(pool, other) == found
    assert worker_of(pool) == pid


def test_range_belongs_to_its_caller(pool: PreencodePool, fd: int) -> None:
    """Until it is finished, no other caller gets one."""
    owner, other = object(), object()
    start_range(pool, fd, owner)
    assert pool.take()
    assert pool.owner is owner
    assert not submitted(pool, fd, other)
    assert not submitted(pool, fd, owner)


def test_range_after_an_abandoned_one_is_the_next_one(pool: PreencodePool, fd: int) -> None:
    """Whatever of the abandoned one is still in transit."""
    owner = object()
    first = start_range(pool, fd, owner)
    pool.take()
    with file_of(plain_records(10_000, START, "other")) as another:
        pool.stop()
        assert pool.owner is None
        assert_ended(first)
        until(
            lambda: pool.submit(owner, another, PreencodeRequest(0, os.fstat(another).st_size, StreamPositions())),
            "it comes back",
        )
        assert {text.split()[0] for text in texts(pool, owner)} == {"other"}
    assert worker_of(pool) != first


@pytest.mark.parametrize("when", ["before it gave any", "after some"])
def test_killed_process_ends_the_range_and_is_replaced(pool: PreencodePool, fd: int, when: str) -> None:
    """Its earlier results count."""
    owner = object()
    pid = start_range(pool, fd, owner)
    some = pool.take() if when == "after some" else []
    before = [text for batch in some for text in decode_body(batch.body).texts]
    os.kill(pid, signal.SIGKILL)
    found = before + texts(pool, owner)
    assert found == EXPECTED[: len(found)]
    assert len(found) < len(EXPECTED)
    assert (pool.owner, pool.plain) == (None, False)
    assert_ended(pid)
    start_range(pool, fd, owner)
    again = texts(pool, owner)
    assert pool.plain
    assert again == EXPECTED[: len(again)]


def test_process_that_delays_reading_is_skipped(fd: int) -> None:
    """Its earlier results count; asked again, it would delay reading again."""
    pool = PreencodePool(patience_s=0.05)
    owner = object()
    pid = start_range(pool, fd, owner)
    os.kill(pid, signal.SIGSTOP)
    found = texts(pool, owner)
    assert found == EXPECTED[: len(found)]
    assert pool.owner is None
    assert_ended(pid)
    pool.reap()
    assert not submitted(pool, fd, owner)
    assert not has_worker(pool)


def test_process_that_ended_unseen_loses_its_range(pool: PreencodePool, fd: int) -> None:
    """Tending notices it first: no one owns a range then, and the next one starts anew."""
    owner = object()
    pid = start_range(pool, fd, owner)
    with os.fdopen(os.pidfd_open(pid)) as ended:
        os.kill(pid, signal.SIGKILL)
        select.select([ended], [], [], 30)
    pool.reap()
    assert pool.owner is None
    assert_ended(pid)


def test_idle_process_exits_and_is_restarted(fd: int) -> None:
    """Tending or the next request reaps it."""
    pool, owner = PreencodePool(idle_s=0.05), object()
    try:
        for call in ("reap", "submit"):
            pool.start()
            pid = worker_of(pool)
            with os.fdopen(os.pidfd_open(pid)) as ended:
                assert select.select([ended], [], [], 30)[0], "it does not end"
            if call == "reap":
                pool.reap()
            else:
                assert not submitted(pool, fd, owner), "its being there is old news"
            assert_ended(pid)
        start_range(pool, fd, owner)
        assert texts(pool, owner)
    finally:
        pool.stop()


def test_process_that_cannot_start_is_not_restarted_repeatedly(
    pool: PreencodePool, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog would otherwise start process after process. Tending allows another attempt now and then."""
    started: list[object] = []
    honest = subprocess.Popen

    def popen(*args: object, **more: object) -> subprocess.Popen[bytes]:
        started.append(args)
        return honest([sys.executable, "-c", ""], **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(subprocess, "Popen", popen)
    owner = object()
    assert not submitted(pool, fd, owner)
    until(lambda: not submitted(pool, fd, owner) and not has_worker(pool), "its end is not noticed")
    assert not any(submitted(pool, fd, owner) for _ in range(50))
    assert len(started) == 1
    pool.reap()
    monkeypatch.undo()
    start_range(pool, fd, owner)


def test_pool_stopped_before_its_first_request_can_be_started(pool: PreencodePool, fd: int) -> None:
    """As when the agent's pipeline restarts."""
    pool.start()
    pool.stop()
    pool.start()
    assert has_worker(pool)
    start_range(pool, fd, pool)


def test_descriptors_do_not_leak(pool: PreencodePool, fd: int) -> None:
    """In either process, for finished and abandoned ranges."""
    owner = object()

    def count(pid: int | str) -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    before = count("self")
    pid = start_range(pool, fd, owner)
    texts(pool, owner)
    here, there = count("self"), count(pid)
    for _ in range(5):
        assert submitted(pool, fd, owner)
        texts(pool, owner)
    assert (count("self"), count(pid)) == (here, there)
    start_range(pool, fd, owner)
    pool.stop()
    assert count("self") == before


AGENT = """
import os, signal, sys
from tests.support.preencoding import file_of, plain_records, take_all, worker_of
from logferry_agent.core.parsing.fragments import StreamPositions
from logferry_agent.core.batching.preencode import PreencodeRequest
from logferry_agent.edge.preencode_pool import PreencodePool

pool = PreencodePool()
# A shell that runs the tests in the background ignores SIGINT, and so do all its children.
signal.signal(signal.SIGINT, (lambda *_: None) if sys.argv[1] == "interrupted" else signal.default_int_handler)
pool.start()
print(worker_of(pool), flush=True)
data = plain_records(20_000, 1_764_000_000_000_000_000)
with file_of(data) as fd:
    if sys.argv[1] != "starting":
        while not pool.submit(pool, fd, PreencodeRequest(0, len(data), StreamPositions())):
            pass
    if sys.argv[1] == "preencoded":
        take_all(pool, pool)
    print("ready", flush=True)
    sys.stdin.readline()
    print(len(take_all(pool, pool)), pool.plain, flush=True)
    pool.stop()
"""


@pytest.fixture(name="agent")
def _agent() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Provide a process with a pool, in its own process group."""
    made: list[subprocess.Popen[str]] = []

    def start(what: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT, what],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
            cwd=Path(__file__).parents[4],
        )
        made.append(agent)
        return agent

    yield start
    for agent in made:
        agent.kill()
        agent.communicate()


@pytest.mark.parametrize("what", ["starting", "preencoding", "preencoded"])
def test_preencode_process_exits_with_the_agent(agent: Callable[[str], subprocess.Popen[str]], what: str) -> None:
    """The agent is killed while the process starts, has batches waiting, or waits for requests."""
    process = agent(what)
    assert process.stdout is not None
    with os.fdopen(os.pidfd_open(int(process.stdout.readline()))) as ended:
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert select.select([ended], [], [], 30)[0], "it goes on alone"
    assert process.communicate()[1] == "", "and it says nothing"


@pytest.mark.parametrize("what", ["starting", "interrupted"])
def test_control_c_reaches_only_the_agent(agent: Callable[[str], subprocess.Popen[str]], what: str) -> None:
    """A terminal sends it to the whole group. The preencode process ignores it without complaint."""
    process = agent(what)
    assert process.stdout is not None
    with os.fdopen(os.pidfd_open(int(process.stdout.readline()))) as ended:
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        if what == "interrupted":
            said, complaints = process.communicate("on\n")
            assert said.split()[1:] == ["True"]
        else:
            said, complaints = process.communicate()
        assert select.select([ended], [], [], 30)[0]
    assert complaints.count("Traceback") == (what != "interrupted"), "the agent's own at most"


def test_preencode_process_hides_what_a_request_names(pool: PreencodePool, fd: int) -> None:
    """Also with many patterns; when they exceed a line between processes, reading is ordinary."""
    many = tuple(f"no line has this {number} {'x' * 3_900}" for number in range(10))
    patterns = ("line (?P<secret>[0-9]+) is", *many)
    request = PreencodeRequest(0, len(MUCH), StreamPositions(), redaction=Redaction(("all",), patterns))
    owner = object()
    until(lambda: pool.submit(owner, fd, request), "it is never there")
    found = texts(pool, owner)
    assert found == [f"line {REDACTED}{line[line.index(' is') :]}" for line in EXPECTED[: len(found)]]
    assert found
    assert not pool.submit(
        owner, fd, PreencodeRequest(0, len(MUCH), StreamPositions(), redaction=Redaction((), many * 3))
    )
    assert submitted(pool, fd, owner)
    found = texts(pool, owner)
    assert found == EXPECTED[: len(found)]
    assert found


def test_process_starts_without_the_wires_models() -> None:
    """Building them takes longer than its other imports: a short backlog would be over before it is ready."""
    code = "import sys, logferry_agent.edge.preencode_worker; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
