"""Where a person types the code of a device and says yes or no (RFC 8628, Section 3.3)."""

from typing import Any
from uuid import UUID

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from msgspec.structs import replace

from api.authorize_pages import LOGIN_PATH
from api.login_pages import ACCOUNT_PATH, DEVICE_CONFIRM_PATH
from api.person_endpoints import DEVICE_PATH
from api.visit import (
    AnyRequest,
    AnyResponse,
    PageFrame,
    Visit,
    described,
    origin_of_name,
    path_with,
    redirect,
)
from application.authorization.device import (
    ChangedSinceShown,
    decide_device,
    device_of,
    shown_to,
)
from application.authorization.pending import ApprovingDevice
from application.errors import InvalidRequest, TooManyRequests

_GUESSES = "user code"
"""Wrong user codes are throttled (RFC 8628, Section 5.1): by person where one is logged in, so that
strangers behind the same address do not lock it out, and else by network.
"""


def device_routes(frame: PageFrame) -> list[HTTPRouteHandler]:
    """Return the routes of the device pages."""

    @get(DEVICE_PATH, include_in_schema=False)
    async def device_page(request: AnyRequest) -> Any:
        return await frame.show("device", request, _page)

    @post(DEVICE_PATH, include_in_schema=False)
    async def device(request: AnyRequest) -> Any:
        return await frame.take("device", request, _typed)

    @get(DEVICE_CONFIRM_PATH, include_in_schema=False)
    async def confirm_page(request: AnyRequest) -> Any:
        return await frame.show("device", request, _confirm_page)

    @post(DEVICE_CONFIRM_PATH, include_in_schema=False)
    async def confirm(request: AnyRequest) -> Any:
        return await frame.take("device", request, _confirm)

    return [device_page, device, confirm_page, confirm]


async def _page(visit: Visit) -> AnyResponse:
    # A link may bring the code along; it still has to be sent, and confirmed, by the person.
    return _asked(visit)


def _asked(visit: Visit, *, error: str | None = None, status: int = 200) -> AnyResponse:
    user_code = (visit.form.get("user_code") or "")[:40]
    if not user_code.isascii():  # a link may bring anything along
        user_code = ""
    return visit.render("device.html", status=status, user_code=user_code, error=error)


async def _typed(visit: Visit) -> AnyResponse:
    throttle, now = visit.service.throttle, visit.context.provenance.occurred_at
    session = await visit.session()
    who = f"person {session.subject}" if session else f"network {visit.context.network}"
    attempt = await throttle.admit(_GUESSES, who, now=now)
    if attempt.wait:
        visit.denied(TooManyRequests(attempt.wait, reason="user code throttled"))
        return _to_wait(visit, attempt.wait, logged_in=session is not None)
    user_code = visit.form.get("user_code") or ""
    device = await device_of(user_code, visit.context, visit.service)
    if device is None:
        visit.denied(InvalidRequest("wrong user code"))
        return _asked(visit, error="No device is waiting with this code.", status=404)
    await throttle.succeeded(attempt, now=now)
    pending = ApprovingDevice(str(device.id), user_code.strip().upper(), now)
    path = DEVICE_CONFIRM_PATH if session else LOGIN_PATH
    return redirect(path_with(path, request=visit.sealed(pending)))


def _to_wait(visit: Visit, wait: int, *, logged_in: bool) -> AnyResponse:
    text = f"Too many attempts. Try again in {wait} seconds"
    text += "." if logged_in else f", or log in at {ACCOUNT_PATH} first."
    response = _asked(visit, error=text, status=429)
    response.headers["Retry-After"] = str(wait)
    return response


def _approving(visit: Visit) -> ApprovingDevice:
    pending = visit.pending()
    if not isinstance(pending, ApprovingDevice):
        raise InvalidRequest("this page belongs to something else; start again")
    return pending


async def _confirm_page(visit: Visit) -> AnyResponse:
    pending, service = _approving(visit), visit.service
    session = await visit.session()
    if session is None:
        return redirect(path_with(LOGIN_PATH, request=visit.sealed(pending)))
    device = await device_of(pending.user_code, visit.context, service)
    if device is None or str(device.id) != pending.device_id:
        raise InvalidRequest("this code was used already, or it has expired")
    client, _, shown = shown_to(session, device, service)
    logins = await service.credentials.logins_of(session.subject)
    return visit.render(
        "device_confirm.html",
        user_code=pending.user_code,
        client_name=client.name or client.client_id,
        client_id=client.client_id,
        **origin_of_name(client),
        login=logins[0] if logins else session.subject,
        scopes=described(shown.scope, service.catalogue),
        resources=shown.resource,
        details=service.details.shown(device.requested.authorization_details),
        request=visit.sealed(replace(pending, shown=shown)),
    )


async def _confirm(visit: Visit) -> AnyResponse:
    pending = _approving(visit)
    session = await visit.session()
    if session is None:
        return redirect(path_with(LOGIN_PATH, request=visit.sealed(pending)))
    allowed = visit.form.get("decision") == "allow"
    try:
        client = await decide_device(
            UUID(pending.device_id),
            session,
            allowed=allowed,
            shown=pending.shown,
            context=visit.context,
            service=visit.service,
        )
    except ChangedSinceShown:
        return await _confirm_page(visit)
    return visit.render(
        "device_done.html", allowed=allowed, client_name=client.name or client.client_id
    )
