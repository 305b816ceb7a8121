"""Which key a token is bound to: whoever presents it must prove to hold that key too."""

from dataclasses import dataclass

DPOP = "jkt"
"""The confirmation method of RFC 9449, Section 6.1: the thumbprint (RFC 7638) of a public key."""
CERTIFICATE = "x5t#S256"
"""The confirmation method of RFC 8705, Section 3.1: the SHA-256 of a certificate."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The member of `cnf` (RFC 7800, Section 3.1): its name, and 43 characters of base64url."""

    method: str
    thumbprint: str

    def claim(self) -> dict[str, str]:
        """Return the `cnf` claim."""
        return {self.method: self.thumbprint}
