"""Who is logged in, told to the client (OpenID Connect Core, Section 5.3).

The subject, and the login name where the token carries `profile`: nothing else is known here.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from application.token_keys import VerifiedClaims
from domain.permissions import PROFILE


async def userinfo(
    token: VerifiedClaims, logins_of: Callable[[str], Awaitable[list[str]]]
) -> Mapping[str, Any]:
    """Return the claims about the person behind a token that was verified and is live.

    `logins_of` returns the login names of a subject. Raises LedgerUnavailable.
    """
    subject = str(token.claims["sub"])
    if PROFILE not in token.scope:
        return {"sub": subject}
    logins = await logins_of(subject)
    return {"sub": subject, **({"preferred_username": logins[0]} if logins else {})}
