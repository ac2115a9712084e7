"""Test that errors of the network and of AWS become a cause and what to do."""

from __future__ import annotations

import socket
import ssl
from email.utils import formatdate

import pytest
from botocore.exceptions import ClientError

from logferry_cli import aws_causes, network_causes


def wrapped(error: BaseException) -> Exception:
    """Return an error that carries another as clients do: in a group, as the cause of a cause."""
    outer = OSError("All connection attempts failed")
    outer.__cause__ = BaseExceptionGroup("several", [ValueError("no"), error])
    top = RuntimeError("connect failed")
    top.__context__ = outer
    return top


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the name logs.example is not known"),
        (ConnectionRefusedError(111, "refused"), "nothing listens there"),
        (TimeoutError(), "no connection came about in time"),
        (ssl.SSLError("WRONG_VERSION_NUMBER"), "it does not speak TLS"),
        (ValueError("odd"), "(connect failed)"),
    ],
)
def test_connections_error_has_a_cause(error: BaseException, cause: str) -> None:
    """However deep a client buries it."""
    problem = network_causes.of_connection("https://logs.example/api", wrapped(error))
    assert problem.sentence.startswith("https://logs.example cannot be reached")
    assert cause in problem.sentence
    assert problem.advice


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (401, "", "the key was refused"),
        (403, '{"message":"User is not authorized to access this resource with an explicit deny"}', "was refused"),
        (403, '{"message":"Forbidden"}', "no WebSocket of Logferry is at this address"),
        (404, "", "no WebSocket of Logferry is at this address"),
        (429, "", "too many new connections"),
        (500, "", "may not be invoked"),
        (502, "", "the function connect failed"),
    ],
)
def test_refused_handshake_has_a_cause(status: int, body: str, cause: str) -> None:
    """API Gateway answers 403 to a wrong stage as well as to a wrong key; its message tells them apart."""
    assert cause in network_causes.of_handshake("wss://x/live", status, body, "key").sentence


def test_clock_is_compared_with_an_answers_date() -> None:
    """AWS accepts five minutes. A cache says how old its answer is."""
    now = 1_764_000_000.0
    assert network_causes.clock_offset({"Date": formatdate(now - 3600, usegmt=True)}, now) == 3600
    assert network_causes.clock_offset({"Date": formatdate(now - 3600, usegmt=True), "Age": "3600"}, now) == 0
    assert network_causes.clock_offset({}, now) is None
    assert network_causes.clock_offset({"Date": "yesterday"}, now) is None
    for offset, said in ((3600, "60 minutes ahead"), (-3600, "60 minutes behind"), (301, "5 minutes ahead")):
        problem = network_causes.of_clock(offset)
        assert problem is not None
        assert said in problem.sentence
    assert network_causes.of_clock(300) is None


@pytest.mark.parametrize(
    ("code", "message", "cause"),
    [
        ("InvalidSignatureException", "Signature expired: 1 is now earlier than 2", "this machine's clock is off"),
        ("RequestTimeTooSkewed", "The difference is too large.", "this machine's clock is off"),
        ("InvalidSignatureException", "The signature does not match", "AWS refused"),
        ("ProvisionedThroughputExceededException", "too much", "AWS throttles"),
        ("AccessDenied", "you may not", "AWS refused (you may not)"),
    ],
)
def test_awss_refusal_has_a_cause(code: str, message: str, cause: str) -> None:
    """A clock that is off makes signatures invalid."""
    error = ClientError({"Error": {"Code": code, "Message": message}}, "GetItem")
    assert cause in aws_causes.of_aws(error).sentence


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("wss://abc.execute-api.eu-west-1.amazonaws.com/live", "eu-west-1"),
        ("https://abc.execute-api.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://d1.cloudfront.net", None),
        (None, None),
    ],
)
def test_region_is_read_from_an_address_of_api_gateway(url: str | None, region: str | None) -> None:
    """Another address tells none."""
    assert network_causes.region_of(url) == region
