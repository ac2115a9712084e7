"""Test that an agent reads the cursors and the spool that version 0.1.0 left behind.

The code under test made nothing here: a change that cannot read these strands every host that updates.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import msgspec
import pytest
from tests.support.zstd import zstd

from logferry_agent.core.batching.cursor import Cursor, FilePosition, LifecycleCheckpoint, decode
from logferry_agent.core.batching.ports import Job
from logferry_agent.core.parsing.fragments import StreamPosition, StreamPositions
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_protocol.job import Container, LifeCycle

CURSORS = {
    "1": Cursor(),
    "1|o=1764000000123456789.2.9f86d081.1|e=1764000000123456790.1.60303ae2.0|f=131077.4096.9f86d081"
    "|l=s.1764000000000000000.0.0": Cursor(
        StreamPositions(
            StreamPosition(1764000000123456789, 2, "9f86d081", open=True),
            StreamPosition(1764000000123456790, 1, "60303ae2", open=False),
        ),
        FilePosition(131077, 4096, "9f86d081"),
        LifecycleCheckpoint("s", 1764000000000000000, 0, 0),
    ),
    "1|e=1764000000123456790.1.60303ae2.0|l=x.1764000000000000000.1764000001000000000.3|k=17": Cursor(
        StreamPositions(StreamPosition(), StreamPosition(1764000000123456790, 1, "60303ae2", open=False)),
        None,
        LifecycleCheckpoint("x", 1764000000000000000, 1764000001000000000, 3),
        17,
    ),
}


@pytest.mark.parametrize("text", list(CURSORS))
def test_cursors_of_0_1_0_keep_their_meaning(text: str) -> None:
    """Both streams, the file position, the run, the fragments."""
    assert decode(text) == CURSORS[text]


TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
    id TEXT PRIMARY KEY, container TEXT NOT NULL, life TEXT NOT NULL, ended INTEGER NOT NULL DEFAULT 0,
    tip INTEGER NOT NULL DEFAULT 0, digest TEXT, cursor TEXT,
    bytes INTEGER NOT NULL DEFAULT 0, gaps INTEGER NOT NULL DEFAULT 0, last INTEGER
) WITHOUT ROWID;
CREATE TABLE batch (
    id INTEGER PRIMARY KEY, job TEXT NOT NULL, first INTEGER, gap INTEGER NOT NULL, count INTEGER NOT NULL,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, raw INTEGER NOT NULL, gaps INTEGER NOT NULL,
    cursor TEXT NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL
);
CREATE INDEX batch_job ON batch (job, id);
CREATE TABLE piece (id INTEGER PRIMARY KEY, job TEXT NOT NULL, cursor TEXT NOT NULL, columns BLOB NOT NULL);
CREATE INDEX piece_job ON piece (job);
"""


def test_spool_of_0_1_0_is_read(tmp_path: Path) -> None:
    """The job, the batch in flight with its sequence, the open batch, and the read position."""
    job, engine = "a" * 64, "ENGINE"
    path = tmp_path / f"spool-{hashlib.sha256(engine.encode()).hexdigest()[:16]}.db"
    document = {"t": 1_764_000_000_000_000, "d": [0, 1], "s": "oo", "l": ["one", "two"]}
    body = zstd.compress(json.dumps(document).encode())
    digest = hashlib.sha256(body).hexdigest()
    open_batch = zstd.compress(msgspec.msgpack.encode(([1_764_000_000_000_002], "o", ["three"])))
    old = sqlite3.connect(path)
    old.executescript(TABLES)
    old.executemany("INSERT INTO meta VALUES (?, ?)", [("format", "1"), ("engine", engine), ("made", "1764000000")])
    old.execute(
        "INSERT INTO job VALUES (?, ?, ?, 0, 7, ?, ?, 100, 0, NULL)",
        (job, '{"name": "web"}', '{"state": "running"}', "d" * 64, "1|k=2"),
    )
    columns = (5, job, 8, 0, 2, 1_764_000_000_000_000, 1_764_000_000_000_001, 6, 0, "1|k=2", digest, body)
    old.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", columns)
    old.execute("INSERT INTO piece (job, cursor, columns) VALUES (?, ?, ?)", (job, "1|k=3", open_batch))
    old.commit()
    old.close()
    spool = Spool(tmp_path, engine)
    assert spool.set_aside is None
    pipeline = Pipeline(spool, engine, PipelineSettings(), Metrics())
    state = pipeline.session.jobs[job]
    assert (state.tip, state.digest, state.container.name) == (7, "d" * 64, "web")
    assert [(ref.id, ref.first, ref.count, ref.digest) for ref in state.queue] == [(5, 8, 2, digest)]
    assert [row["waiting"] for row in pipeline.report()] == [3]
    position = pipeline.intake.job_appeared(Job(job, Container(name="web"), LifeCycle(state="running")))
    assert position.cursor == "1|k=3"
    spool.close()
