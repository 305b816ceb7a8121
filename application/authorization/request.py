"""An authorization request (RFC 6749, Section 4.1.1), checked in two parts.

First what decides where the answer may go; a failure here is shown to the person, for to redirect
would make us an open redirector (RFC 6749, Section 4.1.2.1):

1 `client_id` is a client that is enabled, 2 `redirect_uri` is one of its own, exactly; left out
where it has one alone.

Then everything else; a failure goes to the client by the browser:

3 no request object, 4 `response_type` is code, 5 `response_mode` is query or form_post, 6 PKCE by
S256, always, 7 the client is registered for the grant, 8 scopes exist, 9 targets are well-formed
and allowed, 10 `prompt`, `max_age` and `nonce` make sense, 11 `dpop_jkt` is a thumbprint (RFC 9449,
Section 10), 12 `authorization_details` are of the client's types and fit them (RFC 9396).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.authorization_details import DetailTypes
from application.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    RequestNotSupported,
    UnauthorizedClient,
    UnsupportedResponseType,
    from_domain,
)
from application.ports import Directory
from domain.authorization_details import Details
from domain.client import Client
from domain.client_configuration import AUDIENCE, AUTHORIZATION_CODE
from domain.confirmation import is_thumbprint
from domain.errors import DomainError
from domain.issuance import DeploymentPolicy
from domain.redirect_uri import match

RESPONSE_MODES = ("query", "form_post")
PROMPTS = ("none", "login", "consent", "select_account")
MAX_SCOPE_CHARACTERS = 2048
_MAX_OPAQUE = 2048
_MAX_AGE_SECONDS = 10 * 365 * 86_400
_SECONDS = re.compile(r"[0-9]{1,9}")
# RFC 6749, Section 3.3: scope-token *( SP scope-token )
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*")
_TARGET = re.compile(AUDIENCE)
# RFC 7636, Section 4.2: BASE64URL-ENCODE of a SHA-256 is 43 characters.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_PRINTABLE = re.compile(r"[\x20-\x7E]+")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that was checked. `max_age` is in seconds; `prompt` holds its words; `dpop_jkt` is
    the thumbprint of the key that its code is bound to.
    """

    client_id: str
    redirect_uri: str
    response_mode: str
    state: str | None
    scope: tuple[str, ...]
    resource: tuple[str, ...]
    challenge: str
    nonce: str | None
    prompt: tuple[str, ...]
    max_age: int | None
    login_hint: str | None
    id_token_hint: str | None
    dpop_jkt: str | None = None
    authorization_details: Details = ()

    def __repr__(self) -> str:
        return f"AuthorizationRequest({self.client_id})"


def client_and_redirect_uri(
    parameters: Mapping[str, str], directory: Directory
) -> tuple[Client, str]:
    """Return who asks and where the answer may go (1, 2). Raises InvalidRequest, for a page."""
    client_id = parameters.get("client_id")
    if client_id is None:
        raise InvalidRequest("client_id is required")
    client = directory.client(client_id)
    if client is None or not client.enabled:  # 1
        raise InvalidRequest("this client is not known here", reason="client unknown or disabled")
    registered = client.redirects.redirect_uris
    presented = parameters.get("redirect_uri")
    if presented is None and len(registered) == 1:
        return client, registered[0]
    if presented is None:
        raise InvalidRequest("redirect_uri is required")
    if not match(presented, registered):  # 2
        raise InvalidRequest(
            "the redirect_uri is not registered for this client", reason="redirect_uri differs"
        )
    return client, presented


def response_mode(parameters: Mapping[str, str]) -> str:
    """Return how the answer travels; `query` where the request says nothing that we know (5)."""
    mode = parameters.get("response_mode", "query")
    return mode if mode in RESPONSE_MODES else "query"


def checked(
    parameters: Mapping[str, str],
    resource: Sequence[str],
    client: Client,
    redirect_uri: str,
    policy: DeploymentPolicy,
    types: DetailTypes,
) -> AuthorizationRequest:
    """Return the request once 3 to 12 hold. Raises an OAuthError, which goes to the client."""
    if "request" in parameters:  # 3
        raise RequestNotSupported("request objects are not supported; push the request instead")
    if parameters.get("response_type") != "code":  # 4
        raise UnsupportedResponseType("response_type must be code")
    if parameters.get("response_mode", "query") not in RESPONSE_MODES:  # 5
        raise InvalidRequest(f"response_mode must be one of {', '.join(RESPONSE_MODES)}")
    if AUTHORIZATION_CODE not in client.grant_types:  # 7
        raise UnauthorizedClient("authorization_code is not registered for this client")
    scope = _scope(parameters, policy)
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        response_mode=response_mode(parameters),
        state=_opaque(parameters, "state"),
        scope=scope,
        resource=_resource(resource, scope, client, policy),
        challenge=_challenge(parameters),
        nonce=_opaque(parameters, "nonce"),
        prompt=_prompt(parameters),
        max_age=_max_age(parameters),
        login_hint=_opaque(parameters, "login_hint"),
        id_token_hint=parameters.get("id_token_hint"),
        dpop_jkt=_dpop_jkt(parameters),
        authorization_details=_details(parameters, client, types),
    )


def scope_names(value: str | None) -> tuple[str, ...] | None:
    """Return the scope names of a parameter, None where it was not sent. Raises InvalidScope."""
    if value is None:
        return None
    if len(value) > MAX_SCOPE_CHARACTERS or not _SCOPE.fullmatch(value):
        raise InvalidScope("the scope is malformed")
    return tuple(value.split(" "))


def target_names(targets: Sequence[str]) -> tuple[str, ...]:
    """Return `targets` once each is well-formed. Raises InvalidTarget."""
    for target in targets:
        # RFC 8707, Section 2: a resource "MUST NOT include a fragment component".
        if not _TARGET.fullmatch(target) or "#" in target:
            raise InvalidTarget("a target is malformed")
    return tuple(targets)


def _challenge(parameters: Mapping[str, str]) -> str:
    challenge = parameters.get("code_challenge")
    # RFC 7636, Section 4.3: without a method the challenge would be the verifier itself.
    if challenge is None or parameters.get("code_challenge_method") != "S256":  # 6
        raise InvalidRequest("PKCE is required: code_challenge with code_challenge_method=S256")
    if not _CHALLENGE.fullmatch(challenge):
        raise InvalidRequest("code_challenge must be 43 characters of base64url")
    return challenge


def _scope(parameters: Mapping[str, str], policy: DeploymentPolicy) -> tuple[str, ...]:
    names = scope_names(parameters.get("scope"))
    if names is None:
        raise InvalidScope("a scope is required")
    try:
        return policy.catalogue.order(names)  # 8
    except DomainError as error:
        raise from_domain(error) from error


def _resource(
    resource: Sequence[str], scope: tuple[str, ...], client: Client, policy: DeploymentPolicy
) -> tuple[str, ...]:
    try:
        return client.bound_resource(target_names(resource), scope, policy)  # 9
    except DomainError as error:
        raise from_domain(error) from error


def _prompt(parameters: Mapping[str, str]) -> tuple[str, ...]:
    words = tuple(parameters.get("prompt", "").split())
    unknown = [word for word in words if word not in PROMPTS]
    if unknown:
        raise InvalidRequest(f"prompt may hold {', '.join(PROMPTS)}")
    if "none" in words and len(set(words)) > 1:  # OpenID Connect Core, Section 3.1.2.1
        raise InvalidRequest("prompt=none stands alone")
    return words


def _max_age(parameters: Mapping[str, str]) -> int | None:
    value = parameters.get("max_age")
    if value is None:
        return None
    if not _SECONDS.fullmatch(value) or int(value) > _MAX_AGE_SECONDS:
        raise InvalidRequest("max_age must be a number of seconds")
    return int(value)


def _dpop_jkt(parameters: Mapping[str, str]) -> str | None:
    value = parameters.get("dpop_jkt")
    if value is not None and not is_thumbprint(value):  # 11
        raise InvalidRequest("dpop_jkt must be the base64url SHA-256 thumbprint of a key")
    return value


def _details(parameters: Mapping[str, str], client: Client, types: DetailTypes) -> Details:
    """12."""
    wanted = parameters.get("authorization_details")
    return types.read(wanted, allowed=client.authorization_details_types) or ()


def _opaque(parameters: Mapping[str, str], name: str) -> str | None:
    value = parameters.get(name)
    if value is None:
        return None
    # RFC 6749, Appendix A.5: state = 1*VSCHAR; a control character here could forge a log line.
    if len(value) > _MAX_OPAQUE or not _PRINTABLE.fullmatch(value):
        raise InvalidRequest(f"{name} must be printable ASCII of at most {_MAX_OPAQUE} characters")
    return value


def shown_state(parameters: Mapping[str, str]) -> str | None:
    """Return the state to send back with an error: only one that is fit to be sent."""
    try:
        return _opaque(parameters, "state")
    except OAuthError:
        return None
