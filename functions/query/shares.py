"""Shares: links that let anyone read one job. They expire, can be revoked, and are listed."""

import re
import secrets
import string
from collections.abc import Mapping
from typing import Any, Final

from registry.principal import Principal
from runtime.keys import SHARE_PREFIX, secret_digest

from .core import ParameterError

DAY_S: Final = 86_400
DEFAULT_LIFE_S: Final = 7 * DAY_S
LONGEST_LIFE_S: Final = 90 * DAY_S
MAX_NOTE_CHARS: Final = 200

_CREDENTIAL_CHARACTERS: Final = string.ascii_lowercase + string.digits
_SHARE: Final = re.compile(r"[a-z0-9]{12}")


def parse_share(document: Any) -> tuple[int, str]:
    """Return how long a share is to live (seconds), and its note.

    Raises:
        ParameterError: the document has a wrong form.
    """
    if not isinstance(document, dict):
        raise ParameterError("the body must be a JSON object")
    life, note = document.get("expires_in", DEFAULT_LIFE_S), document.get("note", "")
    if not isinstance(life, int) or isinstance(life, bool) or not 60 <= life <= LONGEST_LIFE_S:
        raise ParameterError(f"expires_in must be from 60 to {LONGEST_LIFE_S} seconds")
    if not isinstance(note, str) or len(note) > MAX_NOTE_CHARS:
        raise ParameterError(f"note must be a text of at most {MAX_NOTE_CHARS} characters")
    if any("\ud800" <= character <= "\udfff" for character in note):
        raise ParameterError("note is not Unicode text: it contains half of a surrogate pair")
    return life, note


def is_share(text: str) -> bool:
    """Return whether a text has the form of a share's id. Others are not looked up."""
    return _SHARE.fullmatch(text) is not None


def new_share(
    job: str, owner: str, creator: Principal, *, life_s: int, note: str, now_ms: int
) -> tuple[str, dict[str, Any]]:
    """Return the secret of a new share, which is shown once, and the item to store.

    Args:
        job: the job's id.
        owner: the job's owner.
        creator: who makes the share.
        life_s: how long the share lives, in seconds.
        note: a text for the list of shares.
        now_ms: the time.
    """
    grant = "".join(secrets.choice(_CREDENTIAL_CHARACTERS) for _ in range(12))
    secret = f"{SHARE_PREFIX}_{grant}_{secrets.token_urlsafe(32)}"
    item = {
        "pk": f"GRANT#{grant}",
        "sk": "GRANT",
        "gpk": f"PRINCIPAL#{creator.name}",
        "gsk": f"GRANT#{now_ms:013d}#{grant}",
        "spk": f"GRANTS#{job}",
        "ssk": f"{now_ms:013d}#{grant}",
        "sha256": secret_digest(secret),
        "job": job,
        "owner": owner,
        "principal": creator.name,
        **({} if creator.credential else {"keyless": True}),
        "note": note,
        "created": now_ms,
        "expires": now_ms // 1000 + life_s,
    }
    return secret, item


def share_document(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a share as it is listed, without its secret."""
    return {
        "share": item["pk"].removeprefix("GRANT#"),
        "job": item["job"],
        "principal": item["principal"],
        "note": item.get("note", ""),
        "created": item["created"],
        "expires": item["expires"] * 1000,
        "revoked": item.get("revoked"),
    }
