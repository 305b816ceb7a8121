"""What a successful token request is answered with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """RFC 6749, Section 5.1. `expires_in` is in seconds; the token stays out of the repr."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str

    def __repr__(self) -> str:
        return f"TokenResponse(scope={self.scope!r})"
