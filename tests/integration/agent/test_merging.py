"""Test that lines waiting to be merged wait briefly and are never lost."""

from __future__ import annotations

from pathlib import Path

from tests.support.fake_ingest import FakeIngestProcess, wait_until
from tests.support.pipeline_harness import GeneratedReader, PipelineHarness, job_id, line

from logferry_agent.core.batching.processing import ProcessingOptions
from logferry_agent.pipeline import PipelineSettings


def test_unmerged_line_is_shipped_after_its_wait(tmp_path: Path) -> None:
    """Docker case 30: the container lives on, and no further line completes the entry."""
    limits = PipelineSettings(
        flush_interval=0.02, answer_timeout=5, processing=ProcessingOptions(merge_start="^job", merge_wait_s=0.2)
    )
    with FakeIngestProcess() as sink, PipelineHarness(sink.url, tmp_path, GeneratedReader(1, 5), limits=limits):
        wait_until(lambda: sink.tip(job_id(0)) == 5)
        assert [text for *_, text in sink.entries(job_id(0))] == [line(0, index) for index in range(5)]
