"""The sentences that readers show for system events, written once as data.

`events.describe` renders them for the CLI. The viewer renders a generated copy of the tables
(`infra/generate/event_sentences.py`), with the same rules:

- A sentence is the text of all parts whose condition holds, joined without a separator.
- `{field}` stands for the event's field of that name. `count` gets thousands separators. `reason` becomes its text in
  `GAP_REASONS`. An unknown reason, and every `code`, has its underscores replaced by spaces. Each reader formats the
  times `start` and `end` in its own way. Other values stand as they are.
- Sentences start in lower case and end without a full stop, so that each reader can embed them.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

Condition = Literal["always", "present", "absent", "true", "false", "one", "other"]
"""When a part is shown, depending on one field of the event.

- `present`, `absent`: the field has a value, or has none (None, or missing from the JSON)
- `true`, `false`: the value is true or false in both Python and JavaScript (0, `False`, `""` and no value are false)
- `one`, `other`: the number is 1, or any other number (the plural categories of English)
"""


class Part(NamedTuple):
    """A piece of a sentence, and when it is shown."""

    text: str
    when: Condition = "always"
    field: str = ""
    """The field that `when` looks at; empty for `always`."""


SENTENCES: Final[Mapping[str, tuple[Part, ...]]] = {
    "started": (Part("container started"),),
    "restarted": (Part("container restarted"), Part(" (restart {restarts})", "true", "restarts")),
    "exited": (
        Part("container exited"),
        Part(" with code {exit_code}", "present", "exit_code"),
        Part(", out of memory", "true", "oom"),
        Part(", removed", "true", "removed"),
    ),
    "gap": (
        Part("lines", "absent", "count"),
        Part("1 line", "one", "count"),
        Part("{count} lines", "other", "count"),
        Part(" missing: {reason}"),
        Part(" ({detail})", "true", "detail"),
    ),
    "notice": (Part("{detail}", "true", "detail"), Part("{code}", "false", "detail")),
}
"""The sentence of each kind of event, by the value of the field `event`."""

GAP_AT: Final = ", at {start}"
"""Follows the sentence of a gap whose `start` and `end` look the same, where a reader shows times."""

GAP_BETWEEN: Final = ", between {start} and {end}"
"""Follows the sentence of a gap that has `start` and `end`, where a reader shows times."""

GapReason = Literal[
    "rotated",
    "removed",
    "truncated",
    "corrupt",
    "engine",
    "spool_full",
    "spool_lost",
    "rejected",
    "quota",
    "rate_limit",
    "conflict",
]
"""Why entries are missing."""

GAP_REASONS: Final[Mapping[str, str]] = {
    "rotated": "the engine rotated them away before they were read",
    "removed": "the container was removed before they were read",
    "truncated": "the log file was truncated",
    "corrupt": "the log could not be parsed",
    "engine": "the engine skipped them",
    "spool_full": "the agent's spool was full",
    "spool_lost": "the agent's spool was lost",
    "rejected": "the cloud rejected them",
    "quota": "the quota was used up",
    "rate_limit": "the container wrote more than its rate limit",
    "conflict": "another writer stored different entries",
}
"""The text for each reason of a gap."""

UNKNOWN_REASON: Final = "for an unknown reason"
"""The text for a gap without a readable reason."""


def sentence(kind: str, fields: Mapping[str, Any]) -> str:
    """Return the sentence for an event.

    Args:
        kind: a key of `SENTENCES`.
        fields: the event's fields, as in its JSON.
    """
    values = dict(fields)
    if values.get("count") is not None:
        values["count"] = f"{values['count']:,}"
    reason = str(values.get("reason") or "")
    values["reason"] = GAP_REASONS.get(reason) or reason.replace("_", " ") or UNKNOWN_REASON
    values["code"] = str(values.get("code") or "").replace("_", " ")
    return "".join(part.text.format_map(values) for part in SENTENCES[kind] if _shown(part, fields))


def _shown(part: Part, fields: Mapping[str, Any]) -> bool:
    value = fields.get(part.field)
    return {
        "always": True,
        "present": value is not None,
        "absent": value is None,
        "true": bool(value),
        "false": not value,
        "one": value == 1,
        "other": value is not None and value != 1,
    }[part.when]
