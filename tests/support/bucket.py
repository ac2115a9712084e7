"""Provide S3 in memory, as far as Logferry's stores use it, in place of boto3's low-level client.

`tests/integration/stores` runs one suite on this, on moto and on MiniStack, so that it cannot drift.
"""

from __future__ import annotations

import io
from typing import Any

from botocore.exceptions import ClientError
from tests.support.tables import Hook


class MemoryBucket:
    """One bucket: keys and contents."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        """The key of every put, in order."""
        self.before: Hook = lambda _operation, _key: None
        self.after: Hook = lambda _operation, _key: None

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        self.before("PutObject", Key)
        self.objects[Key] = bytes(Body)
        self.puts.append(Key)
        self.after("PutObject", Key)
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.before("GetObject", Key)
        if Key not in self.objects:
            response = {"Error": {"Code": "NoSuchKey", "Message": Key}, "ResponseMetadata": {"HTTPStatusCode": 404}}
            raise ClientError(response, "GetObject")  # type: ignore[arg-type]
        return {"Body": io.BytesIO(self.objects[Key])}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        assert len(Delete["Objects"]) <= 1_000
        self.before("DeleteObjects", "")
        for one in Delete["Objects"]:
            self.objects.pop(one["Key"], None)
        self.after("DeleteObjects", "")
        return {}
