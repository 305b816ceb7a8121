"""Things that tests start from: each builder gives something valid, its arguments what matters."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from application.ledger.mapper import LedgerMapper
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import Audiences, ClientConfiguration
from domain.ids import uuid7
from domain.issuance import DeploymentPolicy, IssueRequest, SigningChoice
from domain.permissions import Catalogue
from domain.principal import Principal
from domain.provenance import Origin, Provenance
from domain.session import Session
from domain.signing_key import SigningKey

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
"""The moment at which things happen in tests that need no real clock."""

AT_NOON = Provenance(
    NOON,
    "req_1",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    by="operator-1",
    why="set up",
)
CATALOGUE = Catalogue()
POLICY = DeploymentPolicy(
    catalogue=CATALOGUE,
    lifetime=3600,
    default_audience=("https://api.example",),
    subject_is_owner=True,
)
SIGNING = SigningChoice(kid="key-1", algorithm="ES256")
# RFC 7517, Appendix A.1.
PUBLIC_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}


def later(minutes: float) -> Provenance:
    """Return the circumstances of an act `minutes` after noon."""
    return Provenance(NOON + timedelta(minutes=minutes), "req_2", by="operator-2", why="changed")


def stream_id(moment: datetime | None = None) -> UUID:
    """Return a fresh UUIDv7, of now where no moment is given."""
    return uuid7(moment or datetime.now(UTC), os.urandom(10))


def a_client(**configuration: Any) -> Client:
    """Return a confidential client "reporter" with three scopes that was registered at noon."""
    facts = {
        "client_id": "reporter",
        "name": "Reporter",
        "scopes": ("service", "mcp", "user"),
        "audiences": Audiences(allowed=("https://api.example", "hook")),
        **configuration,
    }
    return Client.register(ClientConfiguration(**facts), catalogue=CATALOGUE, provenance=AT_NOON)


def a_principal(subject: str = "owner-1", *, roles: tuple[str, ...] = ("user",)) -> Principal:
    """Return an active principal that was registered at noon."""
    return Principal.register(subject, roles, catalogue=CATALOGUE, provenance=AT_NOON)


def a_key(kid: str = "key-1") -> SigningKey:
    """Return a key that was generated at noon."""
    return SigningKey.generate(
        kid=kid, algorithm="ES256", public_jwk=PUBLIC_JWK, provenance=AT_NOON
    )


def a_request(**wishes: Any) -> IssueRequest:
    """Return a token request that names neither a scope nor an audience."""
    facts = {
        "token_id": stream_id(NOON),
        "session_id": "sess_00000000000000000000000000000001",
        "scope": None,
        "audience": (),
        "authentication_method": "client_secret_basic",
        "credential_id": "secret-1",
        "origin": Origin(address="address-hash", user_agent="agent-hash"),
        **wishes,
    }
    return IssueRequest(**facts)


def a_token(moment: datetime = NOON, *, client: Client | None = None) -> AccessToken:
    """Return a token issued at `moment`, its jti fresh."""
    return (client or a_client()).issue_token(
        a_request(token_id=stream_id(moment)),
        grant_type="client_credentials",
        owner=None,
        policy=POLICY,
        signing=SIGNING,
        provenance=Provenance(moment, "req_3"),
    )


def a_session(*, hours: float = 12, subject_version: int | None = None) -> Session:
    """Return a session of alice that began at noon, by password."""
    return Session.start(
        stream_id(NOON),
        subject="alice",
        methods=("pwd",),
        lifetime=timedelta(hours=hours),
        origin=Origin(address="address-hash", user_agent="agent-hash"),
        provenance=AT_NOON,
        subject_version=subject_version,
    )


def a_token_record() -> StoredEvent:
    """Return the TokenIssued of a token issued now, as it is stored."""
    (issued,) = a_token(datetime.now(UTC)).facts()
    return LedgerMapper().to_stored_event(issued)


def records(
    count: int = 1, *, stream: UUID | None = None, first_version: int = 1, state: bytes = b"{}"
) -> list[StoredEvent]:
    """Return `count` successive stored events of one stream: of a fresh one unless given."""
    of = stream or stream_id()
    return [
        StoredEvent(of, first_version + index, "test.happened", state) for index in range(count)
    ]


def stream_of(unit: Sequence[StoredEvent]) -> UUID:
    """Return the stream of the first event of `unit`."""
    return UUID(str(unit[0].originator_id))
