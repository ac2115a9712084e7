"""Test the golden messages, which the viewer's tests read too."""

import base64
import json
from pathlib import Path

import pytest

from logferry_protocol import batch, messages
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import BatchError, MalformedMessageError

GOLDEN = json.loads((Path(__file__).parent / "messages.json").read_text())
GOOD = [(family, message) for family, found in GOLDEN["good"].items() for message in found]
BAD = [(family, text) for family, found in GOLDEN["bad"].items() for text in found]


@pytest.mark.parametrize(
    ("family", "message"), GOOD, ids=lambda value: value if isinstance(value, str) else value["type"]
)
def test_good_message_decodes_and_encodes_to_itself(family: str, message: dict[str, object]) -> None:
    decoded = messages.decode(json.dumps(message), messages.FAMILIES[family])
    assert json.loads(messages.encode(decoded)) == message


@pytest.mark.parametrize(("family", "text"), BAD)
def test_bad_message_is_refused_with_a_sentence(family: str, text: str) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        messages.decode(text, messages.FAMILIES[family])
    assert 0 < len(str(caught.value)) < 600


def test_every_message_type_has_a_golden_example() -> None:
    for family, adapter in messages.FAMILIES.items():
        mapping = adapter.json_schema()["discriminator"]["mapping"]
        assert {message["type"] for message in GOLDEN["good"][family]} == set(mapping), family


def test_golden_body_decodes_to_its_entries() -> None:
    golden = GOLDEN["body"]
    body = base64.b64decode(golden["body"])
    assert digest_of(body) == golden["digest"]
    rows = [
        {"sequence": sequence, "time": time, "character": character, "text": text}
        for sequence, time, character, text in batch.decode_body(body).rows(first=41)
    ]
    assert rows == golden["entries"]


@pytest.mark.parametrize("name", GOLDEN["bad_bodies"])
def test_bad_body_is_refused(name: str) -> None:
    with pytest.raises(BatchError):
        batch.decode_body(base64.b64decode(GOLDEN["bad_bodies"][name]))


def test_malformed_message_is_answered_by_its_id_if_it_has_one() -> None:
    with pytest.raises(MalformedMessageError) as caught:
        messages.decode('{"type": "ingest", "id": "i7", "batches": []}', messages.FROM_AGENT)
    assert caught.value.request_id == "i7"
