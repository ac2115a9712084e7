"""Writes to the viewer's bucket, empties buckets, and invalidates the distribution's cache."""

from collections.abc import Callable
from typing import Any

from .core import Upload


class BucketNotEmptyError(Exception):
    """Objects are left in a bucket. The text says why, and what to do."""


class Store:
    """publish's access to S3 and CloudFront.

    Without CloudFront, the client is None: nothing is cached on the way to browsers then.
    """

    def __init__(self, s3: Any, cloudfront: Any, bucket: str, distribution: str) -> None:
        self._s3, self._cloudfront = s3, cloudfront
        self.viewer_bucket, self._distribution = bucket, distribution

    def put(self, upload: Upload, content: bytes) -> None:
        """Store one file."""
        self._s3.put_object(
            Bucket=self.viewer_bucket,
            Key=upload.key,
            Body=content,
            ContentType=upload.content_type,
            CacheControl=upload.cache_control,
        )

    def empty_bucket(self, bucket: str, is_late: Callable[[], bool]) -> None:
        """Delete all objects, so that CloudFormation can delete the bucket.

        Args:
            bucket: its name.
            is_late: whether there is no time left for another thousand objects.

        Raises:
            BucketNotEmptyError: objects are left.
        """
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys = [{"Key": found["Key"]} for found in page.get("Contents", [])]
            if not keys:
                return
            if is_late():
                raise BucketNotEmptyError(f"there was no time to empty {bucket}: delete the stack again")
            failed = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True}).get("Errors", [])
            if failed:
                raise BucketNotEmptyError(f"{failed[0]['Key']} in {bucket} was not deleted: {failed[0]['Message']}")

    def invalidate_cache(self, reference: str) -> None:
        """Make CloudFront fetch the page and its configuration again. `reference` names the request."""
        if self._cloudfront is None:
            return
        paths = ["/", "/index.html", "/config.json"]
        self._cloudfront.create_invalidation(
            DistributionId=self._distribution,
            InvalidationBatch={"CallerReference": reference, "Paths": {"Quantity": len(paths), "Items": paths}},
        )
