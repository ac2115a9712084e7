"""Name the cause of an error of the network, and what to do about it. No I/O."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from logferry_cli.problems import Problem

CLOCK_LIMIT_S: Final = 300
"""AWS refuses signatures that are older: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html."""

CLOCK_ADVICE: Final = "Synchronize this machine's clock (`timedatectl set-ntp true`)."

_EXPIRED, _NOT_YET, _OTHER_NAME = 10, 9, 62
"""OpenSSL's numbers: X509_V_ERR_CERT_HAS_EXPIRED, _CERT_NOT_YET_VALID and _HOSTNAME_MISMATCH."""

_EXECUTE_API: Final = re.compile(r"[a-z0-9]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


def of_connection(url: str, error: BaseException) -> Problem:
    """Return why an address cannot be reached.

    Args:
        url: The address.
        error: What the client raised. The causes that it carries are looked through.
    """
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc}"
    host = parts.hostname or where
    for one in carried_errors(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return _certificate(where, host, one)
        if isinstance(one, ssl.SSLError):
            reason = getattr(one, "reason", None) or one
            return Problem(
                f"{where} cannot be reached: it does not speak TLS as this machine does ({reason}).",
                "Check the address and its port, and proxies in between.",
            )
        if isinstance(one, socket.gaierror):
            return Problem(
                f"{where} cannot be reached: the name {host} is not known.",
                "Check the address (the stack's outputs have it) and this machine's DNS.",
            )
        if isinstance(one, ConnectionRefusedError):
            return Problem(
                f"{where} cannot be reached: nothing listens there.",
                "Check the address and its port. `logferry status` shows whether the local cloud runs.",
            )
        if isinstance(one, TimeoutError):
            return Problem(
                f"{where} cannot be reached: no connection came about in time.",
                "Check that a firewall or a proxy lets this machine out to it.",
            )
    reason = str(error) or type(error).__name__
    return Problem(
        f"{where} cannot be reached ({reason}).",
        "Check the address. `logferry status` shows whether the local cloud runs.",
    )


def _certificate(where: str, host: str, error: ssl.SSLCertVerificationError) -> Problem:
    match error.verify_code:
        case code if code == _EXPIRED:
            return Problem(
                f"{where} cannot be reached: the certificate of {host} has expired.",
                "Renew it there. If others do not see this, this machine's clock is ahead.",
            )
        case code if code == _NOT_YET:
            return Problem(f"{where} cannot be reached: the certificate of {host} is not valid yet.", CLOCK_ADVICE)
        case code if code == _OTHER_NAME:
            return Problem(
                f"{where} cannot be reached: the certificate there is not for {host}.",
                "Check the address, and proxies in between.",
            )
        case _:
            return Problem(
                f"{where} cannot be reached: the certificate of {host} is not trusted ({error.verify_message}).",
                "Name the certificates of the authority that signed it in SSL_CERT_FILE, for an agent in"
                " LOGFERRY_CA_FILE.",
            )


def of_handshake(url: str, status: int, body: str, what: str) -> Problem:
    """Return why a WebSocket was refused.

    Args:
        url: The address, without its query.
        status: The answer's status.
        body: The answer's body, of which API Gateway's message is looked at.
        what: The credential that was shown: `key` or `ticket`.
    """
    # API Gateway answers 403 to a wrong stage as well, with the message "Forbidden" alone.
    if status == 401 or (status == 403 and not re.search('"message" *: *"Forbidden"', body)):
        return Problem(
            f"{url} answered {status}: the {what} was refused. It is wrong, revoked or expired, or is of another"
            " deployment.",
            "`logferry keys list` shows the keys; `logferry keys create` makes a new one.",
        )
    if status in {403, 404}:
        return Problem(
            f"{url} answered {status}: no WebSocket of Logferry is at this address, or it refused the {what}.",
            "Compare it with the stack's outputs AgentsUrl and ViewersUrl: API, region and the stage at its end.",
        )
    if status == 429:
        return Problem(f"{url} answered 429: too many new connections.", "Try again in a minute.")
    if status >= 500:
        return Problem(
            f"{url} answered {status}: the function connect failed, or may not be invoked.",
            "See the check of the functions, and the log group of the function connect.",
        )
    return Problem(f"{url} answered {status}.")


def clock_offset(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return by how many seconds this machine's clock is ahead of an answer's, or None if the answer has no time.

    Args:
        headers: The answer's headers.
        now_s: This machine's time, in seconds since 1970.
    """
    try:
        there = parsedate_to_datetime(headers["Date"]).timestamp() + float(headers.get("Age", 0))
    except (KeyError, ValueError, TypeError, IndexError):
        return None
    return now_s - there


def of_clock(offset_s: float) -> Problem | None:
    """Return what is wrong with a clock that is ahead by so many seconds; None if AWS accepts it."""
    if abs(offset_s) <= CLOCK_LIMIT_S:
        return None
    minutes = round(abs(offset_s) / 60)
    side = "ahead" if offset_s > 0 else "behind"
    return Problem(
        f"This machine's clock is {minutes} minutes {side} of the cloud's. AWS refuses what it signs, and keys and"
        " links seem expired.",
        CLOCK_ADVICE,
    )


def region_of(url: str | None) -> str | None:
    """Return the region in an address of API Gateway's own."""
    found = _EXECUTE_API.fullmatch(urlsplit(url or "").hostname or "")
    return found[1] if found else None


def carried_errors(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it carries: causes, members of groups, and errors among its arguments."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        carried = [one.__cause__, one.__context__, *members, *one.args, getattr(one, "reason", None)]
        waiting += [each for each in carried if isinstance(each, BaseException)]
