"""The one tree of OAuth errors: what the caller is told, and what only the record knows.

OAuthError
├── InvalidRequest            400  a parameter is missing, repeated, empty or malformed
│   ├── PayloadTooLarge       413  the body is over 64 KiB
│   ├── Unrecordable          400  the log or its read models cannot hold what would be recorded
│   └── UnusableToken         400  a subject or actor token; one text for every cause
├── InvalidClient             401  client authentication failed; one text for every cause
├── InvalidGrant              400  the presented grant or token is not the caller's to use
│   ├── UnusableGrant         400  a code or refresh token; one text for every cause
│   └── UnusableAssertion     400  an assertion; one text for every cause
├── InvalidDpopProof          400  the proof of a key is missing or proves nothing (RFC 9449)
│   └── UnusableProof         401  likewise, at a protected endpoint
├── UseDpopNonce              400  the proof lacks the nonce of this service (RFC 9449, Section 8)
│   └── NonceRequired         401  likewise, at a protected endpoint (RFC 9449, Section 9)
├── UnauthorizedClient        400  the client may not use this grant type
├── UnsupportedGrantType      400  this service has no such grant type
├── InvalidScope              400  unknown scope, or nothing left to grant
├── InvalidAuthorizationDetails 400  malformed, of an unknown type, or beyond the grant (RFC 9396)
├── InvalidTarget             400  audience or resource not allowed (RFC 8707, Section 2)
├── AuthorizationPending      400  the person has not decided yet (RFC 8628, Section 3.5)
├── SlowDown                  400  the device polls too often (RFC 8628, Section 3.5)
├── ExpiredToken              400  the device code has ended (RFC 8628, Section 3.5)
├── AccessDenied              400  the person or the rules said no
│   └── UnusableLogin         400  a failed login; one text for every cause
├── UnsupportedResponseType   400  only `code` is supported
├── LoginRequired             400  prompt=none, and nobody is logged in (OpenID Connect Core)
├── ConsentRequired           400  prompt=none, and consent is lacking (OpenID Connect Core)
├── RequestNotSupported       400  request objects are not supported (OpenID Connect Core)
├── InvalidRequestUri         400  the pushed request is unknown, used or expired (RFC 9101)
├── InvalidRedirectUri        400  a redirect URI cannot be registered (RFC 7591, Section 3.2.2)
├── InvalidClientMetadata     400  client metadata cannot be registered (RFC 7591)
│   └── UnusableDocument      400  a client's metadata document; one text for every cause
├── InvalidSoftwareStatement  400  a software statement proves nothing (RFC 7591)
├── UnapprovedSoftwareStatement 400 nobody whom we trust signed the statement (RFC 7591)
├── InvalidToken              401  a protected endpoint refuses the access token (RFC 6750)
├── LoginTooOld               401  the person has to log in anew (RFC 9470)
├── InsufficientScope         403  the access token lacks the endpoint's scope (RFC 6750)
├── NotFound                  404  an administration or audit object does not exist
├── ConflictingState          409  an administrative act does not fit the present state
├── TooManyRequests           429  a client or address asks too often (RFC 6585, Section 4)
├── TemporarilyUnavailable    503  PostgreSQL is away: nothing may be issued
│   └── IssuerAway            503  the keys of a trusted issuer cannot be fetched
└── ServerError               500  our fault, with the request id and nothing else

`description` is public, ASCII and free of secrets; `reason` is the true cause, for the record.
"""

from http import HTTPStatus
from typing import ClassVar

from domain import errors as broken

RETRY_AFTER_SECONDS = 1


class OAuthError(Exception):
    """An error with its OAuth code (RFC 6749, Section 5.2) and HTTP status.

    `retry_after` is in how many seconds trying again may help, None where it will not.
    """

    code: ClassVar[str]
    status: HTTPStatus = HTTPStatus.BAD_REQUEST
    retry_after: int | None = None

    def __init__(self, description: str, *, reason: str = "") -> None:
        super().__init__(description)
        self.description = description
        self.reason = reason or description


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated, empty or malformed."""

    code = "invalid_request"


class PayloadTooLarge(InvalidRequest):
    """The body is larger than any honest request."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unrecordable(InvalidRequest):
    """An event would hold what the log or its read models cannot hold (application.ledger).

    `what` cannot be recorded; `where` is the name of the fact that holds it, where that is known.
    """

    def __init__(self, what: str, *, where: str = "") -> None:
        super().__init__(
            f"{where}: {what} cannot be recorded" if where else f"{what} cannot be recorded"
        )


class InvalidClient(OAuthError):
    """Client authentication failed. The text is the same for every cause that could be probed."""

    code = "invalid_client"
    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, *, reason: str) -> None:
        super().__init__("client authentication failed", reason=reason)


class InvalidGrant(OAuthError):
    """The presented grant or token is not the caller's to use."""

    code = "invalid_grant"


class UnusableGrant(InvalidGrant):
    """A code, refresh token or device code is refused; one text for every cause."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            "the grant is invalid, expired, revoked or not this client's", reason=reason
        )


class UnusableAssertion(InvalidGrant):
    """An assertion is refused; one text for every cause (RFC 7521, Section 4.1.1)."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            "the assertion is invalid, expired, used before, or not for this client", reason=reason
        )


class UnusableToken(InvalidRequest):
    """A subject or actor token is refused; one text for every cause.

    RFC 8693, Section 2.2.2: `invalid_request` where one of them is "invalid for any reason".
    """

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            "the subject_token or actor_token is invalid, expired, revoked or not this client's",
            reason=reason,
        )


class InvalidDpopProof(OAuthError):
    """The proof of a key is missing or proves nothing (RFC 9449, Section 5)."""

    code = "invalid_dpop_proof"


class UnusableProof(InvalidDpopProof):
    """A protected endpoint refuses the proof (RFC 9449, Section 7.1)."""

    status = HTTPStatus.UNAUTHORIZED


class UseDpopNonce(OAuthError):
    """The proof lacks a nonce of ours that is current; the answer brings one to try again with."""

    code = "use_dpop_nonce"

    def __init__(self, nonce: str) -> None:
        super().__init__("the DPoP proof must carry the nonce of the DPoP-Nonce header")
        self.nonce = nonce


class NonceRequired(UseDpopNonce):
    """A protected endpoint asks for a nonce (RFC 9449, Section 9)."""

    status = HTTPStatus.UNAUTHORIZED


class UnauthorizedClient(OAuthError):
    """The client may not use this grant type."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """This service has no such grant type."""

    code = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """A scope is unknown, or nothing is left to grant."""

    code = "invalid_scope"


class InvalidAuthorizationDetails(OAuthError):
    """Authorization details are malformed, of an unknown type, or beyond what was granted."""

    code = "invalid_authorization_details"


class InvalidTarget(OAuthError):
    """The audience or resource is not allowed for this client."""

    code = "invalid_target"


class AuthorizationPending(OAuthError):
    """The person has not decided yet: poll again after the interval."""

    code = "authorization_pending"


class SlowDown(OAuthError):
    """The device polls too often: its interval grows by 5 seconds."""

    code = "slow_down"


class ExpiredToken(OAuthError):
    """The device code has ended: ask for a new one."""

    code = "expired_token"


class AccessDenied(OAuthError):
    """The person, or the rules, said no."""

    code = "access_denied"


class UnusableLogin(AccessDenied):
    """A login failed; one text for every cause."""

    def __init__(self, *, reason: str) -> None:
        super().__init__("the login failed", reason=reason)


class UnsupportedResponseType(OAuthError):
    """The authorization endpoint knows the response type `code` alone."""

    code = "unsupported_response_type"


class LoginRequired(OAuthError):
    """Nobody is logged in, and the client wants no page shown (`prompt=none`)."""

    code = "login_required"


class ConsentRequired(OAuthError):
    """Consent is lacking, and the client wants no page shown (`prompt=none`)."""

    code = "consent_required"


class RequestNotSupported(OAuthError):
    """Request objects (the parameter `request`) are not supported."""

    code = "request_not_supported"


class InvalidRequestUri(OAuthError):
    """The pushed request is unknown, used, expired or another client's."""

    code = "invalid_request_uri"


class InvalidRedirectUri(OAuthError):
    """A redirect URI cannot be registered (RFC 7591, Section 3.2.2)."""

    code = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """What a client says about itself cannot be registered (RFC 7591, Section 3.2.2)."""

    code = "invalid_client_metadata"


class UnusableDocument(InvalidClientMetadata):
    """A client's metadata document is refused; one text for every cause: whoever names a URL must
    not learn from us what lies behind it.
    """

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            "the metadata document of the client cannot be fetched or is not usable here",
            reason=reason,
        )


class InvalidSoftwareStatement(OAuthError):
    """A software statement proves nothing (RFC 7591, Section 3.2.2)."""

    code = "invalid_software_statement"


class UnapprovedSoftwareStatement(OAuthError):
    """A software statement is of nobody whom this service trusts (RFC 7591, Section 3.2.2)."""

    code = "unapproved_software_statement"


class InvalidToken(OAuthError):
    """A protected endpoint refuses the access token (RFC 6750, Section 3.1)."""

    code = "invalid_token"
    status = HTTPStatus.UNAUTHORIZED


class LoginTooOld(OAuthError):
    """The person's login is not recent enough for the endpoint (RFC 9470, Section 3)."""

    code = "insufficient_user_authentication"
    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, max_age: int) -> None:
        super().__init__(f"a login of the last {max_age} seconds is needed")
        self.max_age = max_age


class InsufficientScope(OAuthError):
    """The access token lacks the scope that the endpoint needs (RFC 6750, Section 3.1)."""

    code = "insufficient_scope"
    status = HTTPStatus.FORBIDDEN


class NotFound(OAuthError):
    """The object that an administrator or auditor named does not exist."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class ConflictingState(OAuthError):
    """An administrative act does not fit the present state of its object."""

    code = "conflict"
    status = HTTPStatus.CONFLICT


class TooManyRequests(OAuthError):
    """A client or address asks more often than its limit allows (RFC 6585, Section 4).

    No OAuth document has a code for it: `slow_down` means a device alone (RFC 8628), and
    `temporarily_unavailable` an outage, which another replica might not have.
    """

    code = "too_many_requests"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, retry_after: int, *, reason: str) -> None:
        unit = "second" if retry_after == 1 else "seconds"
        super().__init__(f"too many requests; try again in {retry_after} {unit}", reason=reason)
        self.retry_after = retry_after


class TemporarilyUnavailable(OAuthError):
    """PostgreSQL is away: nothing may be issued, and trying again soon is right."""

    code = "temporarily_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after = RETRY_AFTER_SECONDS

    def __init__(self, *, reason: str) -> None:
        super().__init__("the service cannot record at the moment; try again", reason=reason)


class IssuerAway(TemporarilyUnavailable):
    """The keys of a trusted issuer cannot be fetched, so that its token can neither be believed
    nor refused.
    """

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason=reason)
        self.description = "the issuer of the token cannot be reached at the moment; try again"


class ServerError(OAuthError):
    """Our fault; the request id leads to the cause in the log."""

    code = "server_error"
    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self) -> None:
        super().__init__("an unexpected error occurred; quote the request id when you report it")


def from_domain(error: broken.DomainError) -> OAuthError:
    """Return the OAuth error for a broken rule of the domain; the message becomes public."""
    if isinstance(error, broken.OwnerNotActive):
        return InvalidClient(reason=str(error))
    if isinstance(error, broken.PersonNotActive | broken.GrantNotUsable):
        return UnusableGrant(reason=str(error))
    if isinstance(error, broken.TooManyAlive):
        return TooManyRequests(error.seconds, reason=str(error))
    return _CODES.get(type(error), InvalidRequest)(str(error), reason=_REASONS.get(type(error), ""))


# Where the message repeats what the caller typed, the record gets the cause alone: it must not
# become a place where anybody can write.
_REASONS: dict[type[broken.DomainError], str] = {
    broken.ScopeUnknown: "unknown scope",
    broken.AudienceNotAllowed: "target not allowed",
}

_CODES: dict[type[broken.DomainError], type[OAuthError]] = {
    broken.AlreadyRegistered: ConflictingState,
    broken.InvalidConfiguration: InvalidRequest,
    broken.GrantTypeNotRegistered: UnauthorizedClient,
    broken.PublicClientRefused: UnauthorizedClient,
    broken.ScopeUnknown: InvalidScope,
    broken.ScopeNotGranted: InvalidScope,
    broken.AudienceMissing: InvalidScope,
    broken.DetailsNotGranted: InvalidAuthorizationDetails,
    broken.AudienceNotAllowed: InvalidTarget,
    broken.DelegationRefused: InvalidRequest,
    broken.ProofMissing: InvalidDpopProof,
    broken.CertificateMissing: InvalidRequest,
    broken.KeyStateError: ConflictingState,
}
