"""What an administrator says about a client, checked as a whole before it becomes a fact."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from domain.https_url import HttpsUrl
from domain.metadata_url import METADATA_URL, is_metadata_url
from domain.redirect_uri import problem_with
from domain.visible_text import DisplayName, problem_with_name

CLIENT_CREDENTIALS = "client_credentials"
AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105  # the name of a grant type
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # likewise
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANT_TYPES = (
    CLIENT_CREDENTIALS,
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    DEVICE_CODE,
    TOKEN_EXCHANGE,
    JWT_BEARER,
)
SIGNING_ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")
MAX_LIFETIME = timedelta(hours=24)

# RFC 6749, Appendix A.1: client-id = *VSCHAR; a narrower set keeps ids readable in paths and logs.
# Or the URL of the document in which a client describes itself.
CLIENT_ID = rf"^([A-Za-z0-9][A-Za-z0-9._~-]{{0,127}}|{METADATA_URL})$"
# No "/": a subject is one segment of a path, and one that no path reaches cannot be deactivated.
SUBJECT = r"^[\x21-\x2E\x30-\x7E]{1,200}$"
AUDIENCE = r"^[\x21-\x7E]{1,512}$"
# PostgreSQL's jsonb cannot hold U+0000: one such event would stop the audit trail for good.
NAME = r"^[^\x00-\x1F\x7F-\x9F]*$"

AudienceName = Annotated[str, Field(pattern=AUDIENCE)]
MAX_FAMILY_SECONDS = 365 * 86_400


def _redirectable(uri: str) -> str:
    problem = problem_with(uri)
    if problem is not None:
        raise ValueError(problem)
    return uri


RedirectUri = Annotated[str, AfterValidator(_redirectable)]


class ClientType(StrEnum):
    """RFC 6749, Section 2.1: whether the client can keep a secret."""

    CONFIDENTIAL = "confidential"
    PUBLIC = "public"


class TokenPolicy(BaseModel):
    """How a client's tokens are made. `lifetime` is in seconds; None takes the deployment's.

    `dpop_bound` (RFC 9449, Section 5.2) and `certificate_bound` (RFC 8705, Section 3.4) issue it no
    token that is not bound to a key, or to its certificate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lifetime: int | None = Field(default=None, ge=1, le=int(MAX_LIFETIME.total_seconds()))
    signing_algorithm: str | None = None
    plugin_id: str | None = Field(default=None, pattern=AUDIENCE)
    dpop_bound: bool = False
    certificate_bound: bool = False

    @model_validator(mode="after")
    def _known_algorithm(self) -> "TokenPolicy":
        if self.signing_algorithm not in (None, *SIGNING_ALGORITHMS):
            raise ValueError(f"signing_algorithm must be one of {', '.join(SIGNING_ALGORITHMS)}")
        return self

    @model_validator(mode="after")
    def _one_binding(self) -> "TokenPolicy":
        if self.dpop_bound and self.certificate_bound:
            raise ValueError("tokens are bound to a key of DPoP or to a certificate, not to both")
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


class Redirects(BaseModel):
    """Where browsers may be sent: with a code or an error, and after a logout.

    `require_pushed_authorization_requests` refuses authorization requests that were not pushed
    (RFC 9126, Section 6).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    redirect_uris: tuple[RedirectUri, ...] = Field(
        default=(), max_length=20, examples=[["https://client.example/callback"]]
    )
    post_logout_redirect_uris: tuple[RedirectUri, ...] = Field(default=(), max_length=20)
    require_pushed_authorization_requests: bool = False


class RefreshPolicy(BaseModel):
    """Whether and how long a client's grants outlive their access tokens; lifetimes in seconds.

    `without_openid` gives a refresh token to requests without the scope `openid` as well; with it,
    `offline_access` decides. None takes the deployment's value. `grace` 0 turns retries off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    without_openid: bool = True
    lifetime: int | None = Field(default=None, ge=60, le=MAX_FAMILY_SECONDS)
    idle_lifetime: int | None = Field(default=None, ge=60, le=MAX_FAMILY_SECONDS)
    grace: int | None = Field(default=None, ge=0, le=60)


class Delegation(BaseModel):
    """Who may act for whom by token exchange (RFC 8693).

    `may_act` names, by `sub`, who may act for the subjects of this client's tokens; None leaves it
    to who gets hold of one, and nobody is named by an empty list. `impersonation` lets the client
    itself act without being named in `act`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    may_act: tuple[Annotated[str, Field(pattern=SUBJECT)], ...] | None = Field(
        default=None, max_length=20, examples=[["billing-agent"]]
    )
    impersonation: bool = False


PRIVATE_KEY_JWT = "private_key_jwt"
TLS_CLIENT_AUTH = "tls_client_auth"
SELF_SIGNED_TLS_CLIENT_AUTH = "self_signed_tls_client_auth"
AUTHENTICATION_METHODS = (
    "client_secret_basic",
    "client_secret_post",
    PRIVATE_KEY_JWT,
    TLS_CLIENT_AUTH,
    SELF_SIGNED_TLS_CLIENT_AUTH,
    "none",
)
BY_CERTIFICATE = (TLS_CLIENT_AUTH, SELF_SIGNED_TLS_CLIENT_AUTH)
WITHOUT_SECRET = (PRIVATE_KEY_JWT, *BY_CERTIFICATE)
_PUBLIC_KEY_TYPES = ("EC", "OKP", "RSA")
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518, Section 6


class CertificateName(BaseModel):
    """The one name by which a client's certificate is known (RFC 8705, Section 2.1.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["subject_dn", "san_dns", "san_uri", "san_ip", "san_email"]
    value: str = Field(min_length=1, max_length=512, pattern=NAME)


class Authentication(BaseModel):
    """By what a client proves who it is (RFC 7591, Section 2: token_endpoint_auth_method).

    None is its secret, in the header or in the body; a name allows that method alone.
    private_key_jwt (RFC 7523) needs public keys, in `jwks` or published at `jwks_uri`;
    self_signed_tls_client_auth (RFC 8705, Section 2.2) likewise its certificates, as `x5c` of keys;
    tls_client_auth the name in the `certificate` that a trusted authority signed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: (
        Literal[
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
        ]
        | None
    ) = None
    jwks: tuple[dict[str, Any], ...] = Field(default=(), max_length=10)
    jwks_uri: HttpsUrl | None = None
    certificate: CertificateName | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Authentication":
        by_key = self.method in (PRIVATE_KEY_JWT, SELF_SIGNED_TLS_CLIENT_AUTH)
        if by_key != (bool(self.jwks) or self.jwks_uri is not None):
            raise ValueError(
                "private_key_jwt and self_signed_tls_client_auth need keys, and no other has any"
            )
        if (self.method == TLS_CLIENT_AUTH) != (self.certificate is not None):
            raise ValueError("tls_client_auth needs the name in its certificate, and no other does")
        if self.jwks and self.jwks_uri is not None:
            # RFC 7591, Section 2: "MUST NOT both be present in the same request or response".
            raise ValueError("give jwks or jwks_uri, not both")
        kids = [key.get("kid") for key in self.jwks]
        if not all(isinstance(kid, str) and kid for kid in kids) or len(set(kids)) < len(kids):
            raise ValueError("each key needs a kid of its own")
        if any(key.get("kty") not in _PUBLIC_KEY_TYPES for key in self.jwks):
            raise ValueError(f"keys must be of type {', '.join(_PUBLIC_KEY_TYPES)}")
        if any(_PRIVATE_MEMBERS & key.keys() for key in self.jwks):
            raise ValueError("keys must be public: a private key must not leave its client")
        if self.method == SELF_SIGNED_TLS_CLIENT_AUTH and not all(
            key.get("x5c") for key in self.jwks
        ):
            # RFC 8705, Section 2.2.2: "A certificate is represented with the x5c parameter".
            raise ValueError("self_signed_tls_client_auth needs the certificate of each key, x5c")
        return self


_SOFTWARE = Field(default="", max_length=255, pattern=NAME)
_WebPage = Annotated[str, Field(max_length=500, pattern=r"^https?://[!#-;=?-~]+$")]


class Registration(BaseModel):
    """How a client came to be registered, and what it said about itself (RFC 7591, Section 2).

    `initial_access_id` names the leave by which it registered, `publisher` who signed its software
    statement, `document` is the SHA-256 of its metadata document, where there was one. No contacts:
    they are people, and the log forgets nobody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["administrator", "dynamic", "metadata_document"] = "administrator"
    initial_access_id: str | None = None
    publisher: str | None = None
    document: str | None = None
    software_id: str = _SOFTWARE
    software_version: str = _SOFTWARE
    client_uri: _WebPage | None = None
    logo_uri: _WebPage | None = None
    tos_uri: _WebPage | None = None
    policy_uri: _WebPage | None = None


class ClientConfiguration(BaseModel):
    """Everything that is set when a client is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str = Field(pattern=CLIENT_ID, examples=["billing-agent"])
    name: DisplayName = Field(default="", max_length=200, pattern=NAME, examples=["Billing agent"])
    client_type: ClientType = ClientType.CONFIDENTIAL
    grant_types: tuple[str, ...] = (CLIENT_CREDENTIALS,)
    scopes: tuple[str, ...] = Field(default=(), examples=[["service", "mcp"]])
    audiences: Audiences = Audiences()
    owner: str | None = Field(default=None, pattern=SUBJECT, examples=["owner-1"])
    tokens: TokenPolicy = TokenPolicy()
    redirects: Redirects = Redirects()
    refresh: RefreshPolicy = RefreshPolicy()
    delegation: Delegation = Delegation()
    authentication: Authentication = Authentication()
    registration: Registration = Registration()
    authorization_details_types: tuple[AudienceName, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "ClientConfiguration":
        unknown = set(self.grant_types) - set(GRANT_TYPES)
        if unknown:
            raise ValueError(f"unknown grant type: {' '.join(sorted(unknown))}")
        # RFC 6749, Section 4.4: the grant MUST only be used by confidential clients.
        if self.client_type is ClientType.PUBLIC and CLIENT_CREDENTIALS in self.grant_types:
            raise ValueError("a public client cannot use client_credentials")
        if self.client_type is ClientType.PUBLIC and self.authentication.method is not None:
            raise ValueError("a public client does not authenticate")
        if AUTHORIZATION_CODE in self.grant_types and not self.redirects.redirect_uris:
            raise ValueError("authorization_code needs a redirect URI")
        # Who fetches a document decides what its URL may be called; nobody else takes such a name.
        by_document = self.registration.source == "metadata_document"
        named = self.client_id
        if by_document != is_metadata_url(named) or by_document != ("/" in named):
            raise ValueError("a client_id is a URL where its document is there, and only then")
        # Here and not where they are declared: what was recorded before the rule is still read.
        for name in ("software_id", "software_version"):
            problem = problem_with_name(getattr(self.registration, name))
            if problem is not None:
                raise ValueError(f"{name} {problem}")
        return self
