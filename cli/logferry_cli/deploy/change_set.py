"""What a change set would do, in words, and whether it may be executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from logferry_cli.deploy.template import DATA

DATA_TYPES: Final = frozenset({"AWS::DynamoDB::Table", "AWS::S3::Bucket"})
REPLACING: Final = frozenset(
    {"TableName", "KeySchema", "LocalSecondaryIndexes", "ImportSourceSpecification", "BucketName", "BucketNamespace"}
)
"""What replaces a table or bucket, by CloudFormation's reference. It says "conditionally" of more, such as an attribute
definition, which replaces a table only when the type of one of its keys changes."""
SHOWN: Final = ("remove", "replace", "change")
"""The kinds of changes that are listed one by one. Additions are counted by type."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource."""

    resource: str
    """Its logical id."""
    type: str
    action: str
    """`Add`, `Modify`, `Remove`, `Import` or `Dynamic`."""
    replacement: str = "False"
    """`True`, `False` or `Conditional`."""
    properties: tuple[str, ...] = ()
    """What changes, and of these `recreating` is what replaces the resource."""
    recreating: tuple[str, ...] = ()
    follows: bool = False
    """Whether it changes only if something that it names turns out to change."""

    @property
    def verb(self) -> str:
        """What is done, as one word."""
        if self.action == "Modify" and self.replacement == "True":
            return "replace"
        return {"Add": "add", "Modify": "change", "Remove": "remove"}.get(self.action, self.action.lower())

    @property
    def endangers_data(self) -> bool:
        """Whether a table or bucket would be replaced, or leave the stack."""
        if self.type not in DATA_TYPES:
            return False
        if self.action == "Remove":
            return self.resource in DATA
        if self.replacement == "True":
            return True
        return self.replacement == "Conditional" and bool(REPLACING.intersection(self.recreating))


def changes_of(described: Iterable[Mapping[str, Any]]) -> list[Change]:
    """Return the changes of `DescribeChangeSet`'s answer, in its order."""
    found = []
    for one in described:
        change = one.get("ResourceChange")
        if change is None:
            continue
        targets = [detail.get("Target", {}) for detail in change.get("Details", ())]
        names = [target.get("Name") or target.get("Attribute", "") for target in targets]
        recreating = [
            name
            for name, target in zip(names, targets, strict=True)
            if target.get("RequiresRecreation", "Never") != "Never"
        ]
        found.append(
            Change(
                change["LogicalResourceId"],
                change["ResourceType"],
                change["Action"],
                change.get("Replacement", "False"),
                tuple(dict.fromkeys(name for name in names if name)),
                tuple(dict.fromkeys(recreating)),
                follows=bool(change.get("Details"))
                and all(detail.get("Evaluation") == "Dynamic" for detail in change["Details"]),
            )
        )
    return found


def refusals(changes: Sequence[Change]) -> list[str]:
    """Return why a change set must not be executed, one sentence for each resource."""
    return [
        f"{change.resource} ({change.type}) would be {'removed' if change.action == 'Remove' else 'replaced'}"
        + (f" by a change of {', '.join(change.recreating)}" if change.recreating else "")
        + "."
        for change in changes
        if change.endangers_data
    ]


def describe(changes: Sequence[Change], *, at_most: int = 30) -> Iterator[str]:
    """Yield lines for a terminal: what is removed and replaced first, then what is changed, then counts of the rest."""
    certain = [change for change in changes if change.verb in SHOWN and not change.follows]
    certain.sort(key=lambda change: SHOWN.index(change.verb))
    for change in certain[:at_most]:
        why = f": {', '.join(change.properties)}" if change.properties else ""
        maybe = " (may be replaced)" if change.replacement == "Conditional" else ""
        yield f"  {change.verb:<8} {change.resource} ({change.type}){why}{maybe}"
    if len(certain) > at_most:
        yield f"  … and {len(certain) - at_most} more"
    for kind, count in sorted(Counter(change.type for change in changes if change.verb not in SHOWN).items()):
        yield f"  add      {count} × {kind}"
    if following := sum(change.follows for change in changes):
        yield f"  {following} others may change with what they refer to"


def summary(changes: Sequence[Change]) -> str:
    """Return the counts in one line."""
    counts = Counter(change.verb for change in changes if not change.follows)
    words = {"add": "added", "change": "changed", "replace": "replaced", "remove": "removed"}
    found = [f"{counts[verb]} {word}" for verb, word in words.items() if counts[verb]]
    if following := sum(change.follows for change in changes):
        found.append(f"{following} perhaps changed")
    return ", ".join(found) or "nothing"
