"""The token by which an agent proves its AWS role, as both sides know it. PROTOCOL.md, AWS identity."""

from typing import Final

PREFIX: Final = "lfaws_"
"""Begins a token; the rest is base64url of the presigned request's query string."""

AUDIENCE_HEADER: Final = "x-logferry-audience"
"""Must be signed: its value, the id of the agents' API, binds a token to one deployment."""

MAX_TOKEN_CHARS: Final = 4_096
MAX_AGE_S: Final = 900
"""STS ignores X-Amz-Expires and takes a signature for fifteen minutes."""

ACTION: Final = "GetCallerIdentity"
ACTION_VERSION: Final = "2011-06-15"


def sts_host(region: str) -> str:
    """STS of a region: made from the region's name, on both sides."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"sts.{region}.{suffix}"
