"""The principals of a deployment and their credentials, as items of the registry table.

A key is `lfa_<credential>_<secret>` for agents, `lfv_<credential>_<secret>` for viewers. It is shown once; the registry
holds its SHA-256. Revoking keeps the item: the table's stream tells broadcast of the change, which closes open
connections.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from boto3.dynamodb.conditions import Attr, ConditionBase, Key
from botocore.exceptions import BotoCoreError, ClientError

from logferry_cli.problems import Problem
from logferry_protocol.job import OWNER_PATTERN, PRINCIPAL_PATTERN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

Kind = Literal["agent", "viewer"]
Item = dict[str, Any]

PREFIXES: Final[dict[Kind, str]] = {"agent": "lfa", "viewer": "lfv"}
CREDENTIAL_CHARS: Final = 12
SECRET_BYTES: Final = 32
"""These are 43 characters of base64url."""

MAX_NAMES_BYTES: Final = 6_000
"""Bytes of a principal's groups or owners, with five more for each. The authorizer passes them on in at most 8 KB, and
would leave out the rest."""

_ALPHABET: Final = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent principal.

    Attributes:
        owner: The owner of its jobs.
        owners: Owners that a container's label may set (`*`: any).
    """

    name: str
    owner: str
    owners: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Viewer:
    """A viewer principal. It reads the jobs whose owner is its subject or one of its groups; an admin reads all."""

    name: str
    subject: str
    groups: Sequence[str] = ()
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key with its secret. This is the only time it can be seen."""

    key: str
    credential: str


def principal_item(principal: Agent | Viewer, now: int) -> Item:
    """Return the registry item of a principal.

    Args:
        principal: The principal.
        now: The time, in milliseconds since 1970.

    Raises:
        Problem: A name, owner, subject or group is not valid.
    """
    _check(
        _PRINCIPAL, principal.name, "principal name", "Use 1 to 63 characters of a-z, 0-9 and -, not starting with -."
    )
    item: Item = {
        "pk": f"PRINCIPAL#{principal.name}",
        "sk": "PRINCIPAL",
        "gpk": "PRINCIPALS",
        "gsk": principal.name,
        "name": principal.name,
        "created": now,
    }
    if isinstance(principal, Agent):
        for owner in (principal.owner, *(owner for owner in principal.owners if owner != "*")):
            _check_owner(owner, "owner")
        _check_room(principal.owners, "owners")
        return item | {"kind": "agent", "owner": principal.owner, "owners": list(principal.owners)}
    _check_owner(principal.subject, "subject")
    for group in principal.groups:
        _check_owner(group, "group")
    _check_room(principal.groups, "groups")
    return item | {
        "kind": "viewer",
        "subject": principal.subject,
        "groups": list(principal.groups),
        "admin": principal.admin,
    }


def new_key(kind: Kind) -> Issued:
    """Return a new key with a secret of 256 random bits."""
    credential = "".join(secrets.choice(_ALPHABET) for _ in range(CREDENTIAL_CHARS))
    return Issued(f"{PREFIXES[kind]}_{credential}_{secrets.token_urlsafe(SECRET_BYTES)}", credential)


def credential_item(principal: str, kind: Kind, issued: Issued, now: int, expires: int | None = None) -> Item:
    """Return the registry item of a key. It holds the key's hash, never the key.

    Args:
        principal: The principal's name.
        kind: The principal's kind.
        issued: The key.
        now: The time, in milliseconds since 1970.
        expires: When it expires, in seconds since 1970, as the table's TTL attribute needs; None: when it is revoked.
    """
    item: Item = {
        "pk": f"CREDENTIAL#{issued.credential}",
        "sk": "CREDENTIAL",
        "gpk": f"PRINCIPAL#{principal}",
        "gsk": f"CREDENTIAL#{now:013d}#{issued.credential}",
        "kind": kind,
        "principal": principal,
        "sha256": hashlib.sha256(issued.key.encode()).hexdigest(),
        "created": now,
    }
    return item if expires is None else item | {"expires": expires}


def credential_of(text: str) -> str:
    """Return the credential of a whole key, or of a credential's id.

    Raises:
        Problem: The text is neither.
    """
    credential = text.split("_", 2)[1] if text.startswith(("lfa_", "lfv_")) and text.count("_") >= 2 else text
    _check(_CREDENTIAL, credential, "credential", "Run `logferry keys list` to see them.")
    return credential


_PRINCIPAL: Final = re.compile(PRINCIPAL_PATTERN)
_OWNER: Final = re.compile(OWNER_PATTERN)
_CREDENTIAL: Final = re.compile(rf"^[a-z0-9]{{{CREDENTIAL_CHARS}}}$")
_ARN: Final = re.compile(
    r"(arn:(?:aws|aws-cn|aws-us-gov)):(?:"
    r"iam::(?P<account>[0-9]{12}):(?P<kind>role|user)/(?P<path>(?:[!-~]{1,512}/)?)(?P<name>[\w+=,.@-]{1,64})|"
    r"sts::(?P<assumer>[0-9]{12}):assumed-role/(?P<role>[\w+=,.@-]{1,64})/[\w+=,.@-]{2,64})",
    re.ASCII,
)


def canonical_arn(text: str) -> str:
    """Return the ARN by which STS names a role or user.

    STS leaves out a role's path. The session of an assumed role is left out, because its bearer chooses it.

    Raises:
        Problem: The text is the ARN of neither.
    """
    found = _ARN.fullmatch(text)
    if found is None:
        raise Problem(
            f"{text[:160]!r} is not the ARN of an AWS role or user.",
            "Give one like arn:aws:iam::123456789012:role/NAME; `aws sts get-caller-identity` on the host shows it.",
        )
    if found["kind"] == "user":
        return text
    return f"{found[1]}:iam::{found['account'] or found['assumer']}:role/{found['name'] or found['role']}"


class Registry:
    """The principals and credentials in one deployment's registry table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def ensure(self, principal: Agent | Viewer, now: int) -> bool:
        """Create the principal if it does not exist. An existing one is not changed.

        Args:
            principal: The principal.
            now: The time, in milliseconds since 1970.

        Returns:
            Whether it was created.

        Raises:
            Problem: A field is not valid, the name belongs to a principal of the other kind, or the table refused.
        """
        item = principal_item(principal, now)
        if self._put_new(item):
            return True
        found = self.principal(principal.name)
        if found is not None and found["kind"] != item["kind"]:
            raise Problem(
                f"The principal {principal.name} is a principal of kind {found['kind']}.", "Choose another name."
            )
        return False

    def principal(self, name: str) -> Item | None:
        """Return the principal's item, or None."""
        return self._get(f"PRINCIPAL#{name}", "PRINCIPAL")

    def credential(self, credential: str) -> Item | None:
        """Return the item of a key, or None."""
        return self._get(f"CREDENTIAL#{credential}", "CREDENTIAL")

    def _get(self, pk: str, sk: str) -> Item | None:
        with _table_errors():
            return self._table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item")

    def principals(self) -> Iterator[Item]:
        """Return all principals, by name."""
        return self._query(Key("gpk").eq("PRINCIPALS"))

    def credentials(self, principal: str) -> Iterator[Item]:
        """Return a principal's credentials, oldest first."""
        return self._query(Key("gpk").eq(f"PRINCIPAL#{principal}") & Key("gsk").begins_with("CREDENTIAL#"))

    def issue(self, principal: str, kind: Kind, now: int, expires: int | None = None) -> Issued:
        """Create a key for a principal.

        Args:
            principal: The principal's name.
            kind: The principal's kind.
            now: The time, in milliseconds since 1970.
            expires: When the key expires, in seconds since 1970; None: when it is revoked.

        Raises:
            Problem: There is no such principal of this kind, it is revoked, or the table refused.
        """
        self._living(principal, kind)
        while True:
            issued = new_key(kind)
            if self._put_new(credential_item(principal, kind, issued, now, expires)):
                return issued

    def revoke_credential(self, credential: str, now: int) -> None:
        """Revoke one key. The time of a first revocation is kept.

        Raises:
            Problem: There is no such credential, or the table refused.
        """
        if not self._revoke({"pk": f"CREDENTIAL#{credential}", "sk": "CREDENTIAL"}, now):
            raise Problem(f"There is no credential {credential}.", "Run `logferry keys list` to see the existing ones.")

    def revoke_principal(self, name: str, now: int) -> None:
        """Revoke all keys of a principal.

        Raises:
            Problem: There is no such principal, or the table refused.
        """
        if not self._revoke({"pk": f"PRINCIPAL#{name}", "sk": "PRINCIPAL"}, now):
            raise Problem(f"There is no principal {name}.", "Run `logferry keys list` to see the existing ones.")

    # --- AWS roles

    def roles(self, principal: str) -> Iterator[Item]:
        """Return the AWS roles and users mapped to a principal."""
        return self._query(Key("gpk").eq(f"PRINCIPAL#{principal}") & Key("gsk").begins_with("ROLE#"))

    def map_role(self, arn: str, principal: str, now: int) -> None:
        """Map an AWS role, by its canonical ARN, to an agent principal. A revoked mapping may be made again.

        Raises:
            Problem: There is no such agent, it is revoked, the role is mapped to another, or the table refused.
        """
        self._living(principal, "agent")
        key = {"pk": f"ROLE#{arn}", "sk": "ROLE"}
        item = key | {"gpk": f"PRINCIPAL#{principal}", "gsk": f"ROLE#{arn}", "arn": arn, "principal": principal}
        with _table_errors():
            try:
                self._table.put_item(
                    Item=item | {"created": now}, ConditionExpression=Attr("pk").not_exists() | Attr("revoked").exists()
                )
            except ClientError as error:
                if not _failed_condition(error):
                    raise
                there: Any = self._table.get_item(Key=key, ConsistentRead=True).get("Item", {})
                if there.get("principal", principal) != principal:
                    raise Problem(
                        f"The role {arn} is already mapped to {there['principal']}.",
                        "Revoke it first: `logferry roles revoke ARN`.",
                    ) from None

    def revoke_role(self, arn: str, now: int) -> None:
        """Revoke a role's mapping.

        Raises:
            Problem: There is no such role, or the table refused.
        """
        if not self._revoke({"pk": f"ROLE#{arn}", "sk": "ROLE"}, now):
            raise Problem(f"No role {arn} is mapped.", "Run `logferry roles list` to see the mapped ones.")

    def unique_id(self, role: Item) -> str | None:
        """Return the unique id (AROA…) that a mapped role had when it first signed in; None before.

        A role that is deleted and made again with the same name has another id, and is refused.
        """
        with _table_errors():
            answer = self._table.get_item(Key=_role_id_key(role), ConsistentRead=True)
        found = answer.get("Item")
        return str(found["unique_id"]) if found else None

    def rebind_role(self, arn: str) -> None:
        """Accept the role that has this ARN now in place of the one that had it before.

        Raises:
            Problem: No such role is mapped, or the table refused.
        """
        with _table_errors():
            role = self._table.get_item(Key={"pk": f"ROLE#{arn}", "sk": "ROLE"}, ConsistentRead=True).get("Item")
            if role is None or "revoked" in role:
                raise Problem(f"No role {arn} is mapped.", "Run `logferry roles list` to see the mapped ones.")
            self._table.delete_item(Key=_role_id_key(role))

    # --- quotas

    def quota(self, principal: str, day: str) -> tuple[int | None, int]:
        """Return an agent's daily quota in bytes (None: no limit), and the bytes stored on a day.

        Bytes are counted only while there is a quota.

        Args:
            principal: The agent's name.
            day: The day in UTC, as in `2026-11-25`.

        Raises:
            Problem: There is no such agent, or the table refused.
        """
        found = self._living(principal, "agent")
        with _table_errors():
            answer = self._table.get_item(Key={"pk": f"USAGE#{principal}", "sk": day}, ConsistentRead=True)
        stored: Any = answer.get("Item", {})
        return int(found["daily_bytes"]) if found.get("daily_bytes") else None, int(stored.get("bytes", 0))

    def set_quota(self, principal: str, daily_bytes: int | None) -> None:
        """Limit what an agent may store a day.

        Args:
            principal: The agent's name.
            daily_bytes: The limit in compressed bytes; None: no limit.

        Raises:
            Problem: There is no such agent, or the table refused.
        """
        self._living(principal, "agent")
        with _table_errors():
            self._table.update_item(
                Key={"pk": f"PRINCIPAL#{principal}", "sk": "PRINCIPAL"},
                UpdateExpression="SET daily_bytes = :bytes",
                ExpressionAttributeValues={":bytes": daily_bytes or 0},
                ConditionExpression=Attr("pk").exists(),
            )

    def _living(self, principal: str, kind: Kind) -> Item:
        found = self.principal(principal)
        if found is None or found["kind"] != kind:
            raise Problem(
                f"There is no {kind} principal {principal!r}.", "Run `logferry keys list` to see the existing ones."
            )
        if "revoked" in found:
            raise Problem(f"The principal {principal} is revoked.", "Choose another name.")
        return found

    def _put_new(self, item: Mapping[str, Any]) -> bool:
        with _table_errors():
            try:
                self._table.put_item(Item=item, ConditionExpression=Attr("pk").not_exists())
            except ClientError as error:
                if _failed_condition(error):
                    return False
                raise
        return True

    def _revoke(self, key: dict[str, str], now: int) -> bool:
        with _table_errors():
            try:
                self._table.update_item(
                    Key=key,
                    UpdateExpression="SET revoked = if_not_exists(revoked, :now)",
                    ExpressionAttributeValues={":now": now},
                    ConditionExpression=Attr("pk").exists(),
                )
            except ClientError as error:
                if _failed_condition(error):
                    return False
                raise
        return True

    def _query(self, condition: ConditionBase) -> Iterator[Item]:
        start: dict[str, Any] = {}
        while True:
            with _table_errors():
                page = self._table.query(IndexName="by_target", KeyConditionExpression=condition, **start)
            yield from page["Items"]
            if not (last := page.get("LastEvaluatedKey")):
                return
            start = {"ExclusiveStartKey": last}


def _role_id_key(role: Item) -> dict[str, str]:
    return {"pk": f"ROLEID#{role['arn']}", "sk": f"{int(role.get('created', 0)):013d}"}


class _table_errors:  # noqa: N801 - read as a statement
    """Turns boto3's errors into Problems."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ClientError):
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            raise Problem(
                f"The registry table refused ({code}: {message}).",
                "Check that your AWS credentials are those of an operator of this deployment.",
            ) from None
        if isinstance(error, BotoCoreError):
            raise Problem(
                f"The registry table cannot be reached ({error}).", "Check the AWS region and credentials."
            ) from None


def _failed_condition(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _check(pattern: re.Pattern[str], value: str, what: str, advice: str) -> None:
    if not pattern.fullmatch(value):
        raise Problem(f"{value[:160]!r} is not a {what}.", advice)


def _check_room(names: Sequence[str], what: str) -> None:
    size = sum(len(name) + 5 for name in names)
    if size > MAX_NAMES_BYTES:
        raise Problem(
            f"These {len(names)} {what} are too many: they need {size:,} bytes of {MAX_NAMES_BYTES:,}.",
            "Use fewer or shorter ones, or several principals.",
        )


def _check_owner(value: str, what: str) -> None:
    _check(_OWNER, value, what, "Use 1 to 128 letters, digits or characters of . _ @ : -")
