"""What a successful token request is answered with."""

from typing import Any

import msgspec

from domain.access_token import ACCESS_TOKEN, AccessToken
from domain.authorization_details import Details
from domain.confirmation import DPOP, Confirmation


def token_type(confirmation: Confirmation | None) -> str:
    """Return how a token is to be presented (RFC 6750; RFC 9449, Section 5).

    Certificates bind what is presented as any bearer token is (RFC 8705, Section 3).
    """
    return "DPoP" if confirmation and confirmation.method == DPOP else "Bearer"


class TokenResponse(msgspec.Struct, frozen=True):
    """RFC 6749, Section 5.1. `expires_in` is in seconds; the tokens stay out of the repr.

    `token_type` is "N_A" for what is no access token (RFC 8693, Section 2.2.1).
    """

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str | None = None
    id_token: str | None = None
    issued_token_type: str | None = None
    authorization_details: Details = ()

    @classmethod
    def to(cls, token: AccessToken, signed: str, **more: Any) -> "TokenResponse":
        """Return the answer that hands out `signed`, the value of `token`, and `more` members."""
        issued = token.issued
        return cls(
            access_token=signed,
            token_type=token_type(issued.confirmation) if issued.form == ACCESS_TOKEN else "N_A",
            expires_in=int(issued.expires_at.timestamp()) - int(issued.timestamp.timestamp()),
            scope=" ".join(issued.scope),
            authorization_details=issued.authorization_details,
            **more,
        )

    def __repr__(self) -> str:
        return f"TokenResponse(scope={self.scope!r})"
