"""Name the cause of an error of AWS, and what to do about it. No I/O."""

from __future__ import annotations

import re
from typing import Final

from botocore.exceptions import ClientError

from logferry_cli.network_causes import CLOCK_ADVICE
from logferry_cli.problems import Problem

AWS_REFUSED: Final = "AWS refused"

_CLOCK_CODES: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException"})


def of_aws(error: ClientError) -> Problem:
    """Return why AWS refused a call."""
    detail = error.response.get("Error", {})
    code, message = str(detail.get("Code", "")), str(detail.get("Message", ""))
    if code in _CLOCK_CODES and re.search("expired|skew|not yet|too large|earlier", message, re.IGNORECASE):
        return Problem(f"AWS refused the time of a request: this machine's clock is off ({message}).", CLOCK_ADVICE)
    if "Throughput" in code or "Throttl" in code:
        return Problem(f"AWS throttles the calls of this command ({message}).", "Try again in a minute.")
    return Problem(f"{AWS_REFUSED} ({message}).", "Check that your AWS identity may read this.")
