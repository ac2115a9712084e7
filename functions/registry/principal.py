"""Who is authenticated, and what they may do. The one place where a right is decided."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

Kind = Literal["agent", "viewer"]

EVERY_OWNER: Final = "*"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated principal, as it travels from an authorizer to the functions behind it."""

    kind: Kind
    name: str
    credential: str
    """The credential behind it: revoking this ends everything that began with it."""
    owner: str = ""
    """An agent's default owner."""
    owners: tuple[str, ...] = ()
    """Other owners that an agent's containers may ask for by label."""
    daily_bytes: int = 0
    """How many bytes an agent may store a day; 0 is any number."""
    subject: str = ""
    groups: tuple[str, ...] = ()
    admin: bool = False
    expires: int = 0
    """Seconds since 1970 when the credential ends; 0 is never."""
    grant: str = ""
    """The share link behind it, if it is one: then it may read `job` and nothing else."""
    job: str = ""

    @property
    def opener(self) -> str:
        """What its connections are found by when it is revoked: the share link, the key, or the principal itself."""
        if self.grant:
            return f"GRANT#{self.grant}"
        return f"CREDENTIAL#{self.credential}" if self.credential else f"PRINCIPAL#{self.name}"

    def may_read(self, owner: str, job: str) -> bool:
        """Whether a viewer may read a job of this owner."""
        if self.kind != "viewer":
            return False
        if self.grant:
            return job == self.job
        return self.admin or owner in (self.readable_owners() or ())

    def may_manage(self, owner: str, job: str) -> bool:
        """Whether a viewer may share or delete a job: its owner or an admin, never who came by a link."""
        return not self.grant and self.may_read(owner, job)

    def readable_owners(self) -> tuple[str, ...] | None:
        """The owners whose jobs a viewer may list; None is all of them."""
        if self.grant:
            return ()
        if self.admin:
            return None
        return tuple(dict.fromkeys(name for name in (self.subject, *self.groups) if name))

    def owner_of(self, asked: str | None) -> str:
        """The owner of an agent's job: the one that the container's label asks for, where the agent's key allows it."""
        if asked and (asked in self.owners or EVERY_OWNER in self.owners):
            return asked
        return self.owner

    def expired(self, now_ms: int) -> bool:
        """Whether the credential has ended."""
        return bool(self.expires) and self.expires * 1000 <= now_ms

    def to_context(self) -> dict[str, str]:
        """As an authorizer's context: API Gateway carries strings."""
        return {"principal": self.name, "who": json.dumps(asdict(self), separators=(",", ":"))}


def creator_revoked(grant: Mapping[str, Any], maker: Mapping[str, Any] | None) -> bool:
    """Whether who made a share link was shut out since. `maker` is the registry's item of that principal.

    Who signed in by OpenID Connect has an item only once shut out; who had a key always has one, until taken away.
    """
    if maker is None:
        return not grant.get("keyless")
    return bool(maker.get("revoked"))


class NotAuthenticatedError(Exception):
    """A request came without an authorizer's context: a wrong template, or a function invoked directly."""


def from_context(context: Mapping[str, Any] | None) -> Principal:
    """The principal that an authorizer put into the request's context.

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
