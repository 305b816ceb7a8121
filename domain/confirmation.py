"""Which key a token is bound to: whoever presents it must prove to hold that key too."""

import re
from dataclasses import dataclass

DPOP = "jkt"
"""The confirmation method of RFC 9449, Section 6.1: the thumbprint (RFC 7638) of a public key."""
CERTIFICATE = "x5t#S256"
"""The confirmation method of RFC 8705, Section 3.1: the SHA-256 of a certificate."""
_METHODS = (DPOP, CERTIFICATE)
# 32 bytes are 43 characters, the last of which carries four bits: only sixteen characters leave no
# bits over (RFC 4648, Section 3.5), and any other would be a further spelling of the same key.
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The member of `cnf` (RFC 7800, Section 3.1): its name, and 43 characters of base64url."""

    method: str
    thumbprint: str

    @classmethod
    def of(cls, claim: object) -> "Confirmation":
        """Return what a `cnf` claim says.

        Raises ValueError for a binding of another kind, or several: such a token must be refused,
        for nobody could prove here to hold its key.
        """
        if not isinstance(claim, dict) or len(claim) != 1:
            raise ValueError("no confirmation that can be checked")
        ((method, thumbprint),) = claim.items()
        if method not in _METHODS or not is_thumbprint(thumbprint):
            raise ValueError("no confirmation that can be checked")
        return cls(method, thumbprint)

    def claim(self) -> dict[str, str]:
        """Return the `cnf` claim."""
        return {self.method: self.thumbprint}


def is_thumbprint(value: object) -> bool:
    """Tell whether `value` is base64url of a SHA-256, in its one spelling."""
    return isinstance(value, str) and _THUMBPRINT.fullmatch(value) is not None
