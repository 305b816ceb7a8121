"""A deployment that lets clients register, and what they say about themselves."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from application.administration import initial_access
from application.outbound import Outbound
from application.registration import managing, registering
from application.registration.policy import Limits
from application.registration.registering import Registered
from application.registration.software_statement import Publisher, SoftwareStatements
from application.registration.vetting import Mode, RegistrationRules
from domain.client import Client
from tests.application.people.upstream_provider import SigningKey
from tests.application.service import ISSUER, FakeService, context
from tests.builders import AT_NOON, NOON

CALLBACK = "https://client.example/callback"
WEB = {"redirect_uris": [CALLBACK], "client_name": "Web app"}
KEY = SigningKey.make("ES256")


def a_document(**members: Any) -> dict[str, Any]:
    """Return good metadata of a web client, but for `members`; None takes one out."""
    return {name: value for name, value in {**WEB, **members}.items() if value is not None}


@dataclass
class RegisteringService(FakeService):
    """A service where registration is open, for the identity scopes, `mcp` and machines too."""

    mode: Mode = "open"
    publishers: tuple[Publisher, ...] = ()
    limits: Limits = field(
        default_factory=lambda: Limits(
            scopes=("openid", "profile", "offline_access", "mcp"),
            grant_types=("authorization_code", "refresh_token", "client_credentials"),
            redirects=("https", "loopback"),
        )
    )
    hook: Any = None

    @property
    def registration(self) -> RegistrationRules:
        """The rules as they are now."""
        statements = SoftwareStatements(self.publishers, Outbound(), issuer=ISSUER)
        return RegistrationRules(self.mode, self.limits, statements, self.hook)

    def limit(self, **limits: Any) -> None:
        """Change the limits."""
        self.limits = replace(self.limits, **limits)

    async def register(self, token: str | None = None, **members: Any) -> Registered:
        """Register a client with good metadata, but for `members`."""
        return await registering.register(a_document(**members), token, context(), self)

    async def update(
        self, registered: Registered, token: str | None = None, **members: Any
    ) -> Registered:
        """Update a client with good metadata, but for `members`."""
        client_id = registered.client.client_id
        document = a_document(**{"client_id": client_id, **members})
        bearer = token or registered.token
        return await managing.update(client_id, bearer, document, context(), self)

    async def token(self, **terms: Any) -> tuple[str, str]:
        """Issue an initial access token; return its name and value."""
        access, token = await initial_access.issue(service=self, provenance=AT_NOON, **terms)
        return access.access_id, token.value

    def now(self, registered: Registered) -> Client:
        """Return the client as it is recorded."""
        found: Client = self.log.folded(Client.stream(registered.client.client_id))
        return found


def days_later(days: float) -> datetime:
    """Return the moment `days` after noon."""
    return NOON + timedelta(days=days)
