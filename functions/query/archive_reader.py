"""Reads the archive: its index in the registry and its segments in S3."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final

from botocore.exceptions import ClientError

from registry.archive_index import Index, Segment, decode_segment

CACHED: Final = 4
"""Segments in the cache, a megabyte each. Pages of one job, and the steps of one search for a time, reuse them."""


class ArchiveReader:
    """query's access to the archive. It writes nothing."""

    def __init__(self, index: Index, make_s3: Callable[[], Any], bucket: str, now_ms: Callable[[], int]) -> None:
        """`make_s3` makes the S3 client when the archive is read for the first time."""
        self._index, self._make_s3, self._bucket, self._now_ms = index, make_s3, bucket, now_ms
        self._cache: dict[str, list[dict[str, Any]]] = {}

    @cached_property
    def _s3(self) -> Any:
        return self._make_s3()

    def segment_at(self, job: str, sequence: int) -> Segment | None:
        """Return the segment that holds a sequence, or the next one that is kept."""
        return next(self._kept(self._index.from_sequence(job, sequence)), None)

    def batches_after(self, job: str, sequence: int) -> Iterator[dict[str, Any]]:
        """Yield the batches with entries after a sequence, ascending."""
        for segment in self._kept(self._index.from_sequence(job, sequence + 1)):
            for batch in self.batches_of(job, segment):
                if batch["first"] + batch["count"] - 1 > sequence:
                    yield batch

    def batches_before(self, job: str, sequence: int) -> Iterator[dict[str, Any]]:
        """Yield the batches with entries before a sequence, descending."""
        for segment in self._kept(self._index.before_sequence(job, sequence)):
            for batch in reversed(self.batches_of(job, segment)):
                if batch["first"] < sequence:
                    yield batch

    def batches_of(self, job: str, segment: Segment) -> list[dict[str, Any]]:
        """Return the batches of a segment, ascending; empty if its object is gone because the job is being erased."""
        key = segment.key(job)
        if key not in self._cache:
            try:
                content = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchKey":
                    raise
                return []
            while len(self._cache) >= CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = decode_segment(content)
        return self._cache[key]

    def _kept(self, segments: Iterator[Segment]) -> Iterator[Segment]:
        now = self._now_ms()
        return (segment for segment in segments if segment.kept(now))
