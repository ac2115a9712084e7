"""Keys of agents, viewers and shares: how to parse one, and how to compare it with its stored hash."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

AGENT_PREFIX: Final = "lfa"
VIEWER_PREFIX: Final = "lfv"
SHARE_PREFIX: Final = "lfs"
KINDS: Final = {AGENT_PREFIX: "agent", VIEWER_PREFIX: "viewer", SHARE_PREFIX: "grant"}

_KEY: Final = re.compile(r"(lfa|lfv|lfs)_([a-z0-9]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """A presented key. It holds no plain text, so that `repr` cannot show it in a log."""

    kind: str
    credential: str
    sha256: str

    def matches(self, stored: object) -> bool:
        """Return whether a stored hash is this key's. The comparison takes constant time."""
        return isinstance(stored, str) and hmac.compare_digest(self.sha256.encode(), stored.encode())


def parse_key(text: str) -> Key | None:
    """Return the key in a text, or None when the text does not have the form of a key."""
    found = _KEY.fullmatch(text)
    if found is None:
        return None
    return Key(KINDS[found[1]], found[2], secret_digest(text))


def bearer_token(header: str | None) -> str | None:
    """Return the token of an Authorization header, or None."""
    found = _BEARER.fullmatch((header or "").strip())
    return found[1] if found else None


def secret_digest(text: str) -> str:
    """Return the SHA-256 of a secret, in hexadecimal. With 256 random bits, a slow hash would add nothing."""
    return hashlib.sha256(text.encode()).hexdigest()
