"""/oauth/register: clients register themselves (RFC 7591), and manage that (RFC 7592).

1 a JSON object of at most 64 KiB in which no name stands twice, 2 at most one Bearer token, in the
Authorization header alone, 3 the use case. Pages of any origin may call it, as the other OAuth
endpoints: what counts is a token and never a cookie. A refusal is recorded with its true reason.

Whatever writes is limited by address before its body is read, updates by client as well: each
process reads all that was ever written about clients, whole, before it serves.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from litestar import MediaType, Request, Response, delete, get, post, put, route
from litestar.handlers import HTTPRouteHandler

from api.composition import Service
from api.forms import read_body
from api.metrics import REQUESTS
from api.oauth_errors import error_body, error_headers
from api.request_reading import RequestHeaders, read_headers, request_context, trace_of
from application.errors import (
    InvalidRequest,
    OAuthError,
    ServerError,
    TemporarilyUnavailable,
)
from application.ledger.errors import LedgerUnavailable
from application.registration import managing, registering
from application.registration.metadata import described
from application.registration.registering import Registered
from application.registration.software_statement import MEMBER
from application.request_context import RequestContext
from domain.client import Client
from domain.denial_log import Denial
from domain.provenance import Provenance

REGISTRATION_PATH = "/oauth/register"
CLIENT_PATH = f"{REGISTRATION_PATH}/{{client_id:str}}"
_NAME = "register"
_log = logging.getLogger(__name__)
AnyRequest = Request[Any, Any, Any]
Answer = Response[Any]

_OPEN = {"Access-Control-Allow-Origin": "*"}
_HEADERS = {**_OPEN, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PREFLIGHT = {
    **_OPEN,
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "3600",
}


def registration_routes(service: Service) -> list[HTTPRouteHandler]:
    """Return the routes of registration and of its management."""
    frame = _Frame(service)

    @post(REGISTRATION_PATH, include_in_schema=False)
    async def register(request: AnyRequest) -> Answer:
        return await frame.answer(request, _register)

    @get(CLIENT_PATH, include_in_schema=False)
    async def show(request: AnyRequest, client_id: str) -> Answer:
        return await frame.answer(request, _show, client_id)

    @put(CLIENT_PATH, include_in_schema=False)
    async def update(request: AnyRequest, client_id: str) -> Answer:
        return await frame.answer(request, _update, client_id)

    @delete(CLIENT_PATH, include_in_schema=False, status_code=200)
    async def remove(request: AnyRequest, client_id: str) -> Answer:
        return await frame.answer(request, _delete, client_id)

    @route([REGISTRATION_PATH, CLIENT_PATH], http_method=["OPTIONS"], include_in_schema=False)
    async def preflight() -> Answer:
        return Response(None, status_code=204, headers=_PREFLIGHT)

    # First, for a path that is registered without it gets an answer of the framework's own.
    return [preflight, register, show, update, remove]


class _Call:
    """One request: what it carries, and the circumstances."""

    def __init__(self, request: AnyRequest, service: Service, client_id: str) -> None:
        self.request = request
        self.service = service
        self.client_id = client_id
        self.headers: RequestHeaders = read_headers(request.scope)
        provenance = Provenance(
            service.clock.now(), service.ids.request_id(), trace_of(self.headers.traceparent)
        )
        self.context: RequestContext = request_context(
            request.scope, self.headers, provenance, service
        )

    async def document(self) -> Mapping[str, Any]:
        """1. Return the body. Raises InvalidRequest, PayloadTooLarge."""
        media_type = self.headers.content_type.partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            raise InvalidRequest("the body must be application/json")
        body = await read_body(self.request.receive, announced=self.headers.content_length)
        return _object(body)

    def token(self) -> str | None:
        """2. Return the Bearer token, None where there is none. Raises InvalidRequest."""
        if self.headers.authorization is None:
            return None
        scheme, _, token = self.headers.authorization.partition(b" ")
        value = token.strip()
        if scheme.lower() != b"bearer" or not value.isascii() or not value:
            raise InvalidRequest("Authorization must be a Bearer token")
        return value.decode()

    def told(self, registered: Registered, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the client information response (RFC 7591, Section 3.2.1; RFC 7592, Section 3)."""
        facts = self._known(registered.client, registered.token)
        if registered.secret is not None:
            facts |= {"client_secret": registered.secret.value, "client_secret_expires_at": 0}
        if registered.client.registration.publisher is not None:
            # RFC 7591, Section 3.2.1: it "MUST be returned unmodified".
            facts[MEMBER] = document[MEMBER]
        return facts

    def _known(self, client: Client, token: str) -> dict[str, Any]:
        issuer = self.service.settings.issuer_url
        return {
            **described(client),
            "registration_access_token": token,
            "registration_client_uri": f"{issuer}{REGISTRATION_PATH}/{client.client_id}",
        }

    async def known(self) -> dict[str, Any]:
        """Return the client as it is registered now; the token is the one that came."""
        token = self.token()
        client = await managing.managed(self.client_id, token, self.service)
        return self._known(client, token or "")


_Work = Callable[[_Call], Awaitable[tuple[int, dict[str, Any] | None]]]


async def _register(call: _Call) -> tuple[int, dict[str, Any] | None]:
    await call.service.rate_limits.registration.require_address(call.context)
    registering.require_possible(call.token(), call.service.registration)
    document = await call.document()
    registered = await registering.register(document, call.token(), call.context, call.service)
    call.client_id = registered.client.client_id
    await call.service.directory.seen_by_all()
    return 201, call.told(registered, document)


async def _show(call: _Call) -> tuple[int, dict[str, Any] | None]:
    return 200, await call.known()


async def _update(call: _Call) -> tuple[int, dict[str, Any] | None]:
    limit = call.service.rate_limits.registration
    await limit.require_address(call.context)
    client = await managing.managed(call.client_id, call.token(), call.service)
    await limit.require_proven(client)
    document = await call.document()
    changed = await managing.update(
        call.client_id, call.token(), document, call.context, call.service
    )
    await call.service.directory.seen_by_all()
    return 200, call.told(changed, document)


async def _delete(call: _Call) -> tuple[int, dict[str, Any] | None]:
    # By address alone: a client is deleted once.
    await call.service.rate_limits.registration.require_address(call.context)
    await managing.delete(call.client_id, call.token(), call.context, call.service)
    await call.service.directory.seen_by_all()
    return 204, None


class _Frame:
    """Runs the work of a request; every failure becomes an OAuth error."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: AnyRequest, work: _Work, client_id: str = "") -> Answer:
        call = _Call(request, self._service, client_id)
        try:
            self._service.directory.require_fresh()
            status, content = await work(call)
        except OAuthError as error:
            return self._refused(call, error)
        except LedgerUnavailable as error:
            return self._refused(call, TemporarilyUnavailable(reason=str(error)))
        except Exception:
            _log.exception(
                "request failed", extra={"request_id": call.context.provenance.request_id}
            )
            return self._refused(call, ServerError())
        REQUESTS.labels(_NAME, "ok").inc()
        headers = {**_HEADERS, "X-Request-Id": call.context.provenance.request_id}
        return Response(content, status_code=status, headers=headers, media_type=MediaType.JSON)

    def _refused(self, call: _Call, error: OAuthError) -> Answer:
        REQUESTS.labels(_NAME, error.code).inc()
        provenance = call.context.provenance
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            known = self._service.directory.client(call.client_id) is not None
            shown = call.client_id if known else ""
            address = call.context.origin.address
            self._service.denials.note(
                Denial(shown, _NAME, "", error.code, error.reason, address), provenance
            )
        added = {name.decode(): value.decode() for name, value in error_headers(error)}
        issuer = self._service.settings.issuer_url
        return Response(
            error_body(error, issuer=issuer, request_id=provenance.request_id),
            status_code=int(error.status),
            media_type=MediaType.JSON,
            headers={**_HEADERS, **added, "X-Request-Id": provenance.request_id},
        )


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        # Strictly: what two readers read in two ways would get past one of them.
        found = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON in UTF-8, each name once") from None
    if not isinstance(found, dict):
        raise InvalidRequest("the body must be a JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_number(_: str) -> None:
    raise ValueError("no JSON number")
