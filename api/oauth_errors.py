"""How an OAuth error looks on the wire (RFC 6749, Section 5.2; RFC 6750, Section 3)."""

import re
from collections.abc import Iterator

import msgspec

from application.errors import (
    InsufficientScope,
    InvalidClient,
    InvalidToken,
    LoginTooOld,
    NonceRequired,
    OAuthError,
    PayloadTooLarge,
    UnusableProof,
)
from domain.client_configuration import SIGNING_ALGORITHMS

REALM = "grantledger"
_MAX_DESCRIPTION = 400
# RFC 6749, Section 5.2: "characters outside the set %x20-21 / %x23-5B / %x5D-7E" are not allowed.
_OUTSIDE = re.compile(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]")

Headers = list[tuple[bytes, bytes]]


class MissingToken(InvalidToken):
    """A protected endpoint was asked without an access token."""

    def __init__(self) -> None:
        super().__init__("an access token is required", reason="no access token")


def error_body(error: OAuthError, *, issuer: str = "", request_id: str = "") -> bytes:
    """Return the JSON body of an error. The private reason is not in it."""
    links = {"error_uri": f"{issuer}/errors#{error.code}"} if issuer else {}
    return msgspec.json.encode(
        {
            "error": error.code,
            "error_description": public_text(error.description),
            **links,
            **({"request_id": request_id} if request_id else {}),
        }
    )


def error_headers(error: OAuthError, *, metadata_url: str | None = None) -> Headers:
    """Return the headers that an error adds: challenge, nonce, or when to try again.

    `metadata_url` tells clients of a protected endpoint where to ask for tokens (RFC 9728).
    """
    if isinstance(error, InvalidClient):
        return [(b"www-authenticate", f'Basic realm="{REALM}", charset="UTF-8"'.encode())]
    if isinstance(error, _CHALLENGED):
        challenge = ", ".join(_challenges(error, metadata_url))
        nonce = nonce_headers(error.nonce) if isinstance(error, NonceRequired) else []
        return [(b"www-authenticate", challenge.encode()), *nonce]
    if isinstance(error, PayloadTooLarge):
        # RFC 9110, Section 15.5.14: what is left of the body is not read, and who would send the
        # next request on this connection has to know.
        return [(b"connection", b"close")]
    if error.retry_after is not None:
        return [(b"retry-after", str(error.retry_after).encode())]
    return []


_CHALLENGED = InvalidToken | InsufficientScope | LoginTooOld | UnusableProof | NonceRequired


def _challenges(error: OAuthError, metadata_url: str | None) -> Iterator[str]:
    """Yield how a token may be presented: as a bearer token, or with a proof."""
    told = "" if metadata_url is None else f', resource_metadata="{metadata_url}"'
    # RFC 6750, Section 3: "If the request lacks any authentication information [...], the
    # resource server SHOULD NOT include an error code or other error information."
    if not isinstance(error, MissingToken):
        description = public_text(error.description)
        told += f', error="{error.code}", error_description="{description}"'
    if isinstance(error, LoginTooOld):  # RFC 9470, Section 3
        told += f', max_age="{error.max_age}"'
    if not isinstance(error, UnusableProof | NonceRequired):
        yield f'Bearer realm="{REALM}"{told}'
    # RFC 9449, Section 7.1
    yield f'DPoP realm="{REALM}", algs="{" ".join(SIGNING_ALGORITHMS)}"{told}'


def nonce_headers(nonce: str) -> Headers:
    """Return the headers that hand out the nonce for the next proof, to pages as well."""
    return [
        (b"dpop-nonce", nonce.encode()),
        (b"access-control-expose-headers", b"DPoP-Nonce"),
    ]


def public_text(description: str) -> str:
    """Return a description in the characters that are allowed, and of bounded length."""
    text = _OUTSIDE.sub("?", description)
    return text if len(text) <= _MAX_DESCRIPTION else f"{text[:_MAX_DESCRIPTION]}..."
