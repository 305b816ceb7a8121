"""What a successful token request is answered with."""

from dataclasses import dataclass


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

    def __repr__(self) -> str:
        return f"TokenResponse(scope={self.scope!r})"
