"""Where a token comes from: who acts in it for whom, and whose word it rests on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """An acting party (RFC 8693, Section 4.1); `issuer` None stands for this service."""

    subject: str
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class Vouched:
    """A token of a trusted issuer that was taken for its word.

    `jti` is the name it has there, or a hash of it where it has none; `issuer_version` tells which
    terms of the issuer were in force.
    """

    issuer: str
    jti: str
    issuer_version: int


@dataclass(frozen=True, slots=True)
class Descent:
    """What a token was exchanged from, and what was left of it.

    `lineage` has the `jti` of its ancestors here, the oldest first; `actors` who acts, the newest
    first; `vouched` the foreign token that it was issued for. The sets that were intersected are
    `of_subject` (the token presented), `of_client` and `of_person` (in the user tier; None where
    nobody of ours stands behind it); `withheld` is what the subject token did not pass on.
    `impersonation` says that the client acts without being named. `resource` is what an ID-JAG is
    good for at its audience.
    """

    lineage: tuple[str, ...]
    actors: tuple[Actor, ...]
    of_subject: tuple[str, ...]
    of_client: tuple[str, ...]
    of_person: tuple[str, ...] | None
    withheld: tuple[str, ...]
    vouched: Vouched | None = None
    impersonation: bool = False
    resource: tuple[str, ...] = ()
