"""What the service would decide today about a request that it granted before.

The decision is the domain's own: `Client.issue_token`, `issue_token_for_person` and
`exchange_token`, called with the client, the person and the deployment's policy as they are now.
What the record does not keep of the request is put so that it cannot be the cause of a refusal:
the key that was proved, how the token was bound, and what the subject token of an exchange said of
who may act, which nobody can change.

Before that stand the checks that the edge makes: the client is enabled, an issuer that vouched is
still trusted, a client that somebody acts for is enabled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from domain.confirmation import Confirmation
from domain.delegation import Exchange, SubjectToken
from domain.descent import Actor
from domain.errors import DomainError
from domain.issuance import DeploymentPolicy, IssueRequest, SigningChoice
from domain.issuing_client import Authority
from domain.permissions import OPENID
from domain.provenance import Origin, Provenance
from projections.reports.refolded import Directory

REFUSED, NARROWED, UNKNOWN = "refused", "narrowed", "unknown"
_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Granted:
    """What was decided alike, of tokens that were issued; `lifetime` (seconds) is the longest.

    `from_machine` tells that the lineage began with what a client got for itself.
    """

    client_id: str
    subject: str
    grant_type: str
    requested: tuple[str, ...] | None
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    form: str
    lifetime: int
    on_behalf_of_person: bool
    confirmation: str | None = None
    detail_types: tuple[str, ...] = ()
    subject_scope: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    impersonation: bool = False
    vouched_by: str | None = None
    from_machine: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would be otherwise today: refused, narrowed or unknown; why; and the scope left."""

    outcome: str
    why: str
    scope: tuple[str, ...]


def reconsidered(
    granted: Granted, directory: Directory, policy: DeploymentPolicy, *, now: datetime
) -> Verdict | None:
    """Return what is less by `policy` and `directory` at `now` (UTC), None where nothing is."""
    client = directory.clients.get(granted.client_id)
    if client is None:
        return Verdict(UNKNOWN, "the registration of the client is not in these events", ())
    turned_away = _turned_away(granted, client, directory)
    if turned_away is not None:
        return Verdict(REFUSED, turned_away, ())
    try:
        token = _decided(granted, client, directory, policy, now)
    except DomainError as error:
        return Verdict(REFUSED, str(error), ())
    return _compared(granted, token, policy, now)


def _turned_away(granted: Granted, client: Client, directory: Directory) -> str | None:
    if not client.enabled:
        return "client disabled"
    if granted.vouched_by is not None:
        issuer = directory.issuers.get(granted.vouched_by)
        if issuer is None or not issuer.trusted:
            return f"issuer not trusted: {granted.vouched_by}"
    if granted.grant_type == TOKEN_EXCHANGE and not granted.on_behalf_of_person:
        machine = directory.clients.get(granted.subject)
        if machine is not None and not machine.enabled:
            return f"on behalf of a disabled client: {granted.subject}"
    return None


def _compared(
    granted: Granted, token: AccessToken, policy: DeploymentPolicy, now: datetime
) -> Verdict | None:
    issued = token.issued
    types = {one["type"] for one in issued.authorization_details}
    lifetime = int((issued.expires_at - now).total_seconds())
    less = [
        f"{what}: {' '.join(names)}"
        for what, names in (
            ("scope", _missing(granted.scope, issued.scope)),
            ("audience", _missing(_asked_for(granted, policy), issued.audience)),
            ("authorization_details", _missing(granted.detail_types, types)),
        )
        if names
    ]
    if lifetime < granted.lifetime:
        less.append(f"lifetime: {lifetime} s, not {granted.lifetime} s")
    if tuple(_shown(actor) for actor in token.actors) != granted.actors:
        less.append("the client would be named as who acts")
    return Verdict(NARROWED, "; ".join(less), issued.scope) if less else None


def _missing(before: Sequence[str], now: Sequence[str] | set[str]) -> list[str]:
    return [name for name in before if name not in now]


def _shown(actor: Actor) -> str:
    return actor.subject if actor.issuer is None else f"{actor.subject} @ {actor.issuer}"


def _decided(
    granted: Granted,
    client: Client,
    directory: Directory,
    policy: DeploymentPolicy,
    now: datetime,
) -> AccessToken:
    owner = directory.principals.get(client.owner) if client.owner else None
    person = directory.principals.get(granted.subject)
    signing, provenance = SigningChoice("", ""), Provenance(now, "")
    details = tuple({"type": name} for name in granted.detail_types)
    if granted.grant_type == CLIENT_CREDENTIALS:
        return client.issue_token(
            _request(granted, granted.requested, granted.audience),
            grant_type=granted.grant_type,
            owner=owner,
            policy=policy,
            signing=signing,
            provenance=provenance,
        )
    if granted.grant_type == TOKEN_EXCHANGE:
        return client.exchange_token(
            _request(granted, granted.requested, granted.audience),
            _exchange(granted, now),
            grant_type=granted.grant_type,
            owner=owner,
            person=person if granted.on_behalf_of_person else None,
            policy=policy,
            signing=signing,
            provenance=provenance,
        )
    resource = _asked_for(granted, policy)
    return client.issue_token_for_person(
        _request(granted, None, ()),
        Authority(granted.scope, granted.scope, resource, now, authorization_details=details),
        grant_type=granted.grant_type,
        person=person,
        family_id=None,
        policy=policy,
        signing=signing,
        provenance=provenance,
    )


def _asked_for(granted: Granted, policy: DeploymentPolicy) -> tuple[str, ...]:
    """Return the audience without the issuer that `openid` added. Nobody asked for that; whether a
    resource was named, so that today's policy adds none, the record does not tell.
    """
    added = OPENID in granted.scope and granted.grant_type != TOKEN_EXCHANGE
    return tuple(name for name in granted.audience if not added or name != policy.issuer)


def _request(
    granted: Granted, scope: tuple[str, ...] | None, audience: tuple[str, ...]
) -> IssueRequest:
    own = granted.grant_type == CLIENT_CREDENTIALS
    return IssueRequest(
        token_id=_NOBODY,
        session_id="",
        scope=scope,
        audience=audience,
        authentication_method="",
        credential_id="",
        origin=Origin(address="", user_agent=""),
        confirmation=Confirmation(granted.confirmation, "") if granted.confirmation else None,
        authorization_details=tuple({"type": name} for name in granted.detail_types)
        if own
        else None,
    )


def _exchange(granted: Granted, now: datetime) -> Exchange:
    """Return the exchange that gave these actors: the client itself acts, or an actor token."""
    names = granted.actors
    before = names if granted.impersonation else names[1:]
    subject = SubjectToken(
        jti=None,
        subject=granted.subject,
        session_id="",
        scope=granted.subject_scope,
        expires_at=now + timedelta(seconds=granted.lifetime),
        authenticated_at=None,
        actors=tuple(_actor(name) for name in before),
        authorization_details=tuple({"type": name} for name in granted.detail_types),
        for_person=not granted.from_machine,
    )
    by_client = granted.impersonation or not names or names[0] == granted.client_id
    acting = None if by_client else _acting(names[0], subject)
    return Exchange(subject, acting, form=granted.form)


def _acting(name: str, subject: SubjectToken) -> SubjectToken:
    return SubjectToken(
        jti=None,
        subject=name,
        session_id="",
        scope=(),
        expires_at=subject.expires_at,
        authenticated_at=None,
    )


def _actor(name: str) -> Actor:
    subject, _, issuer = name.partition(" @ ")
    return Actor(subject, issuer or None)
