"""A log with a clock of its own, in which tests of the reports let things happen.

Each act happens a minute after the one before. `settle` brings the read models up to date and sets
the moments of recording to those of happening: so rows are exactly known, moments included.
"""

from contextlib import closing
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.access_token import AccessToken
from domain.authorization_details import Details
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE, Audiences, ClientConfiguration
from domain.delegation import Exchange, SubjectToken
from domain.descent import Actor, Vouched
from domain.issuance import IssueRequest, SigningChoice
from domain.issuing_client import Authority
from domain.principal import Principal
from domain.provenance import Provenance
from domain.recorded import Recorded
from domain.refresh_token_family import RefreshTokenFamily
from projections.session import open_session
from tests.builders import CATALOGUE, NOON, POLICY, SIGNING, a_request, stream_id
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording


class Story:
    """What happens in the log of `recording`; `now` (UTC) is when the last act happened."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.now = NOON
        self.position = 0

    def act(self, *, by: str = "operator-1", why: str = "", minutes: float = 1) -> Provenance:
        """Return the circumstances of the next act, `minutes` after the last."""
        self.now += timedelta(minutes=minutes)
        return Provenance(self.now, "req_story", by=by, why=why)

    def record(self, *aggregates: Recorded) -> int:
        """Record what `aggregates` decided and return the last position."""
        self.position = self.recording.record(*aggregates)
        return self.position

    def client(self, client_id: str, **configuration: Any) -> Client:
        """Register a client."""
        facts = {
            "scopes": ("service", "mcp", "user"),
            "audiences": Audiences(allowed=("https://api.example", "hook")),
            **configuration,
        }
        client = Client.register(
            ClientConfiguration(client_id=client_id, **facts),
            catalogue=CATALOGUE,
            provenance=self.act(),
        )
        self.record(client)
        return client

    def principal(self, subject: str, *roles: str) -> Principal:
        """Register a principal."""
        provenance = self.act()
        principal = Principal.register(
            subject, roles or ("user",), catalogue=CATALOGUE, provenance=provenance
        )
        self.record(principal)
        return principal

    def request(self, **wishes: Any) -> IssueRequest:
        """Return a request that names neither a scope nor an audience."""
        return a_request(**{"token_id": stream_id(), **wishes})

    def machine_token(
        self,
        client: Client,
        *,
        owner: Principal | None = None,
        signing: SigningChoice = SIGNING,
        **wishes: Any,
    ) -> AccessToken:
        """Issue a token by client_credentials."""
        provenance = self.act()
        token = client.issue_token(
            self.request(**wishes),
            grant_type="client_credentials",
            owner=owner,
            policy=POLICY,
            signing=signing,
            provenance=provenance,
        )
        self.record(token)
        return token

    def person_token(  # a token is of a grant, a person, a family and a request
        self,
        client: Client,
        person: Principal,
        scope: tuple[str, ...] = ("user",),
        *,
        grant_type: str = "authorization_code",
        family: RefreshTokenFamily | None = None,
        family_id: UUID | None = None,
        details: Details = (),
        **wishes: Any,
    ) -> AccessToken:
        """Issue a token for a person; `family_id` or `family` is the family it is issued with."""
        provenance = self.act()
        token = client.issue_token_for_person(
            self.request(**wishes),
            Authority(scope, scope, (), provenance.occurred_at, authorization_details=details),
            grant_type=grant_type,
            person=person,
            family_id=family.id if family else family_id,
            policy=POLICY,
            signing=SIGNING,
            provenance=provenance,
        )
        self.record(token)
        return token

    def family(self, client: Client, person: Principal) -> tuple[RefreshTokenFamily, AccessToken]:
        """Begin a family with its first token."""
        stream = stream_id()
        token = self.person_token(client, person, family_id=stream)
        family = client.start_family(
            stream,
            Authority(("user",), ("user",), (), self.now),
            token,
            pepper_id="pepper-1",
            policy=POLICY,
            provenance=self.act(minutes=0),
        )
        self.record(family)
        return family, token

    def exchanged(
        self, client: Client, token: AccessToken, *, person: Principal | None = None, **wishes: Any
    ) -> AccessToken:
        """Exchange `token` by `client`."""
        return self._exchange(client, SubjectToken.of(token), person=person, **wishes)

    def _exchange(
        self,
        client: Client,
        token: SubjectToken,
        *,
        person: Principal | None,
        signing: SigningChoice = SIGNING,
        **wishes: Any,
    ) -> AccessToken:
        provenance = self.act()
        derived = client.exchange_token(
            self.request(**wishes),
            Exchange(token),
            grant_type=TOKEN_EXCHANGE,
            owner=None,
            person=person,
            policy=POLICY,
            signing=signing,
            provenance=provenance,
        )
        self.record(derived)
        return derived

    def exchanged_foreign(self, client: Client, person: Principal, vouched: Vouched) -> AccessToken:
        """Exchange a token of a trusted issuer by `client`."""
        foreign = SubjectToken(
            jti=None,
            subject=person.subject,
            session_id=f"sess_{stream_id().hex}",
            scope=("user",),
            expires_at=self.now + timedelta(hours=2),
            authenticated_at=None,
            actors=(Actor("agent-0", vouched.issuer),),
            vouched=vouched,
        )
        return self._exchange(client, foreign, person=person)

    def revoked(self, token: AccessToken, *, descendants: bool = False) -> None:
        """Revoke `token`."""
        token.revoke(by="operator-1", reason="", provenance=self.act(), descendants=descendants)
        self.record(token)

    def settle(self) -> datetime:
        """Bring the read models up to date; return the moment of the last act (UTC)."""
        catch_up(self.recording.database_url)
        with closing(open_session(self.recording.database_url, name="test")) as session:
            session.execute("UPDATE read.audit_trail SET recorded_at = occurred_at")
        return self.now
