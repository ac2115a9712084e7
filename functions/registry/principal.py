"""Who is authenticated, and what they may do. Every right is decided here."""

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

Kind = Literal["agent", "viewer"]

EVERY_OWNER: Final = "*"

MAX_CONTEXT_BYTES: Final = 7_168
"""Bytes of a context. An authorizer's whole result may have 8,192, or API Gateway answers 500: a kilobyte is left for
the policy and the principal's name.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated principal, as an authorizer passes it to the functions.

    The fields travel as JSON in tickets and in API Gateway's context, so their names are a format. `grant` is that
    format's word for a share.
    """

    kind: Kind
    name: str
    credential: str
    """The id of its key. Revoking the key ends everything that began with it."""
    owner: str = ""
    """An agent's default owner."""
    owners: tuple[str, ...] = ()
    """Other owners that an agent's containers may ask for by label."""
    daily_bytes: int = 0
    """How many bytes an agent may store a day; 0 means no quota."""
    subject: str = ""
    groups: tuple[str, ...] = ()
    admin: bool = False
    expires: int = 0
    """When the credential expires, in seconds since 1970; 0 means never."""
    grant: str = ""
    """The id of the share behind it, if there is one. Then it may read `job` and nothing else."""
    job: str = ""
    left_out: int = 0
    """How many owners and groups did not fit into the context."""

    @property
    def opener(self) -> str:
        """Return the index key under which its connections are found: its share, its key, or the principal itself."""
        if self.grant:
            return f"GRANT#{self.grant}"
        return f"CREDENTIAL#{self.credential}" if self.credential else f"PRINCIPAL#{self.name}"

    def may_read(self, owner: str, job: str) -> bool:
        """Return whether a viewer may read a job of this owner."""
        if self.kind != "viewer":
            return False
        if self.grant:
            return job == self.job
        return self.admin or owner in (self.readable_owners() or ())

    def may_manage(self, owner: str, job: str) -> bool:
        """Return whether a viewer may share or delete a job. Its owner and admins may; a share may not."""
        return not self.grant and self.may_read(owner, job)

    def readable_owners(self) -> tuple[str, ...] | None:
        """Return the owners whose jobs a viewer may list; None means all."""
        if self.grant:
            return ()
        if self.admin:
            return None
        return tuple(dict.fromkeys(name for name in (self.subject, *self.groups) if name))

    def owner_of(self, asked: str | None) -> str:
        """Return the owner of an agent's job: the one that the container's label asks for, where the key allows it."""
        if asked and (asked in self.owners or EVERY_OWNER in self.owners):
            return asked
        return self.owner

    def expired(self, now_ms: int) -> bool:
        """Return whether the credential has expired."""
        return bool(self.expires) and self.expires * 1000 <= now_ms

    def fitted(self) -> "Principal":
        """Return the principal with as many owners and groups as a context holds.

        If some do not fit, the first ones by name are kept: a token may list the same groups in another order
        tomorrow, and its viewer must read the same jobs.
        """
        if self._fits():
            return self
        owners, groups = tuple(sorted(self.owners)), tuple(sorted(self.groups))

        def first(number: int) -> Principal:
            """Return the principal with so many owners and groups."""
            left_out = len(owners) + len(groups) - number
            return replace(
                self, owners=owners[:number], groups=groups[: max(0, number - len(owners))], left_out=left_out
            )

        # The first number with which it does not fit; every greater one does not either.
        numbers = range(1, len(owners) + len(groups) + 1)
        return first(bisect_left(numbers, True, key=lambda number: not first(number)._fits()))

    def _fits(self) -> bool:
        return len(json.dumps(self.to_context())) <= MAX_CONTEXT_BYTES

    def to_context(self) -> dict[str, str]:
        """Return the principal as an authorizer's context. API Gateway carries only strings."""
        return {"principal": self.name, "who": json.dumps(asdict(self), separators=(",", ":"))}


def creator_revoked(grant: Mapping[str, Any], maker: Mapping[str, Any] | None) -> bool:
    """Return whether the principal that made a share was revoked since.

    A principal that signs in by OpenID Connect has an item only once it is revoked. One with a key has an item until it
    is deleted.

    Args:
        grant: the registry's item of the share.
        maker: the registry's item of the principal, if there is one.
    """
    if maker is None:
        return not grant.get("keyless")
    return bool(maker.get("revoked"))


class NotAuthenticatedError(Exception):
    """A request has no authorizer context: the template is wrong, or the function was invoked directly."""


def from_context(context: Mapping[str, Any] | None) -> Principal:
    """Return the principal that an authorizer put into a request's context.

    Raises:
        NotAuthenticatedError: there is none.
    """
    try:
        stored = json.loads((context or {})["who"])
        known = {field.name: stored[field.name] for field in fields(Principal) if field.name in stored}
        known["owners"], known["groups"] = tuple(known.get("owners", ())), tuple(known.get("groups", ()))
        return Principal(**known)
    except (KeyError, TypeError, ValueError) as error:
        raise NotAuthenticatedError from error
