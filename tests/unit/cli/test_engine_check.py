"""Test how the command reads an engine beside a stored job, and what it says of the two."""

from collections.abc import Iterator, Sequence

import pytest

from logferry_cli import engine_check
from logferry_cli.engine_check import EngineCheck
from logferry_cli.engine_log import EngineContainer, EngineLog
from logferry_cli.reader import Damaged
from logferry_protocol.batch import Columns, encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.messages import BatchFacts

ASKED = 1_000_000


class FakeLog(EngineLog):
    """An engine's log of lines of stdout, ten microseconds apart."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.about = EngineContainer(
            "host (Docker 26)", "json-file", "max-size=1m", running=True, tty=False, asked=ASKED
        )
        self.errors = ["evil\x1b[2J"]
        self._texts = texts

    def newest(self) -> int | None:
        return 10 * len(self._texts) or None

    def entries(self) -> Iterator[Columns]:
        for at in range(0, len(self._texts), 2):
            texts = self._texts[at : at + 2]
            yield Columns([10 * (at + number + 1) for number in range(len(texts))], "o" * len(texts), texts)


def batch(first: int, texts: Sequence[str], *, time: int | None = None) -> BatchFacts:
    times = [time or 10 * (first + at) for at in range(len(texts))]
    body = encode_body(times, "o" * len(texts), texts)
    return BatchFacts(
        first=first, count=len(texts), start=times[0], end=times[-1], raw=sum(map(len, texts)), digest=digest_of(body),
        body=body,
    )  # fmt: skip


async def checked(texts: Sequence[str], *batches: BatchFacts | Damaged) -> EngineCheck:
    log = FakeLog(texts)
    check = EngineCheck(log, log.newest())
    for one in batches:
        await check.take(one)
    await check.finish()
    return check


async def test_differences_are_named_with_time_entry_and_text() -> None:
    check = await checked(
        ["a", "b\x1b[2J", "c", "d", "e"], batch(1, ["a"]), batch(3, ["C"]), batch(5, ["e", "forged"], time=50)
    )
    text = list(check.lines())
    assert not check.same
    assert "✗ missing: 1 lines of stdout, 1970-01-01T00:00:00.000020Z, after entry 1; the first: b␛[2J" in text
    assert "✗ changed: stdout at 1970-01-01T00:00:00.000030Z, entry 3: the engine has 'c', stored is 'C'" in text
    assert text[-1] == "✗ 2 lines are missing, 1 are not in the engine, 1 are changed"
    assert "the engine says: evil␛[2J" in text
    document = check.document()
    assert (document["same"], document["missing_lines"], document["engine"]) == (False, 2, "host (Docker 26)")


async def test_everything_that_is_stored_is_the_same() -> None:
    check = await checked(["a", "b"], batch(1, ["a", "b"]), batch(3, ["later"], time=ASKED + 1))
    assert check.same
    assert list(check.lines())[-1] == "✓ the same: everything that the engine still has is stored"
    assert "not compared: 1 stored lines were written after the engine was asked" in list(check.lines())


async def test_unreadable_batch_explains_what_is_missing() -> None:
    """The command itself reports the batch."""
    check = await checked(["a", "b", "c"], batch(1, ["a"]), Damaged(2, 2, "zstd"), batch(3, ["c"]))
    assert check.same
    assert check.comparison.found.explained == {"entries 2 to 2 cannot be read": 1}


async def test_container_without_a_line_has_nothing_missing() -> None:
    check = await checked([])
    assert check.same
    assert "the engine has no line of the container (any more)" in list(check.lines())


async def test_newest_line_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent sends it within its flush interval."""
    monkeypatch.setattr(engine_check, "WAIT_STEP_S", 0.0)
    log = FakeLog(["a", "b"])
    check = EngineCheck(log, log.newest())
    await check.take(batch(1, ["a"]))
    assert await check.waits()
    await check.take(batch(2, ["b"]))
    assert not await check.waits()
    check = EngineCheck(log, log.newest())
    monkeypatch.setattr(check, "_until", 0.0)
    assert not await check.waits()
