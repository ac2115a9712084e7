"""Test that the registry's items say why a key is refused."""

from __future__ import annotations

from typing import Any

import pytest

from logferry_cli.key_health import key_problem
from logferry_cli.registry import Issued, Viewer, credential_item, principal_item

KEY = Issued(f"lfv_abcdefghijkl_{'s' * 43}", "abcdefghijkl")
CREATED_MS = 1_764_000_000_000
NOW_S = CREATED_MS / 1000 + 60
CREDENTIAL = credential_item("me", "viewer", KEY, CREATED_MS)
PRINCIPAL = principal_item(Viewer("me", "me"), CREATED_MS)


@pytest.mark.parametrize(
    ("credential", "principal", "cause"),
    [
        (None, None, "is not a key of this deployment"),
        (CREDENTIAL | {"sha256": "other"}, PRINCIPAL, "its secret is another"),
        (CREDENTIAL | {"kind": "agent"}, PRINCIPAL, "is no viewer"),
        (CREDENTIAL, None, "is no viewer"),
        (CREDENTIAL | {"revoked": CREATED_MS}, PRINCIPAL, "of me was revoked on 2025-11-24 at 16:00 UTC"),
        (CREDENTIAL, PRINCIPAL | {"revoked": CREATED_MS}, "Its principal me was revoked on 2025-11-24"),
        (CREDENTIAL | {"expires": NOW_S}, PRINCIPAL, "expired on 2025-11-24 at 16:01 UTC"),
    ],
)
def test_refused_key_has_a_cause(
    credential: dict[str, Any] | None, principal: dict[str, Any] | None, cause: str
) -> None:
    """Each comes with what to do, and never with the key itself."""
    problem = key_problem(KEY.key, "viewer", credential, principal, NOW_S)
    assert problem is not None
    assert cause in problem.sentence
    assert problem.advice
    assert KEY.key not in problem.sentence + problem.advice


def test_valid_key_has_no_problem() -> None:
    """Also one that expires later."""
    assert key_problem(KEY.key, "viewer", CREDENTIAL, PRINCIPAL, NOW_S) is None
    assert key_problem(KEY.key, "viewer", CREDENTIAL | {"expires": NOW_S + 1}, PRINCIPAL, NOW_S) is None
