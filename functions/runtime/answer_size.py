"""Counts what an answer costs of the bytes that Lambda allows."""

import json
from json.encoder import encode_basestring_ascii
from typing import Any, Final

MAX_TEXT_BYTES: Final = 6_000_000
"""Bytes of the text in an answer, as `encoded_bytes` counts them.

Lambda fails an invocation whose answer has more than 6,291,556 bytes as JSON. So 291,556 are left for the rest of it.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html ("6 MB each for request and response"); the
number is in the error of a larger answer, `Response payload size exceeded maximum allowed payload size (6291556 bytes)`
"""


def encoded_bytes(text: str) -> int:
    """Return the bytes of a text as a part of the answer's body: escaped, without the quotes around it.

    Runtimes before python3.12 escape every character that is not ASCII, later ones do not. This is the larger number.
    The numbers of two texts add up to the number of both together.
    """
    return len(encode_basestring_ascii(text)) - 2


def to_json(document: Any) -> str:
    """Return a document as the JSON of an answer. Escapes would cost two or three times the bytes of other scripts."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
