"""What an administrator says about a client, checked as a whole before it becomes a fact."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

GRANT_TYPES = ("client_credentials",)
SIGNING_ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")
MAX_LIFETIME = timedelta(hours=24)

# RFC 6749, Appendix A.1: client-id = *VSCHAR; a narrower set keeps ids readable in paths and logs.
CLIENT_ID = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$"
# No "/": a subject is one segment of a path, and one that no path reaches cannot be deactivated.
SUBJECT = r"^[\x21-\x2E\x30-\x7E]{1,200}$"
AUDIENCE = r"^[\x21-\x7E]{1,512}$"
# PostgreSQL's jsonb cannot hold U+0000: one such event would stop the audit trail for good.
NAME = r"^[^\x00-\x1F\x7F-\x9F]*$"

AudienceName = Annotated[str, Field(pattern=AUDIENCE)]


class ClientType(StrEnum):
    """RFC 6749, Section 2.1: whether the client can keep a secret."""

    CONFIDENTIAL = "confidential"
    PUBLIC = "public"


class TokenPolicy(BaseModel):
    """How a client's tokens are made. `lifetime` is in seconds; None takes the deployment's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lifetime: int | None = Field(default=None, ge=1, le=int(MAX_LIFETIME.total_seconds()))
    signing_algorithm: str | None = None
    plugin_id: str | None = Field(default=None, pattern=AUDIENCE)

    @model_validator(mode="after")
    def _known_algorithm(self) -> "TokenPolicy":
        if self.signing_algorithm not in (None, *SIGNING_ALGORITHMS):
            raise ValueError(f"signing_algorithm must be one of {', '.join(SIGNING_ALGORITHMS)}")
        return self


class Audiences(BaseModel):
    """Where a client's tokens may be used, and what the client itself answers for.

    `default` is issued when nothing is requested and must be part of `allowed`; where either is
    empty, the deployment's default audience stands in. `serves` names the audiences whose tokens
    this client may introspect as their resource server.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed: tuple[AudienceName, ...] = ()
    default: tuple[AudienceName, ...] = ()
    serves: tuple[AudienceName, ...] = ()

    @model_validator(mode="after")
    def _default_is_allowed(self) -> "Audiences":
        outside = set(self.default) - set(self.allowed)
        if outside:
            raise ValueError(f"default audiences must be allowed: {' '.join(sorted(outside))}")
        return self


class ClientConfiguration(BaseModel):
    """Everything that is set when a client is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str = Field(pattern=CLIENT_ID, examples=["billing-agent"])
    name: str = Field(default="", max_length=200, pattern=NAME, examples=["Billing agent"])
    client_type: ClientType = ClientType.CONFIDENTIAL
    grant_types: tuple[str, ...] = GRANT_TYPES
    scopes: tuple[str, ...] = Field(default=(), examples=[["service", "mcp"]])
    audiences: Audiences = Audiences()
    owner: str | None = Field(default=None, pattern=SUBJECT, examples=["owner-1"])
    tokens: TokenPolicy = TokenPolicy()

    @model_validator(mode="after")
    def _consistent(self) -> "ClientConfiguration":
        unknown = set(self.grant_types) - set(GRANT_TYPES)
        if unknown:
            raise ValueError(f"unknown grant type: {' '.join(sorted(unknown))}")
        # RFC 6749, Section 4.4: the grant MUST only be used by confidential clients.
        if self.client_type is ClientType.PUBLIC and "client_credentials" in self.grant_types:
            raise ValueError("a public client cannot use client_credentials")
        return self
