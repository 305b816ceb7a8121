"""What a person is in the middle of, while pages about login and consent are shown.

It travels with the browser, sealed: no table of half-done logins to fill up or to look into. It
says nothing about who the person is; that is the session's to say.
"""

from datetime import datetime

import msgspec

from application.authorization.request import AuthorizationRequest
from application.errors import InvalidRequest
from application.sealing import Sealing, Unsealable


class Shown(msgspec.Struct, frozen=True):
    """What a page asked whom: roles, scopes and defaults may change before the answer comes."""

    subject: str
    scope: tuple[str, ...]
    resource: tuple[str, ...]


class Authorizing(msgspec.Struct, frozen=True, tag="authorize"):
    """An authorization request since `started_at`; `consented_in` names the session that said yes
    to it on the consent page; `shown` is what that page said.
    """

    request: AuthorizationRequest
    started_at: datetime
    consented_in: str | None = None
    shown: Shown | None = None


class ApprovingDevice(msgspec.Struct, frozen=True, tag="device"):
    """A device whose user code was typed in; `device_id` is its stream id as text, `shown` what the
    page said that asks.
    """

    device_id: str
    user_code: str
    started_at: datetime
    shown: Shown | None = None


class VisitingAccount(msgspec.Struct, frozen=True, tag="account"):
    """The person wants to see its own sessions and consents."""

    started_at: datetime


class LoggingOut(msgspec.Struct, frozen=True, tag="logout"):
    """The person is asked whether to log out, and goes to `redirect_uri` then, if there is one."""

    started_at: datetime
    client_id: str | None
    redirect_uri: str | None
    state: str | None


Pending = Authorizing | ApprovingDevice | VisitingAccount | LoggingOut

_decoder: msgspec.json.Decoder[Pending] = msgspec.json.Decoder(Pending)


def sealed(pending: Pending, sealing: Sealing) -> str:
    """Return `pending` as the browser carries it."""
    return sealing.seal(msgspec.json.encode(pending))


def opened(value: str | None, sealing: Sealing) -> Pending:
    """Return what the browser carried. Raises InvalidRequest for anything but ours and recent."""
    try:
        return _decoder.decode(sealing.open(value or ""))
    except (Unsealable, msgspec.DecodeError):
        raise InvalidRequest(
            "this page is too old, or was not opened from here; start again where you came from",
            reason="pending request does not open",
        ) from None
