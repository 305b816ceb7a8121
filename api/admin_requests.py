"""Bodies of administrative requests, and who stands behind them."""

from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request
from litestar.params import HeaderParameter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.composition import Service
from api.request_reading import trace_of
from api.resource_server import caller_of
from application.administration.initial_access import DEFAULT_LIFETIME, MAX_LIFETIME
from application.errors import NotFound
from domain.client_configuration import (
    SUBJECT,
    Audiences,
    Authentication,
    Delegation,
    Redirects,
    RefreshPolicy,
    TokenPolicy,
)
from domain.initial_access import MAX_USES
from domain.provenance import Provenance

REASON_HEADER = "x-change-reason"
AnyRequest = Request[Any, Any, Any]
Reason = Annotated[
    str | None,
    HeaderParameter(name=REASON_HEADER, description="Why; kept in the record", max_length=200),
]


class Body(BaseModel):
    """A request body; a field it does not know is an error, not a silent loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClientChanges(Body):
    """What to change on a client; what is left out stays."""

    scopes: tuple[str, ...] | None = Field(default=None, examples=[["service"]])
    grant_types: tuple[str, ...] | None = None
    audiences: Audiences | None = None
    owner: str | None = Field(default=None, description="An empty string takes the owner away")
    tokens: TokenPolicy | None = None
    redirects: Redirects | None = None
    refresh: RefreshPolicy | None = None
    delegation: Delegation | None = None
    authentication: Authentication | None = None
    authorization_details_types: tuple[str, ...] | None = None
    enabled: bool | None = None


class SecretRotation(Body):
    """How long the present secrets stay usable."""

    overlap_seconds: int = Field(default=86_400, ge=0, le=30 * 86_400)


class NewPrincipal(Body):
    """A principal to make known."""

    subject: str = Field(pattern=SUBJECT, examples=["owner-1"])
    roles: tuple[str, ...] = Field(default=(), examples=[["user"]])


class Roles(Body):
    """The roles a principal has from now on."""

    roles: tuple[str, ...] = Field(examples=[["admin"]])


class PersonLogin(Body):
    """By what a principal logs in; without `login` it keeps the names it has."""

    login: str | None = Field(default=None, max_length=200, examples=["alice@example.com"])
    password: SecretStr = Field(description="12 to 1024 characters")


class UpstreamIdentity(Body):
    """The `sub` of a principal at the upstream provider."""

    upstream_subject: str = Field(min_length=1, max_length=255, examples=["248289761001"])


class IssuerName(Body):
    """Which issuer it is about: a URL, and so no segment of a path."""

    issuer: str = Field(max_length=500, examples=["https://id.example"])


class NewRegistrationToken(Body):
    """How many clients may be registered with a token, and for how long; `lifetime` in seconds."""

    max_uses: int = Field(default=1, ge=1, le=MAX_USES)
    lifetime: int = Field(
        default=int(DEFAULT_LIFETIME.total_seconds()), ge=1, le=int(MAX_LIFETIME.total_seconds())
    )


class KeyRotation(Body):
    """Which key to rotate; `force` is for a leaked key: it is revoked, and nobody waits until
    consumers know the next one.
    """

    algorithm: str | None = Field(
        default=None, description="The deployment's first if left out", examples=["ES256"]
    )
    force: bool = False


def client_named(segment: str) -> str:
    """Return the client_id of a segment of a path: one that is a URL comes encoded twice, for its
    slashes would be those of the path once servers have decoded it.

    Raises NotFound for U+0000, which no name has and PostgreSQL fails on.
    """
    name = unquote(segment)
    if "\0" in name:
        raise NotFound("nothing has such a name")
    return name


def administrative(
    request: Request[Any, Any, Any], service: Service, reason: str | None
) -> Provenance:
    """Return the provenance of an administrative request: its token's subject did it."""
    return Provenance(
        occurred_at=service.clock.now(),
        request_id=service.ids.request_id(),
        traceparent=trace_of(request.headers.get("traceparent", "").encode()),
        by=name_of_caller(request),
        why=_as_typed(reason or ""),
    )


def name_of_caller(request: AnyRequest) -> str:
    """Return who stands behind the token of a request, as the record names it."""
    caller = caller_of(request)
    subject = str(caller.claims["sub"])
    return subject if subject == caller.client_id else f"{subject} through {caller.client_id}"


def _as_typed(header: str) -> str:
    """Return a header's text as it was typed: clients send UTF-8, frameworks read Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header
