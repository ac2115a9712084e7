"""Reads the viewer's files from its bucket, and keeps them as long as they are current."""

from typing import Any, Final

from botocore.exceptions import ClientError

from .core import StoredFile

RETRIES: Final = 1
"""Tries after the first. More of them, each with its full timeouts, would take longer than the function may."""
UNCHANGED: Final = "304"
MISSING: Final = frozenset({"NoSuchKey", "404"})


class Store:
    """pages' access to S3."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._files: dict[str, StoredFile] = {}
        """Every file that was read: the whole viewer has less than a megabyte."""

    def get(self, key: str) -> StoredFile | None:
        """Return a file; None if it does not exist.

        A file that may change is compared with the bucket's each time. S3 then sends it only if it did.

        Raises:
            ClientError: S3 failed.
        """
        kept = self._files.get(key)
        if kept is not None and kept.never_changes:
            return kept
        condition = {} if kept is None else {"IfNoneMatch": kept.etag}
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=key, **condition)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == UNCHANGED and kept is not None:
                return kept
            if code in MISSING:
                self._files.pop(key, None)
                return None
            raise
        file = StoredFile(found["Body"].read(), found["ContentType"], found.get("CacheControl", ""), found["ETag"])
        self._files[key] = file
        return file
