"""How an OAuth error looks on the wire (RFC 6749, Section 5.2; RFC 6750, Section 3)."""

import re

import msgspec

from application.errors import (
    RETRY_AFTER_SECONDS,
    InsufficientScope,
    InvalidClient,
    InvalidToken,
    OAuthError,
    TemporarilyUnavailable,
)

REALM = "grantledger"
_MAX_DESCRIPTION = 400
# RFC 6749, Section 5.2: "characters outside the set %x20-21 / %x23-5B / %x5D-7E" are not allowed.
_OUTSIDE = re.compile(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]")

Headers = list[tuple[bytes, bytes]]


class MissingToken(InvalidToken):
    """A protected endpoint was asked without a Bearer token."""

    def __init__(self) -> None:
        super().__init__("a Bearer token is required", reason="no bearer token")


def error_body(error: OAuthError, *, issuer: str, request_id: str) -> bytes:
    """Return the JSON body of an error. The private reason is not in it."""
    return msgspec.json.encode(
        {
            "error": error.code,
            "error_description": public_text(error.description),
            "error_uri": f"{issuer}/errors#{error.code}",
            "request_id": request_id,
        }
    )


def error_headers(error: OAuthError) -> Headers:
    """Return the headers that an error adds: the challenge, or when to try again."""
    if isinstance(error, InvalidClient):
        return [(b"www-authenticate", f'Basic realm="{REALM}", charset="UTF-8"'.encode())]
    if isinstance(error, MissingToken):
        # RFC 6750, Section 3.1: "If the request lacks any authentication information [...], the
        # resource server SHOULD NOT include an error code or other error information."
        return [(b"www-authenticate", f'Bearer realm="{REALM}"'.encode())]
    if isinstance(error, InvalidToken | InsufficientScope):
        description = public_text(error.description)
        challenge = f'Bearer realm="{REALM}", error="{error.code}"'
        return [(b"www-authenticate", f'{challenge}, error_description="{description}"'.encode())]
    if isinstance(error, TemporarilyUnavailable):
        return [(b"retry-after", str(RETRY_AFTER_SECONDS).encode())]
    return []


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
