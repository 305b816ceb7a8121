"""How tokens, families and what changed are shown to auditors, by API and CLI alike."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Self

from pydantic import Field

from api.views import ClientView, KeyView, PrincipalView, View
from domain.client import Client
from domain.principal import Principal
from domain.refresh_token_family import RefreshTokenFamily
from projections.as_of import AsOf
from projections.past import Fact, PastFamily, PastToken
from projections.past_changes import Difference

_ABOUT_THE_RECORD = {"version", "registered_at", "changed_at"}
_NEXT = "Pass it as `after`, and the position as `as_of`; None where nothing follows"


class AsOfView(View):
    """The log up to and with `position`; `moment` is then."""

    position: int = Field(examples=[1042])
    moment: datetime

    @classmethod
    def of(cls, as_of: AsOf) -> Self:
        """Return the view of a prefix of the log."""
        return cls(position=as_of.position, moment=as_of.moment)


class TokenView(View):
    """A token as it stood: what was issued, by which configuration, and what it was good for."""

    jti: str
    state: str = Field(description="live, suspended, expired, void or revoked")
    because: str | None = Field(description="Who or what makes it void or suspended")
    position: int = Field(description="Of its issuance in the log")
    client_id: str
    client_version: int = Field(description="The version of the client's configuration")
    subject: str
    owner_version: int | None
    session_id: str
    family_id: str | None
    grant_type: str
    requested_scope: tuple[str, ...] | None
    scope: tuple[str, ...]
    withheld_by_client: tuple[str, ...] = Field(description="Asked for, lacking on the client")
    withheld_by_owner: tuple[str, ...] = Field(description="Asked for, not held by the owner")
    withheld_by_subject_token: tuple[str, ...] = Field(description="Not passed on in an exchange")
    audience: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    form: str
    kid: str
    algorithm: str
    authentication_method: str
    credential_id: str
    policy: str = Field(description="Fingerprint of the scope catalogue in force")
    roles: tuple[str, ...] | None
    actors: tuple[str, ...] = Field(description="Who acts, the newest first")
    lineage: tuple[str, ...] = Field(description="The jti of its ancestors, the oldest first")
    confirmation: dict[str, str] | None = Field(description="The key it is bound to")
    authorization_details: tuple[dict[str, Any], ...]
    request_id: str
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_why: str | None

    @classmethod
    def of(cls, past: PastToken) -> Self:
        """Return the view of a token."""
        issued, descent = past.token.issued, past.token.issued.descent
        revocation = next((f.event for f in past.facts if f.topic == "token.revoked"), None)
        same = {
            name: getattr(issued, name)
            for name in cls.model_fields
            if name not in {"confirmation", "lineage", "actors"} and hasattr(issued, name)
        }
        return cls(
            **same,
            jti=str(past.token.id),
            state=past.state,
            because=past.because,
            position=past.facts[0].position,
            issued_at=issued.timestamp,
            withheld_by_subject_token=descent.withheld if descent else (),
            actors=tuple(actor.subject for actor in past.token.actors),
            lineage=past.token.lineage,
            confirmation=dict(issued.confirmation.claim()) if issued.confirmation else None,
            revoked_at=revocation.timestamp if revocation else None,
            revoked_by=revocation.by if revocation else None,
            revoked_why=revocation.reason if revocation else None,
        )


class FamilyEventView(View):
    """Something that happened to a family."""

    position: int
    at: datetime
    what: str = Field(description="The topic", examples=["family.rotated"])
    generation: int
    presented: int | None = Field(description="The retired generation that came again")
    jti: str | None = Field(description="The access token that was issued with it")
    token_expires_at: datetime | None
    tokens_revoked: tuple[str, ...]
    by: str | None
    reason: str | None

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the view of one fact."""
        event = fact.event
        return cls(
            position=fact.position,
            at=event.timestamp,
            what=fact.topic,
            generation=event.generation,
            presented=getattr(event, "presented", None),
            jti=getattr(event, "jti", None),
            token_expires_at=getattr(event, "token_expires_at", None),
            tokens_revoked=getattr(event, "tokens_revoked", ()),
            by=getattr(event, "by", None),
            reason=getattr(event, "reason", None),
        )


class FamilyView(View):
    """A family of refresh tokens as it stood, with what had happened to it."""

    family_id: str
    state: str = Field(description="live, expired or revoked")
    client_id: str
    subject: str
    session_id: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    generation: int = Field(description="The one that counts")
    started_at: datetime
    expires_at: datetime = Field(description="The sooner of absolute and idle lifetime")
    timeline: tuple[FamilyEventView, ...] = Field(description="The oldest first")

    @classmethod
    def of(cls, past: PastFamily) -> Self:
        """Return the view of a family."""
        started: RefreshTokenFamily.Started = past.family.started
        return cls(
            family_id=past.family.family_id,
            state=past.state,
            client_id=started.client_id,
            subject=started.subject,
            session_id=started.session_id,
            scope=started.scope,
            audience=started.audience,
            generation=past.family.generation,
            started_at=started.timestamp,
            expires_at=past.family.expires_at,
            timeline=tuple(FamilyEventView.of(fact) for fact in past.facts),
        )


class FieldChangeView(View):
    """A field that says something else at the second moment."""

    field: str = Field(examples=["audiences.allowed"])
    before: Any
    after: Any
    positions: tuple[int, ...] = Field(description="Of the acts that changed it")


class ActView(View):
    """An act between the two moments."""

    position: int
    occurred_at: datetime
    topic: str
    by: str
    why: str
    fields: tuple[str, ...] = Field(description="What it changed; none where state is elsewhere")


class DifferenceView(View):
    """What changed about one client or principal between two moments."""

    since: AsOfView
    until: AsOfView
    existed: bool = Field(description="Whether it was there at the first of them")
    fields: tuple[FieldChangeView, ...]
    acts: tuple[ActView, ...]

    @classmethod
    def of(cls, found: Difference) -> Self:
        """Return the view of a difference."""
        return cls(
            since=AsOfView.of(found.since),
            until=AsOfView.of(found.until),
            existed=found.existed,
            fields=tuple(FieldChangeView(**asdict(one)) for one in found.fields),
            acts=tuple(ActView(**asdict(one)) for one in found.acts),
        )


class PastClient(View):
    """A client as it stood."""

    as_of: AsOfView
    client: ClientView


class PastClients(View):
    """Clients as they stood, by client_id; `next_after` is the cursor of the next page."""

    as_of: AsOfView
    clients: tuple[ClientView, ...]
    next_after: str | None = Field(description=_NEXT)


class PastPrincipal(View):
    """A principal as it stood."""

    as_of: AsOfView
    principal: PrincipalView


class PastTokenAnswer(View):
    """A token as it stood."""

    as_of: AsOfView
    token: TokenView


class PastFamilyAnswer(View):
    """A family as it stood; `next_after` is the cursor of the next page of its timeline."""

    as_of: AsOfView
    family: FamilyView
    next_after: int | None = Field(description=_NEXT)


class PastKeys(View):
    """The signing keys as they stood, oldest first."""

    as_of: AsOfView
    keys: tuple[KeyView, ...]


def client_fields(client: Client) -> Mapping[str, Any]:
    """Return what is configured on a client, as JSON; secrets by their names."""
    shown = ClientView.of(client).model_dump(mode="json", exclude=_ABOUT_THE_RECORD)
    return {**shown, "secrets": _by_name(shown["secrets"])}


def principal_fields(principal: Principal) -> Mapping[str, Any]:
    """Return what is configured on a principal, as JSON."""
    return PrincipalView.of(principal).model_dump(mode="json", exclude=_ABOUT_THE_RECORD)


def _by_name(secrets: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {
        secret["secret_id"]: {name: secret[name] for name in ("added_at", "usable_until")}
        for secret in secrets
    }
