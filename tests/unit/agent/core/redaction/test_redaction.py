"""Test what is hidden in lines: each kind, in any encoding, and nothing else."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.docker_log import START, LogFragment, record
from tests.support.preencoding import file_of

from logferry_agent.core.batching.preencode import PreencodedSlice, PreencodeRequest
from logferry_agent.core.batching.processing import ProcessingOptions
from logferry_agent.core.container.container_redaction import redact_container
from logferry_agent.core.container.label_settings import apply_label_settings
from logferry_agent.core.parsing.fragments import StreamPositions
from logferry_agent.core.parsing.jsonfile import parse_plain
from logferry_agent.core.redaction.redaction import (
    BUILT_IN,
    REDACTED,
    Redaction,
    Redactor,
    compile_rules,
    redact_lines,
)
from logferry_agent.core.redaction.visible_text import VisibleText, to_visible
from logferry_agent.edge.preencode_worker import encode_stretch
from logferry_protocol.batch import decode_body
from logferry_protocol.events import Gap, Notice, encode_event
from logferry_protocol.job import Container
from logferry_protocol.limits import MAX_ENTRY_BYTES

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BASIC = b64encode(b"ann:correct horse").decode()

# (the kind that finds it, the text, the secret in it)
SECRETS = [
    ("aws", "key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
    ("aws", f"aws_secret_access_key={AWS_SECRET}", AWS_SECRET),
    ("basic", f"Authorization: Basic {BASIC}", BASIC),
    ("basic", f'{{"proxy-authorization":"basic {BASIC}"}}', BASIC),
    ("basic", f"sent Basic {BASIC} to upstream", BASIC),
    ("basic", "authorization: Basic YTpi", "YTpi"),
    ("bearer", "Authorization: Bearer opaque-token-12345", "opaque-token-12345"),
    ("github", "cloned with ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9),
    ("github", "GITHUB_TOKEN=ghs_" + "a1B2" * 10, "ghs_" + "a1B2" * 10),
    ("github", "gho_" + "Zz9" * 12 + " and more", "gho_" + "Zz9" * 12),
    ("github", "github_pat_" + "11ABCDEFG0aaaaaaaaaaaa_" + "b" * 59, "github_pat_11ABCDEFG0"),
    ("jwt", f"token={JWT}", JWT),
    ("jwt", f"session-{JWT}", JWT),
    ("logferry", "lfa_" + "a1" * 6 + "_" + "Bc-_" * 10 + "abc", "lfa_" + "a1" * 6),
    ("logferry", "key lfv_" + "a1" * 6 + "_" + "B" * 43, "lfv_" + "a1" * 6),
    ("logferry", "https://logs.example.com/#key=lfs_" + "a1" * 6 + "_" + "B" * 43, "lfs_" + "a1" * 6),
    ("slack", "xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"),
    ("slack", "xapp-1-A012-345-abcdef", "xapp-1-A012-345-abcdef"),
    ("slack", "POST https://hooks.slack.com/services/T000/B000/XXXXyyyy", "T000/B000/XXXXyyyy"),
    ("stripe", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"),
    ("stripe", "rk_live_4eC39HqLyjWDarjtT1zdp7dc", "rk_live_4eC39HqLyjWDarjtT1zdp7dc"),
    ("stripe", "sk_test_4eC39HqLyjWDarjtT1zdp7dc", "sk_test_4eC39HqLyjWDarjtT1zdp7dc"),
    ("stripe", "whsec_4eC39HqLyjWDarjtT1zdp7dc", "whsec_4eC39HqLyjWDarjtT1zdp7dc"),
    ("url_password", "postgres://ann:s3cr3t@db:5432/app", "s3cr3t"),
    ("url_password", "redis://:s3cr3t@cache/0", "s3cr3t"),
    ("url_password", "amqp://ann:p@ss:w%2Frd@mq", "p@ss:w%2Frd"),
]


def redacted(text: str, *names: str, patterns: tuple[str, ...] = ()) -> str:
    (shown,), _ = Redactor(Redaction(names, patterns)).redact("o", [text])
    return shown


def coloured_values(text: str) -> str:
    """Colour keys and values separately, as structlog, zap and pino-pretty do."""
    return "\x1b[36m" + text.replace("=", "\x1b[0m=\x1b[35m").replace(" ", "\x1b[0m \x1b[1;38;5;208m") + "\x1b[0m"


def coloured_within(text: str) -> str:
    """Colour a part of the secret, as search tools mark matches."""
    middle = len(text) // 2
    return f"{text[:middle]}\x1b[01;31m\x1b[K{text[middle:]}\x1b[m\x1b[K"


def coloured_in_json(text: str) -> str:
    return coloured_values(text).replace("\x1b", "\\u001b")


def escaped(text: str) -> str:
    r"""Write every second letter as `\u0041`."""
    return "".join(f"\\u{ord(each):04x}" if at % 2 and each.isalnum() else each for at, each in enumerate(text))


def escaped_twice(text: str) -> str:
    return escaped(text).replace("\\", "\\\\")


def escaped_slashes(text: str) -> str:
    """Escape slashes, as PHP writes JSON."""
    return text.replace("/", "\\/")


@pytest.mark.parametrize(
    "dress",
    [str, coloured_values, coloured_within, coloured_in_json, escaped, escaped_twice, escaped_slashes],
)
@pytest.mark.parametrize(("name", "text", "secret"), SECRETS)
def test_secret_is_hidden_however_it_is_coloured_or_escaped(
    dress: Callable[[str], str], name: str, text: str, secret: str
) -> None:
    """By its own name, and by `all`; and only by these."""
    dressed = dress(text)
    assert secret in VisibleText(dressed).text
    for names in ((name,), ("all",)):
        shown = redacted(dressed, *names)
        assert REDACTED in shown
        assert secret not in VisibleText(shown).text
    redactor = Redactor(Redaction((name,)))
    redactor.redact("o", [dressed])
    assert redactor.hidden == {name: 1}


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of bad news",
        "Basic information about authentication, functionality and documentation",
        "HTTP Basic authentication failed",
        "key AKIA",
        "eyJ is how a JWT begins",
        "-----BEGIN CERTIFICATE-----",
        "a" * 64,
        "see https://example.com:8080/path?to=x@y and mailto:ann@example.com",
        "ssh://git@example.com:22/repo.git",
        "ghp_tooshort xoxb- sk_live_ lfa_ whsec_",
        "\x1b[32mINFO\x1b[0m order \x1b[1m17\x1b[0m handled in 12 ms, C:\\temp\\u2030 \\/",
        "pk_live_4eC39HqLyjWDarjtT1zdp7dc is public",
    ],
)
def test_text_without_secret_is_unchanged(text: str) -> None:
    assert redacted(text, "all") == text


def test_name_of_a_hidden_value_stays() -> None:
    assert redacted("postgres://ann:s3cr3t@db/x", "all") == f"postgres://ann:{REDACTED}@db/x"
    assert redacted(f"Authorization: Basic {BASIC}\r", "all") == f"Authorization: Basic {REDACTED}\r"
    assert redacted("id=\x1b[33mAKIAABCDEFGHIJKLMNOP\x1b[0m ok", "all") == f"id=\x1b[33m{REDACTED}\x1b[0m ok"


def test_users_pattern_is_searched_in_the_visible_text() -> None:
    assert redacted("pin=\x1b[1m12\x1b[0m34 x", patterns=(r"pin=(?P<secret>\d{4})",)) == f"pin=\x1b[1m{REDACTED} x"


def test_unmatched_group_hides_the_whole_match() -> None:
    assert redacted("a b", patterns=(r"a(?P<secret>\d)?",)) == f"{REDACTED} b"


def test_text_of_lone_surrogates_is_searched() -> None:
    for dressed in ("\ud800 AKIAIOSFODNN7EXAMPLE \udfff", "\ud83d\x1b[1mAKIAIOSFODNN7EXAMPLE", "ü\udc00 pin 1234"):
        shown = redacted(dressed, "all", patterns=(r"pin \d+",))
        assert REDACTED in shown
        assert "AKIA" not in shown
        assert shown[0] == dressed[0]


# --- keys over several lines ----------------------------------------------------------------------------------------

BODY = [b64encode(Random(1).randbytes(48)).decode() for _ in range(12)]


def key(kind: str = "RSA PRIVATE KEY", body: list[str] = BODY) -> list[str]:
    return [f"-----BEGIN {kind}-----", *body, f"-----END {kind}-----"]


def hidden_lines(texts: list[str], *names: str) -> list[str]:
    shown, _ = Redactor(Redaction(names or ("all",))).redact("o" * len(texts), texts)
    return shown


@pytest.mark.parametrize(
    "marker",
    [
        "ERROR tls.key must begin with -----BEGIN PRIVATE KEY-----",
        '203.0.113.9 "GET / HTTP/1.1" 200 12 "-----BEGIN PRIVATE KEY-----"',
        '{"msg":"expected -----BEGIN PGP PRIVATE KEY BLOCK-----","level":"error"}',
        "\x1b[31mno -----BEGIN OPENSSH PRIVATE KEY----- in the file\x1b[0m",
    ],
)
def test_line_that_only_names_the_marker_hides_only_the_marker(marker: str) -> None:
    lines = [f"INFO order {number} handled" for number in range(5)]
    shown = hidden_lines([marker, *lines])
    assert shown[1:] == lines
    assert "PRIVATE KEY" not in shown[0]
    assert shown[0].startswith(marker[:3])


@pytest.mark.parametrize(
    "line",
    [
        "this line and all after it must arrive",
        "GET /api/v1/items/orders/sessions/users/4711/basket/checkout HTTP/1.1",
        "2026-12-01T10:00:00Z INFO started",
        '{"level":"info","msg":"ready","id":"550e8400-e29b-41d4-a716-446655440000"}',
        "sha256:" + "0123456789abcdef" * 4,
        "Traceback (most recent call last):",
        "größe=12",
    ],
)
def test_key_ends_at_a_line_that_cannot_be_part_of_one(line: str) -> None:
    assert hidden_lines(["-----BEGIN PRIVATE KEY-----", BODY[0], line, BODY[1]]) == [REDACTED, REDACTED, line, BODY[1]]


def test_key_ends_after_200_lines() -> None:
    shown = hidden_lines(["-----BEGIN PRIVATE KEY-----", *["word"] * 300])
    assert shown == [REDACTED] * 201 + ["word"] * 100


@pytest.mark.parametrize(
    "dress",
    [
        str,
        lambda line: f"    {line}",
        lambda line: f"\x1b[2m{line}\x1b[0m",
        lambda line: f"2026-12-01 10:00:00 INFO [main] {line}",
        lambda line: f'{{"level":"info","msg":"{line}"}}',
        lambda line: f'  "{line}\\n" +',
        lambda line: f"web-1  | {line}\r",
    ],
)
@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("RSA PRIVATE KEY", ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0F1E", ""]),
        ("OPENSSH PRIVATE KEY", []),
        ("PGP PRIVATE KEY BLOCK", ["Version: GnuPG v2", "", BODY[0], "=aB3d"]),
        ("ENCRYPTED PRIVATE KEY", []),
    ],
)
def test_lines_of_a_key_are_hidden_however_they_are_logged(
    dress: Callable[[str], str], kind: str, head: list[str]
) -> None:
    bare = dress("").strip() == ""
    lines = key(kind, [*(head if bare else []), *BODY])
    shown = hidden_lines(["before", *map(dress, lines), "after it"])
    assert (shown[0], shown[-1]) == ("before", "after it")
    assert not any(part in line for line in shown for part in BODY)
    assert all(REDACTED in line for line in shown[1:-1])


HEADED = {
    "RSA PRIVATE KEY": ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0F1E2D3C", ""],
    "EC PRIVATE KEY": ["Proc-Type: 4,ENCRYPTED", "DEK-Info: DES-EDE3-CBC,0F1E2D3C4B5A6978", ""],
    "PGP PRIVATE KEY BLOCK": ["Version: GnuPG v2.4", "Comment: of the build server", ""],
    "SSH2 ENCRYPTED PRIVATE KEY": ['Comment: "2048-bit rsa"'],
}
DRESSES: list[Callable[[str], str]] = [
    lambda line: f"2026-11-30 INFO {line}",
    lambda line: f"2026-11-30 INFO {line}".rstrip(),
    lambda line: f"2026-12-01T10:00:00.123Z  WARN 1 --- [main] c.e.Tls : {line}",
    lambda line: f"\x1b[2m10:00:00\x1b[0m \x1b[32mINFO\x1b[0m {line}",
    lambda line: json.dumps({"level": "info", "msg": line}),
    lambda line: json.dumps({"msg": line + "\n", "level": "info", "time": "2026-11-30T10:00:00Z"}),
    lambda line: json.dumps({"log": line, "container_id": "0f1e2d3c4b5a"}, separators=(",", ":")),
    lambda line: f"level=info msg={json.dumps(line)}",
    lambda line: f"ts=1 msg='{line}' x=1",
    lambda line: f"web-1  | {line}\r",
]
SHORT_LAST = "aB3dEfG="


def hidden_in_steps(texts: list[str], rng: Random) -> list[str]:
    """Hide as an agent does that is restarted every few lines."""
    at, shown, state = 0, list[str](), ""
    while at < len(texts):
        redactor = Redactor(Redaction(("all",)))
        redactor.resume(state)
        stop = at + rng.randrange(1, 4)
        shown += redactor.redact("o" * len(texts[at:stop]), texts[at:stop])[0]
        state, at = redactor.state, stop
        assert len(state) <= 5
        assert state == "" or (state.isalpha() and state.islower())
    return shown


@given(st.sampled_from(sorted(HEADED)), st.sampled_from(DRESSES), st.integers(0, 2**32), st.booleans())
@settings(max_examples=80, deadline=None)
def test_key_with_headers_is_hidden_behind_any_prefix(
    kind: str, dress: Callable[[str], str], seed: int, every_empty_line: bool
) -> None:
    """Also by an agent that is restarted within it, and if the logger omits the empty line."""
    rng = Random(seed)
    body = [b64encode(rng.randbytes(48)).decode() for _ in range(rng.randrange(1, 30))]
    head = [line for line in HEADED[kind] if line or every_empty_line]
    texts = ["before", *map(dress, key(kind, [*head, *body, SHORT_LAST])), "after it", "word"]
    shown = hidden_lines(texts)
    assert not any(part in line for line in shown for part in (*body, SHORT_LAST, "DEK-Info", "Proc-Type"))
    assert (shown[0], shown[-2:]) == ("before", ["after it", "word"])
    assert hidden_in_steps(texts, rng) == shown


@pytest.mark.parametrize("dress", DRESSES)
def test_key_with_headers_is_hidden_after_version_0_1_read_a_part(
    dress: Callable[[str], str],
) -> None:
    texts = [dress(line) for line in key("RSA PRIVATE KEY", [*HEADED["RSA PRIVATE KEY"], *BODY])]
    for at in range(1, 5):
        redactor = Redactor(Redaction(("all",)))
        redactor.redact("o" * at, texts[:at])
        redactor.resume("".join(sorted(redactor.state)))
        shown = redactor.redact("o" * len(texts[at:]), texts[at:])[0]
        assert not any(part in line for line in shown for part in BODY)


@pytest.mark.parametrize(
    "following",
    [
        ["INFO Version: 2.1 started", "INFO order 1 handled", "word", "INFO order 2 handled"],
        ["INFO Subject: your order", "INFO order 1 handled", "INFO order 2 handled"],
        ["INFO order 1 handled", "INFO Version: 2.1 started", "word"],
        ['{"msg":"ready","id":"aB3dEfGh","n":1}', '{"msg":"ready","id":"aB3dEfGh","n":2}'],
        ["INFO the Proc-Type: 4,ENCRYPTED-ish", "INFO DEK-Info is missing"],
    ],
)
def test_text_behind_a_lone_marker_is_shown_although_it_looks_like_a_header(following: list[str]) -> None:
    assert hidden_lines(["INFO no -----BEGIN PGP PRIVATE KEY BLOCK-----", *following])[1:] == following


def test_key_with_headers_ends_after_200_lines() -> None:
    lines = [f"INFO {BODY[number % 12]}" for number in range(300)]
    head = [f"INFO {line}" for line in HEADED["RSA PRIVATE KEY"]]
    shown = hidden_lines(["INFO -----BEGIN RSA PRIVATE KEY-----", *head, *lines])
    assert shown[-103:] == lines[-103:]
    assert shown[4:-103] == [REDACTED] * 197


def test_each_kind_of_key_is_hidden_by_its_name() -> None:
    pem, pgp = key(), key("PGP PRIVATE KEY BLOCK")
    assert hidden_lines(pem + pgp, "private_key") == [REDACTED] * len(pem) + pgp
    assert hidden_lines(pem + pgp, "pgp") == pem + [REDACTED] * len(pgp)


def test_key_within_one_line_hides_what_is_between_its_markers() -> None:
    text = "x " + "\\n".join(key()) + "\\n y " + "\\n".join(key("EC PRIVATE KEY")) + " z"
    assert hidden_lines([text, "next"]) == [f"x {REDACTED}\\n y {REDACTED} z", "next"]


@given(st.integers(-40, 80))
@settings(max_examples=40, deadline=None)
def test_key_within_one_line_is_hidden_wherever_docker_split_the_line(before: int) -> None:
    """Also if the split goes through a marker."""
    text = "x" * (16_384 - 40 - before) + "\\n".join(key(body=BODY[:6])) + " after it"
    redactor = Redactor(Redaction(("all",)))
    pieces = redactor.redact_cuts("oO", [text[:16_384], text[16_384:]])
    shown, _ = redactor.redact("oO", pieces)
    assert not any(part in "".join(shown) for part in BODY)
    assert shown[1].endswith(" after it")


def test_key_in_a_merged_entry_is_hidden_as_one() -> None:
    text = "\n".join(["loading key", *key(), " done", "-----BEGIN PRIVATE KEY-----", BODY[0]])
    redactor = Redactor(Redaction(("all",)))
    shown, states = redactor.redact("oo", [text, BODY[1]])
    assert shown == [f"loading key\n{REDACTED}\n done\n{REDACTED}", REDACTED]
    assert all(states)
    assert redactor.hidden == {"private_key": 2}


def test_state_of_a_cursor_of_version_0_1_is_inside_a_key() -> None:
    """It names only the streams; and that version finds the streams in the current state."""
    redactor = Redactor(Redaction(("private_key",)))
    redactor.resume("o")
    assert redactor.redact("oe", [BODY[0], BODY[1]])[0] == [REDACTED, BODY[1]]
    for old in ("eo", "oe", "e"):
        redactor.resume(old)
        assert redactor.redact("e", [BODY[0]])[0] == [REDACTED]
    redactor.redact("o", ["-----BEGIN PRIVATE KEY-----"])
    assert redactor.state.isalpha()
    assert {"e", "o"} <= set(redactor.state)


@pytest.mark.parametrize("streams", ["o", "e", "oe"])
def test_key_stays_hidden_after_version_0_1_read_a_part(streams: str) -> None:
    """It sorts the letters of the given state; their order then says nothing about lines."""
    one = Redactor(Redaction(("private_key",)))
    one.redact(streams, ["-----BEGIN PRIVATE KEY-----"] * len(streams))
    for _ in range(200):
        rolled_back = set(filter(str.islower, one.state))
        other = Redactor(Redaction(("private_key",)))
        other.resume("".join(sorted(rolled_back)))
        shown, _states = other.redact(streams * 100, [BODY[0]] * 100 * len(streams))
        assert set(shown) == {REDACTED}, one.state
        other.resume("".join(sorted(rolled_back - {"o", "e"})))
        assert other.redact(streams, [BODY[0]] * len(streams))[0] == [BODY[0]] * len(streams)
        one.redact(streams, [BODY[0]] * len(streams))


@given(st.integers(0, 300), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_key_resumed_from_any_state_is_hidden_as_if_read_at_once(count: int, seed: int) -> None:
    rng = Random(seed)
    texts = ["-----BEGIN PRIVATE KEY-----", *["word"] * count, "-----END PRIVATE KEY-----", "after it", "word"]
    whole = hidden_lines(texts)
    at, shown, state = 0, list[str](), ""
    while at < len(texts):
        redactor = Redactor(Redaction(("all",)))
        redactor.resume(state)
        stop = at + rng.randrange(1, 150)
        shown += redactor.redact("o" * len(texts[at:stop]), texts[at:stop])[0]
        state, at = redactor.state, stop
    assert shown == whole


# --- with a second process ------------------------------------------------------------------------------------------

NO_LINE_FEED = st.characters(exclude_categories=["Cs"], exclude_characters="\n")
LINE = st.one_of(
    st.sampled_from([text for _, text, _ in SECRETS]),
    st.sampled_from([text for _, text, _ in SECRETS]).map(coloured_values),
    st.sampled_from([text for _, text, _ in SECRETS]).map(escaped),
    st.sampled_from(["bearer", "://", "AKIA", "\x1b[31m", "\\u0041", "x" * 9_000, "größe 12", "", "pin 12", "a\\nb"]),
    st.text(NO_LINE_FEED, max_size=30),
)
REDACTIONS = st.sampled_from(
    [
        Redaction(("all",)),
        Redaction(("aws", "jwt")),
        Redaction((), (r"pin \d+",)),
        Redaction(("all",), (r"\Apin", r"12\z", r"[^x]*12")),
        Redaction(),
    ]
)


@given(st.lists(st.tuples(LINE, st.sampled_from("oe")), min_size=1, max_size=40), REDACTIONS, st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_lines_are_redacted_alike_with_and_without_preencoding(
    lines: list[tuple[str, str]], redaction: Redaction, step: int
) -> None:
    """For any ranges and chunks; the counts of hidden values are equal."""
    data = b"".join(
        record(LogFragment(letter, START + at, f"{text}\n".encode())) for at, (text, letter) in enumerate(lines)
    )
    with file_of(data) as fd:
        answers = list(encode_stretch(fd, PreencodeRequest(0, len(data), StreamPositions(), len(data), redaction)))
    preencoded = [answer for answer in answers if isinstance(answer, PreencodedSlice)]
    fragments = parse_plain(data)
    assert fragments is not None
    texts = [text for batch in preencoded for text in decode_body(batch.body).texts]
    redactor = Redactor(redaction)
    expected = list[str]()
    for at in range(0, len(fragments), step):
        part = fragments.slice(at, at + step)
        expected += redactor.redact(part.streams, part.texts)[0]
    assert texts == expected[: len(texts)]
    if preencoded and len(texts) == len(expected):
        assert sum((Counter(batch.hidden) for batch in preencoded), Counter()) == redactor.hidden
    assert not preencoded or len(texts) == len(fragments)
    at = 0
    for batch in preencoded:
        shown = list(decode_body(batch.body).texts)
        for index, original in batch.originals:
            shown[index] = original
        assert shown == fragments.texts[at : at + batch.count], "what was changed can be had again"
        at += batch.count


def test_line_in_which_a_key_may_begin_is_not_preencoded() -> None:
    assert redact_lines(Redaction(("private_key",)), ["x", "-----BEGIN PRIVATE KEY-----"]) is None
    assert redact_lines(Redaction(("private_key",)), ["-----BEGIN PRIVATE\\u0020KEY-----"]) is None
    assert redact_lines(Redaction(("aws",)), ["-----BEGIN PRIVATE KEY-----"]) == ([], Counter())


@given(st.lists(LINE | st.lists(LINE, max_size=3).map("\n".join), max_size=20), REDACTIONS)
@settings(max_examples=150, deadline=None)
def test_search_over_joined_lines_misses_nothing(texts: list[str], redaction: Redaction) -> None:
    """Each text with a secret of its own is among those that the one search names."""
    rules = compile_rules(redaction)
    changed = {index for index, text in enumerate(texts) if rules.redact_line(text, Counter()) != text}
    assert changed <= set(rules.find_suspects(texts))


def test_lines_without_secrets_are_searched_once() -> None:
    """However many they are."""
    rules = compile_rules(Redaction(("all",)))
    assert rules.find_suspects([f"10.0.0.{at} GET https://example.com/items/{at} 200" for at in range(1_000)]) == []


# --- a reader's view ------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.sampled_from(
            ["\x1b[31m", "\\u0041", "\\\\u0042", "\\x43", "\\/", "\x1b]8;;u\x07", "\x1b(B", "\x0f", "\x9b1m"]
        )
        | st.text("ab\\/u\x1b[]m 0;\n", max_size=6)
    ).map("".join)
)
def test_each_visible_character_is_found_in_the_text(text: str) -> None:
    view = VisibleText(text)
    shown = to_visible(text, text.encode())
    assert (text if shown is None else shown) == view.text
    places = [view.in_source(at, at + 1) for at in range(len(view.text))]
    assert all(begin < end for begin, end in places)
    assert all(one[1] <= other[0] for one, other in pairwise(places))
    for shown, (begin, end) in zip(view.text, places, strict=True):
        assert end - begin > 1 or text[begin] == shown
    assert view.text.count("\n") == text.count("\n")


# --- a container's metadata -----------------------------------------------------------------------------------------


def test_labels_and_names_are_redacted_like_lines() -> None:
    labels = {
        "a": "postgres://ann:s3cr3t@db/x",
        "aws.secret_access_key": AWS_SECRET,
        "key": "\n".join(key(body=BODY[:2])),
        "b": "plain",
        "logferry.merge-start": "^AKIAIOSFODNN7EXAMPLE",
        "AKIAIOSFODNN7EXAMPLE": "2",
    }
    given_container = Container(name="web", image="https://ann:s3cr3t@registry/x", labels=labels)
    told, hidden = redact_container(Redaction(("all",)), given_container)
    assert told.labels == {
        "a": f"postgres://ann:{REDACTED}@db/x",
        "aws.secret_access_key": REDACTED,
        "key": REDACTED,
        "b": "plain",
        "logferry.merge-start": f"^{REDACTED}",
        REDACTED: "2",
    }
    assert told.image == f"https://ann:{REDACTED}@registry/x"
    assert hidden == {"aws": 3, "url_password": 2, "private_key": 1}
    assert redact_container(Redaction(), given_container)[0] is given_container
    assert redact_container(Redaction(("all",)), told)[0] == told


def test_labels_that_are_valid_settings_are_unchanged() -> None:
    labels = {"logferry.owner": "AKIAIOSFODNN7EXAMPLE", "logferry.rate-limit": "AKIAIOSFODNN7EXAMPLE"}
    processing = ProcessingOptions(redact=("all",))
    told, _ = redact_container(
        processing.redaction, Container(labels=labels), apply_label_settings(processing, labels).valid
    )
    assert told.labels == {**labels, "logferry.rate-limit": REDACTED}


def test_sentences_of_system_events_are_redacted() -> None:
    """The engine's errors may quote a container's text."""
    quoting = encode_event(Gap(reason="engine", count=3, detail=f"at {JWT}"))
    key_text = encode_event(Notice(code="unreadable", detail="x -----BEGIN PRIVATE KEY-----\n" + BODY[0]))
    plain_event = encode_event(Notice(code="label", detail="bäd"))
    redactor = Redactor(Redaction(("all",)))
    shown, _ = redactor.redact("sosso", [quoting, JWT, key_text, plain_event, BODY[1]])
    assert shown[:2] == [encode_event(Gap(reason="engine", count=3, detail=f"at {REDACTED}")), REDACTED]
    assert shown[2] == encode_event(Notice(code="unreadable", detail=REDACTED))
    assert shown[3:] == [plain_event, BODY[1]]
    assert redactor.hidden == {"jwt": 2, "private_key": 1}


def test_labels_that_fit_the_wire_fit_it_when_redacted() -> None:
    """Although a marker may be longer than what it hides."""
    value = "://:a@" * 42
    full = Container(labels={f"l{number}": value for number in range(15)})
    told, hidden = redact_container(Redaction(("url_password",)), full)
    assert hidden == {"url_password": 15 * 42}
    assert set(told.labels.values()) == {"://:[@" * 42}


# --- linear time ----------------------------------------------------------------------------------------------------

HOSTILE = {
    "aws": "AKIA",
    "aws key": "secret_key=",
    "aws quotes": 'secret_key"',
    "aws token": "session_token",
    "basic": "basic ",
    "basic pair": "basic YTpiOmM6ZA ",
    "bearer": "bearer ",
    "bearer token": "bearer 12345678 ",
    "github": "ghp_",
    "github pat": "github_pat_",
    "jwt": "eyJ-",
    "jwt dots": "eyJaaaaaaaa..",
    "key": "-----BEGIN PRIVATE KEY-----",
    "key word": "-----BEGIN PRIVATE ",
    "key ends": "-----END ",
    "key header": "-----BEGIN PRIVATE KEY-----DEK-Info: AAA",
    "key value": ':"aaaa',
    "key last": "aaaa",
    "logferry": "lfa_aaaaaaaaaaaa_",
    "slack": "xoxb-",
    "slack hook": "hooks.slack.com/services/",
    "stripe": "sk_live_",
    "url": "://a:",
    "url at": "://:a@",
    "url at sign": "://a:b@@",
    "escape": "\x1b[",
    "colour": "\x1b[1m",
    "title": "\x1b]",
    "json": "\\u0041",
    "slashes": "\\/",
    "backslashes": "\\",
}


def work_of(does: Callable[[], object]) -> int:
    """Count calls of Python's and C's functions."""
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        does()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", HOSTILE)
def test_work_grows_with_the_length_of_a_hostile_line(name: str) -> None:
    """The patterns are RE2's, or recheck finds them linear (`make check`)."""
    unit = HOSTILE[name]
    work = []
    for size in (2_048, 8_192):
        text = (unit * size)[:size]
        redactor = Redactor(Redaction(("all",)))
        work.append(work_of(lambda text=text, redactor=redactor: redactor.redact("oo", [text, text])))  # type: ignore[misc]
    assert work[1] <= 5 * work[0] + 100


def test_every_kind_is_tested_by_a_hostile_line() -> None:
    assert all(
        name in {each.split()[0] for each in HOSTILE} | {"private_key", "pgp", "url_password"} for name in BUILT_IN
    )


@pytest.mark.parametrize("text", ["bearer 12345678 " * 1_024, "\x1b[1mbearer 12345678 " * 800, "://:a@" * 2_730])
def test_redaction_never_makes_an_entry_too_long(text: str) -> None:
    shown = redacted(text, "all")
    assert len(shown.encode()) <= MAX_ENTRY_BYTES
    assert "12345678" not in shown


@pytest.mark.parametrize("before", [1, 8, 4_000, 4_097, 9_000])
@pytest.mark.parametrize("after", [1, 4_097, 9_000])
def test_token_of_any_length_is_hidden_across_a_split(before: int, after: int) -> None:
    """Its name may be far before the split, and its end far behind."""
    line = ("x " * 8_192)[: 16_384 - before - 7] + "Bearer " + "aB3." * ((before + after) // 4 + 2)
    line = f"{line[: 16_384 + after]} and more"
    redactor = Redactor(Redaction(("bearer",)))
    texts, _ = redactor.redact("oO", redactor.redact_cuts("oO", [line[:16_384], line[16_384:]]))
    assert "aB3" not in "".join(texts)
    assert texts[1].endswith(" and more")


@pytest.mark.parametrize("pattern", [r"\Asecret: (?P<secret>\w+)", r"secret: (?P<secret>\w+)\z", r"(?-m:^)secret: abc"])
@pytest.mark.parametrize("entry", ["# x\nsecret: abc", "secret: abc\nsecret: abc", "é\nsecret: abc\n"])
def test_merging_does_not_evade_a_pattern_with_an_end_anchor(pattern: str, entry: str) -> None:
    """A container's label may merge its lines."""
    redactor = Redactor(Redaction((), (pattern,)))
    ((text,), _) = redactor.redact("o", [entry])
    assert "abc" not in text
    assert text.count(REDACTED) == entry.count("abc") == redactor.hidden["pattern_1"]
