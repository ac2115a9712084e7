"""Test that the viewer's files are served as CloudFront serves them."""

import base64
import gzip
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Logger
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from tests.support import templates
from tests.support.clouds import SECRETS

from pages import app, core
from pages.store import RETRIES, Store
from publish import core as publish_core
from runtime.aws_clients import client_config

SCRIPT = b"export const line = 'tick';\n" * 200
PAGE = b"<!doctype html>"
Get = Callable[..., dict[str, Any]]


class CountingS3:
    """Count what is asked of a client, and fail when told."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.asked: list[dict[str, Any]] = []
        self.fails = False

    def get_object(self, **asked: Any) -> Any:
        self.asked.append(asked)
        return self.s3.get_object(**asked | ({"Bucket": "another"} if self.fails else {}))


@pytest.fixture
def s3() -> Iterator[CountingS3]:
    """Provide the bucket as the function publish fills it."""
    with mock_aws():
        client: Any = boto3.client("s3", **SECRETS)
        client.create_bucket(Bucket="viewer", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for upload in publish_core.plan(["index.html", "icon.svg", "assets/index-abc.js"]):
            content = SCRIPT if upload.key.endswith(".js") else PAGE
            client.put_object(
                Bucket="viewer",
                Key=upload.key,
                Body=content,
                ContentType=upload.content_type,
                CacheControl=upload.cache_control,
            )
        yield CountingS3(client)


@pytest.fixture
def get(s3: CountingS3) -> Get:
    handler = app.build_handler(
        Store(s3, "viewer"), "default-src 'none';  frame-ancestors 'none'", Logger(level="CRITICAL")
    )

    def get(path: str, **headers: str) -> dict[str, Any]:
        return handler({"rawPath": path, "headers": {name.replace("_", "-"): headers[name] for name in headers}}, None)

    return get


def body_of(answer: dict[str, Any]) -> bytes:
    return base64.b64decode(answer["body"])


@pytest.mark.parametrize("path", ["/", "/index.html", "/jobs"])
def test_page_is_served_at_the_root_and_at_addresses_within_the_viewer(get: Get, path: str) -> None:
    answer = get(path)
    assert (answer["statusCode"], body_of(answer)) == (200, PAGE)
    assert answer["headers"]["content-type"] == "text/html; charset=utf-8"
    assert answer["headers"]["cache-control"] == "no-cache"


def test_large_texts_are_compressed_for_browsers_that_accept_it(get: Get) -> None:
    """The HTTP API compresses nothing itself."""
    answer = get("/assets/index-abc.js", accept_encoding="br, gzip;q=0.8")
    assert answer["headers"]["content-encoding"] == "gzip"
    assert gzip.decompress(body_of(answer)) == SCRIPT
    assert len(body_of(answer)) < len(SCRIPT) / 10
    assert answer["headers"]["vary"] == "Accept-Encoding"
    assert "immutable" in answer["headers"]["cache-control"]
    for accepted in ("", "br", "gzip;q=0", "gzip; q=0.000, br"):
        plain = get("/assets/index-abc.js", accept_encoding=accepted)
        assert body_of(plain) == SCRIPT, accepted
        assert "content-encoding" not in plain["headers"]


def test_browser_that_has_the_file_is_sent_no_content(get: Get) -> None:
    """Otherwise each load of the page would fetch everything that may change."""
    etag = get("/")["headers"]["etag"]
    again = get("/", if_none_match=f'"other", {etag}')
    assert (again["statusCode"], "body" in again) == (304, False)
    assert again["headers"]["cache-control"] == "no-cache"
    assert get("/", if_none_match='"other"')["statusCode"] == 200


def test_changed_page_is_seen_at_once_and_an_unchanged_one_is_not_fetched_again(get: Get, s3: CountingS3) -> None:
    get("/")
    get("/")
    assert "IfNoneMatch" in s3.asked[-1]
    s3.s3.put_object(Bucket="viewer", Key="index.html", Body=b"new", ContentType="text/html")
    assert body_of(get("/")) == b"new"


def test_file_named_by_its_content_is_read_once(get: Get, s3: CountingS3) -> None:
    assert body_of(get("/assets/index-abc.js")) == body_of(get("/assets/index-abc.js"))
    assert len(s3.asked) == 1


@pytest.mark.parametrize("path", ["/assets/missing.js", "/missing.css", "/assets/", "/a/b.js", "/../x", "//", "/%2e"])
def test_missing_file_is_not_found(get: Get, path: str) -> None:
    answer = get(path)
    assert answer["statusCode"] == 404
    assert answer["headers"]["cache-control"] == "no-store"


def test_failing_bucket_is_answered_as_temporary(get: Get, s3: CountingS3) -> None:
    """Never as a missing file: a browser would remember that."""
    s3.fails = True
    assert get("/")["statusCode"] == 503


@given(st.text())
def test_every_path_is_a_file_of_the_viewer_or_none(path: str) -> None:
    key = core.key_of(path)
    assert key is None or (".." not in key.split("/") and not key.startswith("/"))


def test_every_answer_has_the_security_headers(get: Get, s3: CountingS3) -> None:
    s3_answers = [get("/"), get("/missing.js"), get("/", if_none_match="*")]
    s3.fails = True
    for answer in [*s3_answers, get("/icon.svg")]:
        assert answer["headers"]["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert core.SECURITY_HEADERS.items() <= answer["headers"].items()


def test_silent_bucket_is_reported_before_the_function_times_out() -> None:
    """Lambda would end the function without an answer. Botocore pauses for up to a second before its second try."""
    config: Any = client_config(retries=RETRIES)
    tries = config.retries["max_attempts"] + 1
    timeout = templates.load("template.yaml")["Resources"]["Pages"]["Properties"]["Timeout"]
    assert tries * (config.connect_timeout + config.read_timeout) + 1 < timeout
