"""Decides which file a path names, and how it is answered: headers, compression, revalidation."""

import base64
import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PAGE: Final = "index.html"
IMMUTABLE: Final = "immutable"
"""In the Cache-Control of files whose name has a hash of their content."""
PATH: Final = re.compile(r"/((?:assets/)?[A-Za-z0-9_-][A-Za-z0-9._-]*)?")
"""The paths of the viewer's files: those beside the page, and its assets."""
COMPRESSIBLE: Final = re.compile(r"text/.+|image/svg\+xml|application/(?:json|manifest\+json|wasm)(?:;.*)?")
SMALLEST_COMPRESSED: Final = 1000
"""Bytes. CloudFront compresses from this size on, too."""

SECURITY_HEADERS: Final = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""What CloudFront sends beside the Content-Security-Policy. A test compares these with the template's ViewerHeaders."""

Answer = dict[str, Any]
"""An answer to API Gateway, in its payload format 2.0."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the viewer, as the bucket has it."""

    content: bytes
    content_type: str
    cache_control: str
    etag: str
    """In quotation marks, as S3 gives it."""

    @property
    def never_changes(self) -> bool:
        """Whether another content would have another name."""
        return IMMUTABLE in self.cache_control


def key_of(path: str) -> str | None:
    """Return the key of the file at a path; None when there can be none.

    A path without a suffix is an address within the viewer, which the page itself reads.
    """
    match = PATH.fullmatch(path)
    if match is None:
        return None
    key = match[1] or PAGE
    return key if key.startswith("assets/") or "." in key else PAGE


def answer_file(file: StoredFile, request: Mapping[str, str], policy: str) -> Answer:
    """Return the answer with a file, or the answer that the browser has it already.

    Args:
        file: the file.
        request: the request's headers, their names in lower case.
        policy: the Content-Security-Policy.
    """
    # Weak, because the same content is sent compressed and plain.
    headers = _headers(policy) | {
        "content-type": file.content_type,
        "cache-control": file.cache_control,
        "etag": f"W/{file.etag}",
        "vary": "Accept-Encoding",
    }
    if _is_known(file.etag, request.get("if-none-match", "")):
        del headers["content-type"]
        return {"statusCode": 304, "headers": headers}
    content = file.content
    if (
        len(content) >= SMALLEST_COMPRESSED
        and COMPRESSIBLE.fullmatch(file.content_type)
        and _accepts_gzip(request.get("accept-encoding", ""))
    ):
        headers["content-encoding"] = "gzip"
        content = gzip.compress(content, mtime=0)
    return {
        "statusCode": 200,
        "headers": headers,
        "body": base64.b64encode(content).decode(),
        "isBase64Encoded": True,
    }


def answer_problem(status: int, text: str, policy: str) -> Answer:
    """Return an answer without a file."""
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    return {"statusCode": status, "headers": _headers(policy) | headers, "body": text}


def _headers(policy: str) -> dict[str, str]:
    return {"content-security-policy": " ".join(policy.split()), **SECURITY_HEADERS}


def _is_known(etag: str, condition: str) -> bool:
    """Compare weakly, as RFC 9110 (13.1.2) demands of If-None-Match."""
    return any(one.strip() == "*" or one.strip().removeprefix("W/") == etag for one in condition.split(","))


def _accepts_gzip(accepted: str) -> bool:
    for choice in accepted.lower().split(","):
        coding, _, weight = choice.partition(";")
        if coding.strip() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q=0(?:\.0*)?\s*", weight)
    return False
