"""Writes to the viewer's bucket, and invalidates the distribution's cache."""

from typing import Any

from .core import Upload


class Store:
    """publish's access to S3 and CloudFront."""

    def __init__(self, s3: Any, cloudfront: Any, bucket: str, distribution: str) -> None:
        self._s3, self._cloudfront = s3, cloudfront
        self._bucket, self._distribution = bucket, distribution

    def put(self, upload: Upload, content: bytes) -> None:
        """Store one file."""
        self._s3.put_object(
            Bucket=self._bucket,
            Key=upload.key,
            Body=content,
            ContentType=upload.content_type,
            CacheControl=upload.cache_control,
        )

    def empty_bucket(self) -> None:
        """Delete all objects, so that CloudFormation can delete the bucket."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
            for found in page.get("Contents", []):
                self._s3.delete_object(Bucket=self._bucket, Key=found["Key"])

    def invalidate_cache(self, reference: str) -> None:
        """Make CloudFront fetch the page and its configuration again. `reference` names the request."""
        paths = ["/", "/index.html", "/config.json"]
        self._cloudfront.create_invalidation(
            DistributionId=self._distribution,
            InvalidationBatch={"CallerReference": reference, "Paths": {"Quantity": len(paths), "Items": paths}},
        )
