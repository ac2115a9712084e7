"""Test that the local viewer's security headers are CloudFront's."""

from __future__ import annotations

from pathlib import Path

import pytest

from logferry_local.checkout import find_checkout
from logferry_local.security_headers import security_headers
from logferry_state.errors import LocalCloudError

LIVE = "ws://127.0.0.1:4567/_aws/execute-api/abc/live"


def test_local_viewer_sends_the_templates_headers() -> None:
    """Only the WebSocket's address differs from the AWS deployment."""
    headers = security_headers(find_checkout().template, LIVE)
    directives = dict(
        directive.strip().split(" ", 1) for directive in headers["Content-Security-Policy"].split(";") if directive
    )
    assert directives["connect-src"].split() == ["'self'", "data:", "ws://127.0.0.1:4567"]
    assert directives["default-src"] == "'none'"
    assert "unsafe-inline" not in headers["Content-Security-Policy"]
    assert "$" not in "".join(headers.values())
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Permissions-Policy"].startswith("camera=()")


def test_template_without_the_policy_is_refused(tmp_path: Path) -> None:
    """A viewer without its headers is not served at all."""
    (tmp_path / "t.yaml").write_text("Resources:\n  A: {Type: AWS::S3::Bucket, Name: !Sub x}\n")
    with pytest.raises(LocalCloudError, match="ResponseHeadersPolicy"):
        security_headers(tmp_path / "t.yaml", LIVE)
