"""Acting for somebody (RFC 8693): what an exchange passes on, who acts, and from where it came.

The lineage of a token is the chain of tokens it was exchanged from, the oldest first. It is
recorded on the token itself, so that what hangs on an ancestor is known without a search.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.access_token import ACCESS_TOKEN, AccessToken
from domain.authorization_details import Details
from domain.confirmation import Confirmation
from domain.descent import Actor, Vouched
from domain.errors import DelegationRefused, ScopeNotGranted
from domain.permissions import HELD_BY_ROLE, Catalogue, Tier

_HELD_ALWAYS = frozenset({Tier.USER})
MAX_ACTORS = 5
"""How deep `act` may nest: each hop is somebody more who has to be trusted."""
MAX_LINEAGE = 10
"""Exchanges after one another: each token names all before it, and stands and falls with them."""


@dataclass(frozen=True, slots=True)
class SubjectToken:
    """The token that is exchanged, as it was issued. `lineage` is that of its ancestors.

    A token of a trusted issuer is `vouched` for and has no `jti` here. `may_act` names who may act
    for its subject, None for anybody. `confirmation` is the key that it is bound to. `for_person`
    tells whether it was granted for a person, by the record of where its lineage began: the token
    that an owned machine got for itself names its owner as well, and was not.
    """

    jti: str | None
    subject: str
    session_id: str
    scope: tuple[str, ...]
    expires_at: datetime
    authenticated_at: datetime | None
    client_id: str | None = None
    actors: tuple[Actor, ...] = ()
    lineage: tuple[str, ...] = ()
    may_act: tuple[str, ...] | None = None
    vouched: Vouched | None = None
    confirmation: Confirmation | None = None
    authorization_details: Details = ()
    for_person: bool = True

    @classmethod
    def of(cls, token: AccessToken, root: AccessToken | None = None) -> "SubjectToken":
        """Return what was issued as `token`; `root` is where its lineage began, itself if None."""
        issued = token.issued
        return cls(
            jti=str(token.id),
            client_id=issued.client_id,
            subject=issued.subject,
            session_id=issued.session_id,
            scope=issued.scope,
            expires_at=issued.expires_at,
            authenticated_at=issued.authenticated_at,
            actors=token.actors,
            lineage=token.lineage,
            may_act=issued.may_act,
            confirmation=issued.confirmation,
            authorization_details=issued.authorization_details,
            for_person=not (root or token).of_machine,
        )

    @property
    def root(self) -> str | None:
        """The `jti` at the beginning of its lineage, None where that is not ours."""
        return self.lineage[0] if self.lineage else self.jti


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is exchanged, and for what: without `actor_token` the client itself acts.

    `resource` is what an ID-JAG is to be good for at its audience.
    """

    subject_token: SubjectToken
    actor_token: SubjectToken | None = None
    form: str = ACCESS_TOKEN
    resource: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delegated:
    """Which scopes are left of a subject token, in catalogue order, and who lacked what."""

    granted: tuple[str, ...]
    withheld_by_subject: tuple[str, ...]
    withheld_by_client: tuple[str, ...]
    withheld_by_person: tuple[str, ...]


def actors_of(
    exchange: Exchange, *, client_id: str, impersonates: bool = False
) -> tuple[Actor, ...]:
    """Return who acts in the new token, the newest first (RFC 8693, Section 4.1).

    A client that `impersonates` is not named. Raises DelegationRefused where the subject token's
    `may_act` names somebody else (Section 4.4), where the chain would be deeper than MAX_ACTORS, or
    where subject and actor come from different delegations: such a chain would tell a story that
    never happened.
    """
    subject, actor = exchange.subject_token, exchange.actor_token
    if actor is not None and actor.lineage and actor.root != subject.root:
        raise DelegationRefused("subject_token and actor_token are of different lineages")
    if actor is not None and actor.actors:
        # Its subject does not act itself, and naming it would leave out who does.
        raise DelegationRefused("in the actor_token somebody acts for somebody else")
    newest = client_id if actor is None else actor.subject
    if subject.may_act is not None and newest not in subject.may_act:
        raise DelegationRefused("actor mismatch: the subject_token's may_act names others")
    actors = subject.actors if impersonates else (Actor(newest), *subject.actors)
    if len(actors) > MAX_ACTORS:
        raise DelegationRefused(f"more than {MAX_ACTORS} would act for one another")
    return actors


def narrow_for_exchange(
    *,
    requested: Sequence[str] | None,
    subject_scope: Collection[str],
    client_scopes: Collection[str],
    permissions: Collection[str],
    catalogue: Catalogue,
    for_person: bool,
) -> Delegated:
    """Return what is left of the subject token's scope, or of the part that is `requested`.

    Each must hold it: the subject token, the client and, in the user tier, the person now; in the
    management tier as well where the subject token was granted `for_person`. What tells of a login
    (identity tier) is not passed on. Raises ScopeUnknown, and ScopeNotGranted,
    which names the deficit, when nothing is left.
    """
    granted: list[str] = []
    subject_lacks: list[str] = []
    client_lacks: list[str] = []
    person_lacks: list[str] = []
    by_person = HELD_BY_ROLE if for_person else _HELD_ALWAYS
    held = [name for name in subject_scope if name in catalogue.by_name]
    for name in catalogue.order(held if requested is None else requested):
        tier = catalogue[name].tier
        if name not in subject_scope or tier is Tier.IDENTITY:
            subject_lacks.append(name)
        elif name not in client_scopes:
            client_lacks.append(name)
        elif tier in by_person and name not in permissions:
            person_lacks.append(name)
        else:
            granted.append(name)
    if not granted:
        raise ScopeNotGranted(_deficit(subject_lacks, client_lacks, person_lacks))
    return Delegated(tuple(granted), tuple(subject_lacks), tuple(client_lacks), tuple(person_lacks))


def _deficit(subject: Sequence[str], client: Sequence[str], person: Sequence[str]) -> str:
    parts = [
        f"{what}: {' '.join(names)}"
        for what, names in (
            ("not passed on by the subject_token", subject),
            ("not in the client's grant", client),
            ("not held by the person", person),
        )
        if names
    ]
    return "; ".join(parts) or "no scope requested"


def require_confirmed(exchange: Exchange, proved: Confirmation | None) -> None:
    """Raise DelegationRefused unless the requester holds the keys that its tokens are bound to.

    Else whoever came by a bound token would make of it one that is bound to nothing, or to a key
    of its own.
    """
    for name, token in (
        ("subject_token", exchange.subject_token),
        ("actor_token", exchange.actor_token),
    ):
        if token is not None and token.confirmation not in (None, proved):
            raise DelegationRefused(f"the {name} is bound to a key that was not proved")


def lineage_of(exchange: Exchange) -> tuple[str, ...]:
    """Return the lineage of the new token: that of the subject token, and it.

    Raises DelegationRefused past MAX_LINEAGE, where a client that impersonates goes in circles: it
    is not named, so that no number of actors ends it.
    """
    subject = exchange.subject_token
    lineage = (*subject.lineage, *((subject.jti,) if subject.jti else ()))
    if len(lineage) > MAX_LINEAGE:
        raise DelegationRefused(f"exchanged {MAX_LINEAGE} times already")
    return lineage


def bounded(expires_at: datetime, exchange: Exchange) -> datetime:
    """Return the end of the new token: never after that of what it came from."""
    ends = [expires_at, exchange.subject_token.expires_at]
    if exchange.actor_token is not None:
        ends.append(exchange.actor_token.expires_at)
    return min(ends)
