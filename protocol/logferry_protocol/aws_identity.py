"""The token with which an agent proves its AWS role. PROTOCOL.md describes it under "AWS identity"."""

from typing import Final

PREFIX: Final = "lfaws_"
"""The prefix of a token. The rest is the base64url of the presigned request's query string."""

AUDIENCE_HEADER: Final = "x-logferry-audience"
"""A header that must be signed. Its value, the id of the agents' API, binds a token to one deployment."""

MAX_TOKEN_CHARS: Final = 4_096
MAX_AGE_S: Final = 900
"""STS ignores X-Amz-Expires and accepts a signature for fifteen minutes."""

ACTION: Final = "GetCallerIdentity"
ACTION_VERSION: Final = "2011-06-15"


def sts_host(region: str) -> str:
    """Return the host of a region's STS. Agent and cloud both compute it from the region's name."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"sts.{region}.{suffix}"
