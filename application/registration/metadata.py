"""Client metadata (RFC 7591, Section 2): read into a client's configuration, and told back.

1. Members have the form that the RFC gives them; what we do not know is ignored, null and empty
   texts count as left out (RFC 7592, Section 2.2).
2. No private key is among the keys, whatever they are for.
3. Response types go with the grant types: `code` with authorization_code, and nothing else.
4. One redirect URI at least where codes are sent.

What is left out gets the RFC's defaults; keys are kept only where the client authenticates by them.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)

from application.errors import InvalidClientMetadata, InvalidRedirectUri
from domain.client import Client
from domain.client_configuration import (
    AUTHORIZATION_CODE,
    PRIVATE_KEY_JWT,
    SELF_SIGNED_TLS_CLIENT_AUTH,
    TLS_CLIENT_AUTH,
    Authentication,
    ClientConfiguration,
    ClientType,
    Redirects,
    RedirectUri,
    Registration,
    TokenPolicy,
)
from domain.visible_text import DisplayName

NONE = "none"
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
KEY_METHODS = (PRIVATE_KEY_JWT, SELF_SIGNED_TLS_CLIENT_AUTH)
METHODS = (NONE, *SECRET_METHODS, *KEY_METHODS, TLS_CLIENT_AUTH)
DEFAULT_GRANT_TYPES = (AUTHORIZATION_CODE,)
_CERTIFICATE_KINDS = ("subject_dn", "san_dns", "san_uri", "san_ip", "san_email")
_REDIRECT_MEMBERS = ("redirect_uris", "post_logout_redirect_uris")
_ABOUT = ("software_id", "software_version", "client_uri", "logo_uri", "tos_uri", "policy_uri")
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518, Section 6

Json = Mapping[str, Any]


def _words(value: object) -> object:
    return tuple(value.split(" ")) if isinstance(value, str) else value


# RFC 7517, Section 4: members are texts and lists of them (`ext` of browsers is a switch). What
# nests deeper could not be recorded.
_KeyMember = str | StrictBool | list[str]


class _KeySet(BaseModel):
    model_config = ConfigDict(frozen=True)

    keys: tuple[dict[str, _KeyMember], ...] = Field(max_length=10)


class Metadata(BaseModel):
    """What a client says about itself, its members of the right form. None: it does not say."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    redirect_uris: tuple[RedirectUri, ...] = Field(default=(), max_length=20)
    post_logout_redirect_uris: tuple[RedirectUri, ...] = Field(default=(), max_length=20)
    token_endpoint_auth_method: Literal[
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "self_signed_tls_client_auth",
        "tls_client_auth",
    ] = "client_secret_basic"  # noqa: S105  # a name
    grant_types: tuple[str, ...] | None = Field(default=None, max_length=20)
    response_types: tuple[Literal["code"], ...] | None = Field(default=None, max_length=1)
    scope: Annotated[tuple[str, ...] | None, BeforeValidator(_words)] = None
    client_name: DisplayName = ""
    jwks: _KeySet | None = None
    jwks_uri: str | None = None
    id_token_signed_response_alg: str | None = None
    subject_type: Literal["public"] = "public"
    dpop_bound_access_tokens: StrictBool = False
    tls_client_certificate_bound_access_tokens: StrictBool = False
    require_pushed_authorization_requests: StrictBool = False
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None
    software_id: DisplayName = ""
    software_version: DisplayName = ""
    client_uri: str | None = None
    logo_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None


def read_metadata(document: Json) -> Metadata:
    """Return what a document says. Raises InvalidClientMetadata, InvalidRedirectUri."""
    given = {name: value for name, value in document.items() if value not in (None, "")}  # 1
    try:
        metadata = Metadata.model_validate(given)
    except ValidationError as error:
        raise _refusal(error) from None
    _require_storable(metadata.model_dump())
    for key in metadata.jwks.keys if metadata.jwks else ():  # 2
        if _PRIVATE_MEMBERS & key.keys():
            raise InvalidClientMetadata("jwks: a private key must not leave its client")
    return metadata


def configured(
    metadata: Metadata,
    client_id: str,
    *,
    scopes: tuple[str, ...],
    grant_types: tuple[str, ...],
    registration: Registration,
) -> ClientConfiguration:
    """Return the configuration that a client asks for; `scopes` and `grant_types` stand in where
    it names none. Raises InvalidClientMetadata, InvalidRedirectUri.
    """
    grants = tuple(dict.fromkeys(metadata.grant_types or grant_types))
    by_code = AUTHORIZATION_CODE in grants
    if metadata.response_types is not None and bool(metadata.response_types) != by_code:  # 3
        raise InvalidClientMetadata("response_types must be code with authorization_code alone")
    if by_code and not metadata.redirect_uris:  # 4
        raise InvalidRedirectUri("authorization_code needs redirect_uris")
    public = metadata.token_endpoint_auth_method == NONE
    try:
        return ClientConfiguration(
            client_id=client_id,
            name=metadata.client_name,
            client_type=ClientType.PUBLIC if public else ClientType.CONFIDENTIAL,
            grant_types=grants,
            scopes=scopes if metadata.scope is None else tuple(dict.fromkeys(metadata.scope)),
            tokens=TokenPolicy(
                signing_algorithm=metadata.id_token_signed_response_alg,
                dpop_bound=metadata.dpop_bound_access_tokens,
                certificate_bound=metadata.tls_client_certificate_bound_access_tokens,
            ),
            redirects=Redirects(
                redirect_uris=metadata.redirect_uris,
                post_logout_redirect_uris=metadata.post_logout_redirect_uris,
                require_pushed_authorization_requests=metadata.require_pushed_authorization_requests,
            ),
            authentication=_authentication(metadata),
            registration=Registration.model_validate(
                {
                    **registration.model_dump(),
                    **{name: getattr(metadata, name) for name in _ABOUT},
                }
            ),
        )
    except ValidationError as error:
        raise _refusal(error) from None


def _authentication(metadata: Metadata) -> Authentication:
    method = metadata.token_endpoint_auth_method
    facts: dict[str, Any] = {"method": None if method == NONE else method}
    if method in KEY_METHODS:
        facts["jwks"] = metadata.jwks.keys if metadata.jwks else ()
        facts["jwks_uri"] = metadata.jwks_uri
    if method == TLS_CLIENT_AUTH:
        names = {kind: getattr(metadata, f"tls_client_auth_{kind}") for kind in _CERTIFICATE_KINDS}
        given = [(kind, name) for kind, name in names.items() if name is not None]
        if len(given) != 1:  # RFC 8705, Section 2.1.2: "exactly one"
            raise InvalidClientMetadata("tls_client_auth needs exactly one name of its certificate")
        facts["certificate"] = {"kind": given[0][0], "value": given[0][1]}
    return Authentication.model_validate(facts)


def _require_storable(given: Json) -> None:
    """Raise InvalidClientMetadata for text that the record cannot hold: half a character
    (RFC 8259, Section 8.2), or U+0000, which PostgreSQL has no place for.
    """
    text = json.dumps(given, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidClientMetadata("the metadata is not Unicode text") from None
    if "\\u0000" in text:
        raise InvalidClientMetadata("the metadata holds a character that is none")


def _refusal(error: ValidationError) -> InvalidClientMetadata | InvalidRedirectUri:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = [str(part) for part in problem["loc"]]
    # Not what was typed: the record must not become a place where anybody can write.
    member = next((name for name in reversed(place) if name in Metadata.model_fields), "metadata")
    text = f"{member}: {problem['msg'].removeprefix('Value error, ')}"
    kind = InvalidRedirectUri if member in _REDIRECT_MEMBERS else InvalidClientMetadata
    return kind(text)


def method_of(client_type: ClientType, authentication: Authentication) -> str:
    """Return the name of a client's token_endpoint_auth_method."""
    if client_type is ClientType.PUBLIC:
        return NONE
    return authentication.method or SECRET_METHODS[0]


def described(client: Client) -> dict[str, Any]:
    """Return what is registered of a client (RFC 7591, Section 3.2.1), secrets left out."""
    authentication, about = client.authentication, client.registration
    certificate = authentication.certificate
    facts: dict[str, Any] = {
        "client_id": client.client_id,
        "client_id_issued_at": int(client.created_on.timestamp()),
        "client_name": client.name,
        "redirect_uris": client.redirects.redirect_uris,
        "post_logout_redirect_uris": client.redirects.post_logout_redirect_uris,
        "token_endpoint_auth_method": method_of(client.client_type, authentication),
        "grant_types": client.grant_types,
        "response_types": ["code"] if AUTHORIZATION_CODE in client.grant_types else [],
        "scope": " ".join(client.scopes),
        "jwks": {"keys": authentication.jwks} if authentication.jwks else None,
        "jwks_uri": authentication.jwks_uri,
        "id_token_signed_response_alg": client.tokens.signing_algorithm,
        "dpop_bound_access_tokens": client.tokens.dpop_bound,
        "tls_client_certificate_bound_access_tokens": client.tokens.certificate_bound,
        "require_pushed_authorization_requests": (
            client.redirects.require_pushed_authorization_requests
        ),
        "authorization_details_types": client.authorization_details_types or None,
        **{name: getattr(about, name) for name in _ABOUT},
    }
    if certificate is not None:
        facts[f"tls_client_auth_{certificate.kind}"] = certificate.value
    return {name: value for name, value in facts.items() if value not in (None, "")}
