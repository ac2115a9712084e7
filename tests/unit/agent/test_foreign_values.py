"""Test any values from engines and files: the pipeline survives, other containers' lines arrive, and 1..n holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.docker_log import START, LogFragment, frame, record
from tests.support.fake_log import FakeLog, without_waits
from tests.support.storing_cloud import StoringCloud

from logferry_agent.core.batching.cursor import UnknownCursorError, decode
from logferry_agent.core.batching.entry_sequencer import EntrySequencer
from logferry_agent.core.batching.lifecycle import RunState, unrecorded_entries
from logferry_agent.core.batching.ports import Position
from logferry_agent.core.batching.preencode import PreencodedSlice, PreencodeRequest
from logferry_agent.core.container.metadata import ContainerMetadata, from_event, from_inspect
from logferry_agent.core.parsing.engine_values import document
from logferry_agent.core.parsing.timestamps import format_stamp
from logferry_agent.core.redaction.redaction import Redaction
from logferry_agent.edge.api_source import ApiSource
from logferry_agent.edge.cloud_socket import Connected, Frame
from logferry_agent.edge.container_reader import ContainerReader, Step, TrackedSource
from logferry_agent.edge.docker_client import ContainerGoneError, DockerClient
from logferry_agent.edge.file_source import FileSource
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.preencode_pool import PreencodePool
from logferry_agent.edge.preencode_worker import encode_stretch, with_length
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_protocol.messages import OpenJob

GOOD, BAD = "a" * 64, "b" * 64
LINES = [f"line {number}" for number in range(40)]

STAMPS = st.one_of(
    st.sampled_from(
        [
            "1969-12-31T23:59:59.500806665Z",
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "0000-12-31T23:59:59.999999999Z",
            "9999-12-31T23:59:59.999999999Z",
            "9999-12-31T23:59:59.999999999-23:59",
            "2255-06-05T23:47:34.740991999Z",
            "2026-11-23T10:00:00.123456xxxZ",
            "2026-13-45T10:00:00.000000000Z",
            "2026-11-23T10:00:00.5+01:00",
            "2026-W47-1T10:00:00.123456789Z",
            "2026-11-23T24:00:60.123456789Z",
        ]
    ),
    st.integers(-(10**20), 10**21).map(format_stamp),
    st.text(max_size=35),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=30) | STAMPS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)


def odd_record(stamp: Any, text: Any, stream: Any) -> bytes:
    return json.dumps({"log": text, "stream": stream, "time": stamp}).encode() + b"\n"


ODD_TEXTS = ["odd\n", "prompt", "x" * 16_384, "\ud800\n", "\x00\n"]
ODD_RECORDS = st.one_of(
    st.builds(
        odd_record, STAMPS, st.sampled_from(["odd\n", "prompt", "x" * 16_384, "\ud800\n", "\x00\n"]), st.just("stdout")
    ),
    st.builds(odd_record, STAMPS, st.just("odd\n"), st.just("stderr")),
    st.builds(odd_record, JSON, JSON, JSON),
    st.binary(max_size=60).map(lambda data: data + b"\n"),
    st.builds(lambda stamp, cut: odd_record(stamp, "odd\n", "stdout")[:cut], STAMPS, st.integers(0, 60)),
)


def odd_frame(kind: int, stamp: str, text: bytes) -> bytes:
    payload = stamp.encode("utf-8", "surrogatepass") + b" " + text
    return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


ODD_FRAMES = st.builds(
    odd_frame,
    st.integers(0, 3),
    STAMPS,
    st.sampled_from([b"odd\n", b"prompt", b"x" * 16_384, b"\xff\xed\xa0\x80\n", b""]),
)
ODD_BYTES = st.one_of(
    st.binary(max_size=60), st.builds(lambda stamp: stamp.encode("utf-8", "surrogatepass") + b" odd\r\n", STAMPS)
)


class InProcessPool(PreencodePool):
    """Preencode at once in this process. The messages are encoded and decoded as between two processes."""

    def submit(self, owner: object, fd: int, request: PreencodeRequest) -> bool:
        if self.owner is not None:
            return False
        request = self._through(request, PreencodeRequest)
        self._found = [self._through(answer, PreencodedSlice | bool) for answer in encode_stretch(fd, request)]
        self.owner, self.plain = owner, False
        return True

    def take(self) -> list[PreencodedSlice]:
        *found, self.plain = self._found
        self.owner = None
        return found

    @staticmethod
    def _through(message: Any, kind: Any) -> Any:
        return msgspec.msgpack.decode(with_length(message)[4:], type=kind)


class AgentHarness:
    """The agent without its threads: source readers, the pipeline, and a cloud that refuses invalid messages."""

    def __init__(self, folder: Path) -> None:
        self.cloud = StoringCloud()
        self.spool = Spool(folder / "spool", "engine")
        self.pipeline = Pipeline(self.spool, "engine", PipelineSettings(flush_interval=0.0), Metrics())
        self.pipeline.attach(self.cloud, self)
        self.pipeline.post(Connected(1))
        self.readings: dict[str, ContainerReader] = {}
        self.now = 10.0

    def start(self, sink: object) -> None: ...
    def stop(self) -> None: ...

    def reread(self, job_id: str, position: Position) -> None:
        self.readings[job_id].move(position)

    def read(self, container: str, source: Callable[[ContainerMetadata, EntrySequencer], TrackedSource]) -> None:
        described = from_event(container, {"name": container[:3]}, "h", START)
        reading = self.readings[container] = ContainerReader(described, source, fresh=True)
        reading.move(self.pipeline.intake.job_appeared(reading.job))

    def run(self) -> None:
        """Run until everything is read and stored."""
        for _ in range(400):
            steps = [reading.step(self.pipeline.intake, 1 << 16) for reading in self.readings.values()]
            self.now += 0.3
            self.pipeline.turn(self.now)
            answers = self.cloud.answers()
            for answer in answers:
                self.pipeline.post(Frame(1, answer))
            if not answers and set(steps) == {Step.IDLE} and self.pipeline._drained:
                break
        assert all(buffer.failures == 0 for buffer in self.pipeline.buffers.values()), "isolated, and not even needed"

    def close(self) -> None:
        for reading in self.readings.values():
            reading.close()
        self.spool.close()


def files(folder: Path, logs: dict[str, bytes], *, pool: PreencodePool | None = None) -> AgentHarness:
    """Read both logs from their files."""
    rig = AgentHarness(folder)
    for container, data in logs.items():
        path = folder / container / f"{container}-json.log"
        path.parent.mkdir()
        path.write_bytes(data)

        def source(_: ContainerMetadata, sequencer: EntrySequencer, path: Path = path) -> FileSource:
            made = FileSource(path, sequencer, pool=pool, redaction=Redaction())
            made._slice = 400
            return made

        rig.read(container, source)
    return rig


def kept(lines: list[str]) -> list[str]:
    """Return those that were written as ordinary lines."""
    return [text for text in lines if text.startswith("line ")]


@given(
    odd=st.lists(st.tuples(st.integers(0, len(LINES)), ODD_RECORDS), min_size=1, max_size=8), preencode=st.booleans()
)
@example(odd=[(3, odd_record("1969-12-31T23:59:59.500806665Z", "odd\n", "stdout"))], preencode=True)
@example(odd=[(39, odd_record("2026-11-23T10:00:00.123456xxxZ", "odd\n", "stdout"))], preencode=False)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_records_in_a_file_affect_no_other_line(
    tmp_path_factory: pytest.TempPathFactory, odd: list[tuple[int, bytes]], preencode: bool
) -> None:
    """Each ordinary line of both containers arrives once, in order; read here, or preencoded."""
    ordinary = [record(LogFragment("o", START + n * 1_000, f"{text}\n".encode())) for n, text in enumerate(LINES)]
    mixed: list[bytes] = []
    for number in range(len(LINES) + 1):
        for _, data in (one for one in odd if one[0] == number):
            mixed.append(data if data.endswith(b"\n") else data + b"\n")
        mixed += ordinary[number : number + 1]
    rig = files(
        tmp_path_factory.mktemp("logs"),
        {BAD: b"".join(mixed), GOOD: b"".join(ordinary)},
        pool=InProcessPool() if preencode else None,
    )
    rig.run()
    assert rig.cloud.lines(GOOD) == LINES
    assert kept(rig.cloud.lines(BAD)) == LINES
    rig.close()


class OddLog(FakeLog):
    """Give these bytes to every caller, a few times; then the container is gone."""

    def __init__(self, body: bytes) -> None:
        super().__init__([])
        self._body, self._left = body, 12

    def logs(self, container: str, **asked: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ContainerGoneError("gone")
        reads = iter([self._body[at : at + 700] for at in range(0, len(self._body), 700)])
        return SimpleNamespace(chunked=False, read=lambda together=0: next(reads, b""), close=lambda: None)


@given(odd=st.lists(st.one_of(ODD_FRAMES, ODD_BYTES), min_size=1, max_size=6), tty=st.booleans(), replays=st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frames_from_an_engine_affect_no_other_containers_line(
    tmp_path_factory: pytest.TempPathFactory, odd: list[bytes], tty: bool, replays: bool
) -> None:
    """With a TTY or without; and everything before the first odd byte arrives."""
    first = LogFragment("o", START, b"line 0\n")
    odd_log = OddLog((format_stamp(first.stamp).encode() + b" " + first.data if tty else frame(first)) + b"".join(odd))
    good_log = FakeLog([])
    good_log.entries = [LogFragment("o", START + n, f"{text}\n".encode()) for n, text in enumerate(LINES)]
    rig = AgentHarness(tmp_path_factory.mktemp("logs"))
    with without_waits(good_log):
        for container, log, is_tty in ((BAD, odd_log, tty), (GOOD, good_log, False)):

            def source(
                _: ContainerMetadata, sequencer: EntrySequencer, log: FakeLog = log, is_tty: bool = is_tty
            ) -> ApiSource:
                connection = cast(DockerClient, log)
                return ApiSource(connection, "c", sequencer, tty=is_tty, since=0, max_size=4_000, replays=replays)

            rig.read(container, source)
            rig.readings[container].learn(ended(rig.readings[container].metadata))
        rig.run()
    assert rig.cloud.lines(GOOD) == LINES
    assert "line 0" in [text.removesuffix("\r") for text in rig.cloud.lines(BAD)][:1]
    rig.close()


def ended(metadata: ContainerMetadata) -> ContainerMetadata:
    """Return the state after the only run."""
    return replace(metadata, run_state=RunState(started=START, ended=START + 10**9, exit_code=0))


STATE = ("Running", "StartedAt", "FinishedAt", "ExitCode", "OOMKilled", "Status")
OPTIONS = st.dictionaries(st.sampled_from(["max-size", "max-file", "mode"]), JSON | st.just("9" * 400 + "t"))
DRIVERS = JSON | st.sampled_from(["json-file", "local"])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Generate an object with some of these fields, or anything else."""
    return JSON | st.fixed_dictionaries({}, optional=fields)


INSPECTED = st.fixed_dictionaries(
    {"Id": st.just(BAD)},
    optional={
        **dict.fromkeys(("Name", "Created", "RestartCount", "LogPath", "Image"), JSON),
        "State": some(**dict.fromkeys(STATE, JSON)),
        "Config": some(Image=JSON, Tty=JSON, Labels=JSON | st.dictionaries(st.text(max_size=300), JSON)),
        "HostConfig": some(LogConfig=some(Type=DRIVERS, Config=JSON | OPTIONS)),
    },
)


@given(found=INSPECTED)
@settings(max_examples=60, deadline=None)
def test_any_inspect_answer_becomes_a_container_that_fits_a_message(found: dict[str, Any]) -> None:
    """Names, labels, exit codes, counts and times out of any range, and fields of any other type."""
    described = from_inspect(document(json.dumps(found).encode()), "host")
    opened = OpenJob(job=described.id, container=described.container, life=described.life)
    assert OpenJob.model_validate_json(opened.model_dump_json()) == opened
    sequencer = EntrySequencer(decode("1"))
    sequencer.learn(described.run_state, fresh=True)
    for chunk in iter(sequencer.take_due, []):
        decode(chunk[0].end)
    assert described.max_size >= 0 < described.max_file


@given(
    attributes=st.dictionaries(st.sampled_from(["name", "image", "exitCode", "a"]), JSON),
    time=st.integers(-(2**70), 2**70),
)
@settings(max_examples=60, deadline=None)
def test_any_event_becomes_a_container_that_fits_a_message(attributes: dict[str, Any], time: int) -> None:
    """If nothing but the event is left of it."""
    described = from_event(BAD, attributes, "host", time)
    opened = OpenJob(job=described.id, container=described.container, life=described.life)
    assert OpenJob.model_validate_json(opened.model_dump_json()) == opened
    assert unrecorded_entries(decode("1").life, described.run_state)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000, b"\xff", b"", b'{"a":1'])
def test_invalid_document_is_refused_cleanly(data: bytes) -> None:
    """Nested too deeply, or with a number of too many digits."""
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        document(data)


def test_half_of_a_surrogate_pair_becomes_text_that_can_be_sent() -> None:
    """An engine's JSON may hold what no encoder accepts."""
    found = document(rb'{"Name":"/\ud800x","Config":{"Labels":{"a\udfff":"\ud83d\ude00"}},"n":NaN}')
    assert found == {"Name": "/\\ud800x", "Config": {"Labels": {"a\\udfff": "😀"}}, "n": None}


@given(text=st.text(max_size=60) | st.from_regex(r"1(\|[oefaklt]=[0-9a-f.\-]{0,60}){0,5}", fullmatch=True))
@settings(max_examples=80, deadline=None)
def test_any_text_for_a_cursor_is_read_or_refused_cleanly(text: str) -> None:
    """From a spool or the cloud."""
    try:
        cursor = decode(text)
    except UnknownCursorError:
        return
    EntrySequencer(cursor).learn(RunState(running=True, started=START))
