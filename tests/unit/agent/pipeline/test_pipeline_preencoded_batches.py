"""Test batches that were closed by their reader: they take their position among the others and count alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from logferry_agent.core.batching.batcher import Batcher
from logferry_agent.core.batching.cursor import processing_state_of, split_cursor
from logferry_agent.core.batching.entries import Chunk, PreencodedBatch
from logferry_agent.core.batching.ports import Job, Offer
from logferry_agent.core.batching.processing import ProcessingOptions
from logferry_agent.core.redaction.redaction import REDACTED, Redaction, redact_lines
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_protocol.batch import decode_body
from logferry_protocol.job import Container, LifeCycle

JOB = Job("a" * 64, Container(name="web"), LifeCycle(state="running", source="file"))
KEY = ["-----BEGIN EC PRIVATE KEY-----", "SECRET", "-----END EC PRIVATE KEY-----"]


def lines(begin: int, end: int) -> list[str]:
    return [f"line {number}" for number in range(begin, end)]


def chunk(begin: int, texts: list[str]) -> Chunk:
    return Chunk([5] * len(texts), "o" * len(texts), texts, sum(map(len, texts)), lambda count: str(begin + count))


def preencoded(begin: int, texts: list[str]) -> PreencodedBatch:
    """Return the lines as a batch closed by its reader."""
    batcher = Batcher()
    batcher.add(chunk(begin, texts))
    batch = batcher.close()
    assert batch is not None
    assert batch.count == len(texts)
    return PreencodedBatch(batch, lambda: str(begin))


class OfflineHarness:
    """The pipeline without a cloud, run step by step."""

    def __init__(self, folder: Path, processing: ProcessingOptions | None = None) -> None:
        self.folder = folder
        self.spool = Spool(folder, "engine")
        self.metrics = Metrics()
        self.pipeline = Pipeline(
            self.spool, "engine", PipelineSettings(processing=processing or ProcessingOptions()), self.metrics
        )
        self.place = self.pipeline.intake.job_appeared(JOB).cursor
        self.now = 0.0
        self.turn(0)

    def offer(self, *chunks: Chunk | PreencodedBatch, epoch: int = 1) -> None:
        for each in chunks:
            assert self.pipeline.intake.offer(JOB.id, epoch, each) is Offer.TAKEN
        self.turn(0)

    def turn(self, seconds: float) -> None:
        self.now += seconds
        self.pipeline.turn(self.now)

    def again(self) -> OfflineHarness:
        """Restart after a kill."""
        self.spool.close()
        return OfflineHarness(self.folder)

    @property
    def closed(self) -> list[tuple[list[str], str]]:
        """Return each batch on the disk: its texts, and its cursor."""
        found = [self.spool.load(stored.id) for stored in self.spool.queue()]
        return [(list(decode_body(stored.batch.body).texts), stored.batch.cursor) for stored in found if stored]

    @property
    def open(self) -> list[str]:
        """Return the open batch's content on the disk."""
        return [text for _, piece in self.spool.pieces() if piece is not None for text in piece.texts]

    def counted(self) -> dict[str, float]:
        page = generate_latest(self.metrics.registry).decode()
        families = text_string_to_metric_families(page)
        return {
            sample.name.removeprefix("logferry_agent_"): sample.value for each in families for sample in each.samples
        }


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Iterator[OfflineHarness]:
    made = OfflineHarness(tmp_path)
    yield made
    made.spool.close()


@pytest.mark.parametrize("saved", [False, True])
def test_open_batch_precedes_an_encoded_one(rig: OfflineHarness, saved: bool) -> None:
    """Whether it is on the disk in parts or not yet; later lines form a new open batch."""
    rig.offer(chunk(0, lines(0, 3)))
    if saved:
        rig.turn(1)
        assert rig.open == lines(0, 3)
    rig.offer(chunk(3, lines(3, 5)), preencoded(5, lines(5, 9)), chunk(9, lines(9, 10)))
    rig.turn(1)
    assert rig.closed == [(lines(0, 5), "5"), (lines(5, 9), "9")]
    assert rig.open == lines(9, 10)
    again = rig.again()
    assert again.place == "10"
    assert again.closed == [(lines(0, 5), "5"), (lines(5, 9), "9")]
    again.offer(preencoded(10, lines(10, 12)))
    again.turn(1)
    assert again.closed[2:] == [(lines(9, 10), "10"), (lines(10, 12), "12")]
    assert again.open == []
    again.spool.close()


def test_reading_resumes_behind_the_last_written_batch_after_a_crash(rig: OfflineHarness) -> None:
    """Its cursor is the job's, though nothing else was ever open."""
    rig.offer(preencoded(0, lines(0, 4)), preencoded(4, lines(4, 6)))
    rig.turn(1)
    again = rig.again()
    assert again.place == "6"
    assert [texts for texts, _ in again.closed] == [lines(0, 4), lines(4, 6)]
    again.spool.close()


def test_skipped_entries_are_removed_from_an_encoded_batch(rig: OfflineHarness) -> None:
    """The rest is a part of an open batch, whose cursors count from before it."""
    position = rig.pipeline.intake.reposition(JOB.id, "3~2")
    rig.offer(preencoded(3, lines(3, 8)), preencoded(8, lines(8, 9)), epoch=position.epoch)
    rig.turn(1)
    assert rig.closed == [(lines(5, 8), "8"), (lines(8, 9), "9")]


def test_part_of_an_encoded_batch_ends_at_its_end_or_counts_from_before_it() -> None:
    """Its columns are unchanged."""
    whole = preencoded(3, lines(3, 8))
    opened = whole.decode()
    assert (opened.texts, opened.streams, opened.times) == (lines(3, 8), "ooooo", [5] * 5)
    assert [opened.cursor_at(count) for count in range(1, 6)] == ["3~1", "3~2", "3~3", "3~4", "8"]
    assert (whole.end, whole.count, opened.count) == ("8", 5, 5)


def test_encoded_batch_counts_like_its_lines(tmp_path: Path) -> None:
    """Entries and bytes; and separately, so that encoded batches can be counted."""
    counted = []
    offers: dict[str, Chunk | PreencodedBatch] = {
        "chunk": chunk(0, lines(0, 70)),
        "preencoded": preencoded(0, lines(0, 70)),
    }
    for name, offered in offers.items():
        rig = OfflineHarness(tmp_path / name)
        rig.offer(offered)
        counted.append(rig.counted())
        rig.spool.close()
    plain, encoded = counted
    assert (plain.pop("pressed_events_total"), encoded.pop("pressed_events_total")) == (0, 70)
    for what in ("received_events_total", "received_bytes_total"):
        assert plain[what] == encoded[what] > 0


def test_encoded_batch_of_a_deleted_job_counts_as_discarded(rig: OfflineHarness) -> None:
    """It is not kept."""
    rig.pipeline.buffers[JOB.id].discarded = True
    rig.offer(preencoded(0, lines(0, 7)))
    rig.turn(1)
    assert rig.counted()["discarded_events_total"] == 7
    assert (rig.closed, rig.open) == ([], [])


def redacted_by_reader(begin: int, texts: list[str], redaction: Redaction) -> PreencodedBatch:
    """Return a batch as the preencode process redacts it."""
    found = redact_lines(redaction, texts)
    assert found is not None
    changed, hidden = found
    shown = list(texts)
    for index, text in changed:
        shown[index] = text
    made = preencoded(begin, shown)
    return PreencodedBatch(made.batch, made.before, redaction, hidden, [(index, texts[index]) for index, _ in changed])


SECRET = "id=AKIAIOSFODNN7EXAMPLE"


def test_batch_redacted_by_its_reader_is_adopted(tmp_path: Path) -> None:
    """Its hidden secrets count as if hidden here."""
    rig = OfflineHarness(tmp_path, ProcessingOptions(redact=("aws",)))
    rig.offer(chunk(0, ["a"]), redacted_by_reader(1, ["b", SECRET], Redaction(("aws",))))
    rig.turn(1)
    assert rig.closed == [(["a"], "1"), (["b", f"id={REDACTED}"], "3")]
    assert rig.counted()["redacted_secrets_total"] == 1
    rig.spool.close()


@pytest.mark.parametrize(
    ("processing", "redaction"),
    [
        (ProcessingOptions(redact=("jwt",)), Redaction(("aws",))),
        (ProcessingOptions(), Redaction(("aws",))),
        (ProcessingOptions(redact=("aws",), redact_patterns=("b",)), Redaction(("aws",))),
        (ProcessingOptions(redact=("aws",), rate_limit=1_000), Redaction(("aws",))),
        (ProcessingOptions(redact=("aws",)), Redaction()),
    ],
)
def test_batch_redacted_with_other_settings_is_processed_from_its_original(
    tmp_path: Path, processing: ProcessingOptions, redaction: Redaction
) -> None:
    """If reader and pipeline disagree, the pipeline's settings apply."""
    texts = ["b", SECRET]
    rig = OfflineHarness(tmp_path, processing)
    rig.offer(redacted_by_reader(0, texts, redaction))
    rig.turn(1)
    plain = OfflineHarness(tmp_path / "plain", processing)
    plain.offer(chunk(0, texts))
    plain.turn(1)
    assert (rig.open, rig.closed) == (plain.open, plain.closed)
    assert rig.counted().get("redacted_secrets_total") == plain.counted().get("redacted_secrets_total")
    for each in (rig, plain):
        each.spool.close()


def test_preencoded_batch_inside_a_private_key_is_hidden_to_the_keys_end(tmp_path: Path) -> None:
    """The preencode process does not know earlier lines; a restart within it does not begin outside the key."""
    body = [f"{number:02}ab+/CD" * 4 for number in range(6)]
    redaction = Redaction(("all",))
    rig = OfflineHarness(tmp_path, ProcessingOptions(redact=("all",)))
    rig.offer(chunk(0, ["before", KEY[0]]), redacted_by_reader(2, [*body[:4], SECRET], redaction))
    rig.turn(1)
    assert rig.open == ["before", *[REDACTED] * 5, f"id={REDACTED}"]
    pieces = [piece for _, piece in rig.spool.pieces() if piece is not None]
    cursors = [cursor for piece in pieces for cursor in (piece.cursors or [piece.cursor])]
    assert split_cursor(cursors[-1]) == ("7", 0)
    rig.offer(chunk(7, [KEY[0], body[0]]), redacted_by_reader(9, body[1:], redaction))
    rig.turn(1)
    (*_, (_, piece)) = rig.spool.pieces()
    assert piece is not None
    assert set(piece.texts) == {REDACTED}
    assert processing_state_of(piece.cursor).startswith("zo")
    opened = redacted_by_reader(9, body[1:], redaction).decode("oab")
    assert opened.cursor_at(2) == "9|r=oab~2"
    rig.spool.close()


def test_preencoded_batch_flushes_an_unfinished_long_line(tmp_path: Path) -> None:
    """Nothing is preencoded while a line is open: so the line is complete."""
    long = f"{SECRET} {'x' * 5_000}"
    rig = OfflineHarness(tmp_path, ProcessingOptions(redact=("aws",)))
    rig.offer(chunk(0, ["a", long]), redacted_by_reader(2, ["b", SECRET], Redaction(("aws",))))
    rig.turn(1)
    texts = [text for closed, _ in rig.closed for text in closed]
    assert texts == ["a", long.replace(SECRET, f"id={REDACTED}"), "b", f"id={REDACTED}"]
    rig.spool.close()


def test_container_is_reported_and_stored_without_secrets(tmp_path: Path) -> None:
    """In labels that the agent's settings or the container's labels hide; also after a restart."""
    labels = {"dsn": "postgres://ann:s3cr3t@db", "logferry.redact": "url_password"}
    rig = OfflineHarness(tmp_path)
    rig.pipeline.intake.job_appeared(Job("b" * 64, Container(name="db", labels=labels), JOB.life))
    rig.turn(1)
    assert rig.pipeline.buffers["b" * 64].container.labels["dsn"] == f"postgres://ann:{REDACTED}@db"
    assert not any("s3cr3t" in stored.container for stored in rig.spool.jobs())
    rig.pipeline.intake.job_changed(Job("b" * 64, Container(name="db2", labels=labels), JOB.life))
    rig.turn(1)
    assert not any("s3cr3t" in job.container.model_dump_json() for job in rig.pipeline.session.jobs.values())
    again = rig.again()
    buffer = again.pipeline.buffers["b" * 64]
    assert buffer.container.name == "db2"
    assert buffer.processor is not None
    assert buffer.processor.processing.redact == ("url_password",)
    again.spool.close()


def test_encoded_batch_is_decoded_if_lines_are_processed(tmp_path: Path) -> None:
    """No batch skips per-line processing, even if a reader thought that there was none."""
    rig = OfflineHarness(tmp_path, ProcessingOptions(redact=("private_key",)))
    rig.offer(preencoded(0, ["before", *KEY[:2]]), preencoded(3, [*KEY[2:], "after"]))
    rig.turn(1)
    assert rig.open == ["before", *[REDACTED] * 3, "after"]
    (_, piece) = list(rig.spool.pieces())[-1]
    assert piece is not None
    assert split_cursor(piece.cursor) == ("5", 0)
    rig.spool.close()


def test_secrets_in_a_containers_metadata_are_counted_once(tmp_path: Path) -> None:
    rig = OfflineHarness(tmp_path, ProcessingOptions(redact=("aws",)))
    container = Container(name="web", labels={"AKIAIOSFODNN7EXAMPLE": "1", "b": SECRET})
    for name in ("web", "renamed"):
        described = Job("b" * 64, container.model_copy(update={"name": name}), JOB.life)
        rig.pipeline.intake.job_appeared(described)
        rig.turn(0)
    assert rig.counted()["redacted_secrets_total"] == 2
    assert rig.pipeline.buffers["b" * 64].container.labels == {REDACTED: "1", "b": f"id={REDACTED}"}
    rig.spool.close()


def test_read_problem_is_reported_without_secrets(tmp_path: Path) -> None:
    rig = OfflineHarness(tmp_path, ProcessingOptions(redact=("aws",)))
    rig.pipeline.intake.job_problem(JOB.id, f"the engine says: {SECRET}")
    rig.turn(0)
    assert rig.pipeline.buffers[JOB.id].reported_life.problem == f"the engine says: id={REDACTED}"
    rig.spool.close()
