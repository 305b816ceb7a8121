"""What a successful token request is answered with."""

from dataclasses import dataclass
from typing import Any

from domain.access_token import ACCESS_TOKEN, AccessToken


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """RFC 6749, Section 5.1. `expires_in` is in seconds; the tokens stay out of the repr."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str | None = None
    id_token: str | None = None
    issued_token_type: str | None = None

    @classmethod
    def to(cls, token: AccessToken, signed: str, **more: Any) -> "TokenResponse":
        """Return the answer that hands out `signed`, the value of `token`, and `more` members."""
        issued = token.issued
        return cls(
            access_token=signed,
            # RFC 6750; RFC 8693, Section 2.2.1: "N_A" for what is no access token.
            token_type="Bearer" if issued.form == ACCESS_TOKEN else "N_A",
            expires_in=int(issued.expires_at.timestamp()) - int(issued.timestamp.timestamp()),
            scope=" ".join(issued.scope),
            **more,
        )

    def __repr__(self) -> str:
        return f"TokenResponse(scope={self.scope!r})"
