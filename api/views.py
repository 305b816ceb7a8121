"""How clients, principals, issuers and keys are shown to administrators, by API and CLI alike."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from domain.client import Client
from domain.client_configuration import (
    Audiences,
    Authentication,
    ClientConfiguration,
    ClientType,
    Delegation,
    Redirects,
    RefreshPolicy,
    Registration,
    TokenPolicy,
)
from domain.principal import Principal
from domain.signing_key import KeyState, SigningKey
from domain.trusted_issuer import IssuerTerms, TrustedIssuer
from projections.sessions import SessionEntry


class View(BaseModel):
    """A frozen shape with no more fields than it names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretView(View):
    """A secret without its value: that was shown once."""

    secret_id: str
    added_at: datetime
    usable_until: datetime | None = Field(description="None while it is current")


class ClientView(View):
    """A client as it is configured now."""

    client_id: str = Field(examples=["billing-agent"])
    name: str
    client_type: ClientType
    enabled: bool
    owner: str | None
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...] = Field(examples=[["service", "mcp"]])
    audiences: Audiences
    tokens: TokenPolicy
    redirects: Redirects
    refresh: RefreshPolicy
    delegation: Delegation
    authentication: Authentication
    registration: Registration
    authorization_details_types: tuple[str, ...]
    secrets: tuple[SecretView, ...]
    version: int = Field(description="How many changes led here")
    registered_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, client: Client) -> Self:
        """Return the view of a client."""
        return cls(
            **{name: getattr(client, name) for name in ClientConfiguration.model_fields},
            enabled=client.enabled,
            secrets=tuple(
                SecretView(
                    secret_id=secret.secret_id,
                    added_at=secret.added_at,
                    usable_until=secret.usable_until,
                )
                for secret in client.secrets
            ),
            version=client.version,
            registered_at=client.created_on,
            changed_at=client.modified_on,
        )


class ClientWithSecret(ClientView):
    """A client together with a secret that was just made. It is shown this once."""

    client_secret: str | None = Field(description="Keep it: it cannot be shown again")
    secret_id: str | None

    @classmethod
    def with_secret(cls, client: Client, secret: Any) -> "ClientWithSecret":
        """Return the view of a client and its new secret (None for a public client)."""
        return cls(
            **ClientView.of(client).model_dump(),
            client_secret=secret.value if secret else None,
            secret_id=secret.secret_id if secret else None,
        )


class PrincipalView(View):
    """A principal as it stands now."""

    subject: str = Field(examples=["owner-1"])
    roles: tuple[str, ...] = Field(examples=[["admin"]])
    active: bool
    version: int
    registered_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, principal: Principal) -> Self:
        """Return the view of a principal."""
        return cls(
            subject=principal.subject,
            roles=principal.roles,
            active=principal.active,
            version=principal.version,
            registered_at=principal.created_on,
            changed_at=principal.modified_on,
        )


class PrincipalWithLogin(PrincipalView):
    """A principal whose login was set."""

    sessions_ended: int = Field(
        0, description="How many of its sessions ended with the password that it had before"
    )


class IssuerView(View):
    """An issuer and the terms on which its tokens count."""

    terms: IssuerTerms
    trusted: bool = Field(description="False once it was removed")
    version: int
    added_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, issuer: TrustedIssuer) -> Self:
        """Return the view of an issuer."""
        return cls(
            terms=issuer.terms,
            trusted=issuer.trusted,
            version=issuer.version,
            added_at=issuer.created_on,
            changed_at=issuer.modified_on,
        )


class KeyView(View):
    """A signing key: its public half and where it stands."""

    kid: str
    algorithm: str
    state: KeyState
    generated_at: datetime
    changed_at: datetime
    verify_until: datetime | None = Field(description="Published until then, once retired")
    public_jwk: dict[str, str]

    @classmethod
    def of(cls, key: SigningKey) -> Self:
        """Return the view of a key."""
        return cls(
            kid=key.kid,
            algorithm=key.algorithm,
            state=key.state,
            generated_at=key.created_on,
            changed_at=key.modified_on,
            verify_until=key.verify_until,
            public_jwk=key.public_jwk,
        )


class SessionView(View):
    """A login of a person, or a family of refresh tokens under one."""

    kind: str = Field(description="session, or family", examples=["session"])
    id: str
    subject: str
    client_id: str | None = Field(description="Of a family")
    session_id: str
    methods: tuple[str, ...] = Field(description="How the person logged in (RFC 8176)")
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None

    @classmethod
    def of(cls, entry: SessionEntry) -> Self:
        """Return the view of an entry of the read model."""
        return cls(**{**asdict(entry), "methods": tuple(entry.methods or ())})
