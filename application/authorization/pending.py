"""What a person is in the middle of, while pages about login and consent are shown.

It travels with the browser, sealed: no table of half-done logins to fill up or to look into. It
counts in the browser that began it alone, and says nothing about who the person is; that is the
session's to say.
"""

import hmac
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
    to it on the consent page, `shown` is what that page said, `answered_by` the login that the
    request led to.
    """

    request: AuthorizationRequest
    started_at: datetime
    consented_in: str | None = None
    answered_by: str | None = None
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
    """The person wants to see its own sessions and consents; with `anew`, to change what it logs in
    by, so that a login of before does not do.
    """

    started_at: datetime
    anew: bool = False


class LoggingOut(msgspec.Struct, frozen=True, tag="logout"):
    """The person is asked whether to log out, and goes to `redirect_uri` then, if there is one."""

    started_at: datetime
    client_id: str | None
    redirect_uri: str | None
    state: str | None


Pending = Authorizing | ApprovingDevice | VisitingAccount | LoggingOut


class _Carried(msgspec.Struct, frozen=True):
    pending: Pending
    browser: str


_decoder: msgspec.json.Decoder[_Carried] = msgspec.json.Decoder(_Carried)


def sealed(pending: Pending, sealing: Sealing, *, browser: str) -> str:
    """Return `pending` as the browser with the mark `browser` carries it; "" where the browser is
    not known yet.
    """
    return sealing.seal(msgspec.json.encode(_Carried(pending, browser)))


def opened(value: str | None, sealing: Sealing, *, browser: str) -> Pending:
    """Return what the browser carried.

    Raises InvalidRequest for anything but ours, recent and begun in that very browser: a link with
    what an attacker began would otherwise go on in the browser, and session, of somebody else.
    """
    try:
        carried = _decoder.decode(sealing.open(value or ""))
    except (Unsealable, msgspec.DecodeError):
        raise _unusable("pending request does not open") from None
    if not hmac.compare_digest(carried.browser.encode(), browser.encode()):
        raise _unusable("pending request of another browser")
    return carried.pending


def _unusable(reason: str) -> InvalidRequest:
    return InvalidRequest(
        "this page is too old, or was not opened from here; start again where you came from",
        reason=reason,
    )
