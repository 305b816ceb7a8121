"""The two tokens of registration: values are shown once, verifiers are kept.

An initial access token (RFC 7591, Section 3) is `gli_`, the name of its leave, a dot and 256 random
bits; a registration access token (RFC 7592, Section 3) `glr_` and 256 random bits. Both are
compared by verifier, in constant time, and what is unknown takes the time of a comparison.
"""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from application.errors import InvalidToken
from application.ports import EventLog
from application.secret_keys import Peppers, PresentedSecret
from domain.client import Client
from domain.errors import GrantNotUsable
from domain.initial_access import InitialAccess, KeptVerifier

INITIAL_PREFIX, REGISTRATION_PREFIX = "gli_", "glr_"
_BYTES = 32
_INITIAL = re.compile(r"gli_([0-9a-f]{16})\.[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made: `value` is shown once, `kept` is what the record gets."""

    value: str = field(repr=False)
    kept: KeptVerifier


def new_initial_token(peppers: Peppers) -> tuple[str, NewToken]:
    """Return the name of a new leave to register, and its token."""
    access_id = secrets.token_hex(8)
    value = f"{INITIAL_PREFIX}{access_id}.{secrets.token_urlsafe(_BYTES)}"
    return access_id, _token(value, peppers)


def new_registration_token(peppers: Peppers) -> NewToken:
    """Return a new token by which a client is managed."""
    return _token(REGISTRATION_PREFIX + secrets.token_urlsafe(_BYTES), peppers)


def _token(value: str, peppers: Peppers) -> NewToken:
    kept = KeptVerifier(peppers.current.key_id, peppers.verifier(PresentedSecret(value)))
    return NewToken(value, kept)


async def initial_access(
    value: str, *, log: EventLog, peppers: Peppers, now: datetime
) -> InitialAccess:
    """Return the leave that a token proves. Raises InvalidToken, LedgerUnavailable.

    1 the token has the form, 2 its leave is known and it is that leave's, 3 the leave has not been
    revoked, has not ended and is not used up.
    """
    form = _INITIAL.fullmatch(value)  # 1
    found = await log.load(InitialAccess.stream(form[1])) if form else None
    kept = found.kept if isinstance(found, InitialAccess) else None
    if not _matches(value, kept, peppers) or not isinstance(found, InitialAccess):  # 2
        raise unusable("unknown initial access token")
    try:
        found.require_usable(now)  # 3
    except GrantNotUsable as error:
        raise unusable(str(error)) from None
    return found


def manages(value: str, client: Client | None, peppers: Peppers) -> bool:
    """Tell whether a token manages `client`; of None, in the same time, that it does not."""
    return _matches(value, client.registration_token if client else None, peppers)


def _matches(value: str, kept: KeptVerifier | None, peppers: Peppers) -> bool:
    presented = PresentedSecret(value)
    if kept is None:
        return peppers.never(presented)
    return peppers.matches(presented, pepper_id=kept.pepper_id, verifier=kept.verifier)


def unusable(reason: str) -> InvalidToken:
    """Return the refusal of either token: one text for every cause."""
    text = "the token is invalid, expired, revoked, used up, or not for this client"
    return InvalidToken(text, reason=reason)
