"""Test that both sources deliver every kind of output of a real container as Docker stores it."""

from __future__ import annotations

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import Engine, limits
from tests.support.memory_sink import Log

from logferry_agent.core.parsing.log_stream import LogStreamParser
from logferry_agent.edge.docker_client import LogResponse, connect

pytestmark = pytest.mark.engine

UNUSUAL = {
    r"\r\n": "\r",
    r"10%%\r20%%\r100%%\n": "10%\r20%\r100%",
    r"\033[31mred\033[0m\n": "\x1b[31mred\x1b[0m",
    r"a\000b\001\002\n": "a\x00b\x01\x02",
    r"\t\\ \n": "\t\\ ",
    "שלום مرحبا 日本 🙂🙂\\n": "שלום مرحبا 日本 🙂🙂",
    r"\377\376 not utf-8\n": "\ufffd\ufffd not utf-8",
    r"\n": "",
}


def test_unusual_texts_are_kept(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """CRLF, carriage returns, ANSI, NUL, control characters, any script. The engine has replaced invalid UTF-8."""
    watched = watch(source)
    script = "".join(f"printf '{text}';" for text in UNUSUAL) + "printf unterminated"
    container = engine.run(script, name=prefix + "a")
    log = watched.ended(container.id)
    assert log.lines() == [*UNUSUAL.values(), "unterminated"]
    assert log.jobs[-1].life.source == source


def test_lines_of_every_length_arrive_whole(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Docker cases 8 and 28: around the engine's limit of 16 KiB, and 1 MiB; across rotated files."""
    sizes = [0, 1, 16_383, 16_384, 16_385, 32_768, 1_048_576]
    script = "".join(f"head -c {size} /dev/zero | tr '\\0' x; echo;" for size in sizes) + "echo end"
    watched = watch(source)
    container = engine.run(script, name=prefix + "a", **limits("200k", 9))
    log = watched.ended(container.id)
    assert [len(line) for line in log.lines()] == [*sizes, 3]
    assert "gap" not in log.names()


def test_streams_do_not_mix(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Docker cases 7 and 9: long lines of both streams, written concurrently."""
    half = "for i in 1 2 3 4 5 6 7 8; do head -c 40000 /dev/zero | tr '\\0' {letter}; echo; done"
    script = f"({half.format(letter='e')}) >&2 & {half.format(letter='o')}; wait"
    watched = watch(source)
    container = engine.run(script, name=prefix + "a")
    log = watched.ended(container.id)
    assert log.lines("o") == ["o" * 40_000] * 8
    assert log.lines("e") == ["e" * 40_000] * 8


def test_local_engine_answers_the_same_without_chunking(engine: Engine, prefix: str) -> None:
    """On its socket the agent asks in HTTP/1.0, which has no chunks; content is the same as in chunks."""
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; echo Ünï $i >&2; i=$((i+1)); done; printf '%70000s' x"
    container = engine.run(script, name=prefix + "a")
    container.wait()
    connection = connect(engine.host)
    path, params = f"/containers/{container.id}/logs", {"stdout": 1, "stderr": 1, "timestamps": 1}
    bare = connection.logs(str(container.id), follow=False)
    in_chunks = LogResponse(connection._get(path, params, stream=True))
    assert (bare.chunked, in_chunks.chunked) == (False, True)
    found, wanted = _read(bare), _read(in_chunks)
    assert found == wanted
    assert len(found) == 6_000 + 5
    connection.close()


def _read(response: LogResponse) -> list[tuple[str, str, str]]:
    """Return timestamp, stream and text of every fragment."""
    stream = LogStreamParser(tty=False, chunked=response.chunked)
    found: list[tuple[str, str, str]] = []
    while data := response.read():
        fragments = stream.feed(data).fragments
        found += zip(fragments.stamps, fragments.streams, fragments.texts, strict=True)
        if stream.done:
            break
    response.close()
    return found


def test_tty_is_read(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """One unmultiplexed stream; lines end with CRLF."""
    watched = watch(source)
    script = "echo one; echo two >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf bye"
    container = engine.run(script, name=prefix + "a", tty=True)
    log = watched.ended(container.id)
    assert log.lines() == ["one\r", "two\r", "x" * 40_000 + "\r", "bye"]
    assert log.jobs[-1].container.tty


@pytest.mark.parametrize("driver", ["local", "json-file", "gelf"])
def test_every_readable_driver_is_read(engine: Engine, watch: Watcher, prefix: str, driver: str) -> None:
    """Through the API where there is no json-file: `local`, and the engine's copy of a remote driver's log."""
    options = {"gelf-address": "udp://127.0.0.1:9"} if driver == "gelf" else {}
    watched = watch("auto")
    script = "for i in 1 2 3; do echo line $i; sleep 0.05; done"
    container = engine.run(script, name=prefix + "a", log_config={"type": driver, "config": options})
    log = watched.ended(container.id)
    found = log.lines()
    if driver == "gelf":
        # Case 21: the engine leaves lines out of its copy when the remote end fails; the job says so.
        assert set(found) <= {"line 1", "line 2", "line 3"}
        assert "copy" in (log.jobs[-1].life.problem or "")
    else:
        assert found == ["line 1", "line 2", "line 3"]
    assert log.jobs[-1].life.source == ("file" if driver == "json-file" else "api")


def test_unreadable_driver_is_reported(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Docker case 14: once, without asking again."""
    watched = watch("auto")
    container = engine.run("echo lost", name=prefix + "a", log_config={"type": "none", "config": {}})
    log: Log = watched.ended(container.id)
    assert log.lines() == []
    assert log.names() == ["started", "notice", "exited"]
    assert watched.sink.logs[container.id].problems
    assert log.jobs[-1].life.source == "none"
    assert "cannot be read" in (log.jobs[-1].life.problem or "")


@pytest.mark.parametrize(("source", "driver", "used"), [("file", "local", "none"), ("api", "json-file", "api")])
def test_source_can_be_forced(engine: Engine, watch: Watcher, prefix: str, source: str, driver: str, used: str) -> None:
    """`file` never falls back to the API and says so in the job; `api` ignores the files."""
    watched = watch(source)
    container = engine.run("echo one", name=prefix + "a", log_config={"type": driver, "config": {}})
    log = watched.ended(container.id)
    assert log.jobs[-1].life.source == used
    assert log.lines() == ([] if used == "none" else ["one"])
    assert log.names() == (["started", "notice", "exited"] if used == "none" else ["started", "exited"])


def test_lines_of_every_length_arrive_whole_from_the_local_driver(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Before 23.0 it does not mark a long line's end; the next timestamp does."""
    sizes = [0, 1, 16_383, 16_384, 16_385, 32_768, 40_000, 1_048_576]
    script = "".join(f"head -c {size} /dev/zero | tr '\\0' x; echo;" for size in sizes) + "echo end"
    watched = watch("auto")
    container = engine.run(script, name=prefix + "a", log_config={"type": "local", "config": {}})
    log = watched.ended(container.id)
    assert [len(line) for line in log.lines()] == [*sizes, 3]
    assert log.names() == ["started", "exited"]
