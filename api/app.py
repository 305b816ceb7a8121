"""The Litestar application: all routes of one process around its Service."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from litestar import Litestar, MediaType, Request, Response
from litestar.config.app import AppConfig
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    ValidationException,
)
from litestar.handlers import asgi
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Receive, Scope, Send

from api.account_pages import account_routes
from api.admin import admin_router
from api.audit import audit_router
from api.audit_past import audit_past_router
from api.authorize_pages import authorize_routes
from api.composition import Service
from api.console.routes import console_routes
from api.device_pages import device_routes
from api.error_page import error_page
from api.forms import BODY_SECONDS
from api.health import health_routes
from api.login_pages import login_routes
from api.logout_pages import logout_routes
from api.oauth_endpoint import OAuthEndpoint
from api.oauth_errors import error_body, error_headers
from api.openapi_errors import describe_errors
from api.openapi_items import correct_items
from api.openapi_paths import add_oauth_paths
from api.openapi_registration import add_registration_paths
from api.pages.rendering import Pages, static_routes
from api.person_endpoints import (
    DEVICE_AUTHORIZATION_PATH,
    PAR_PATH,
    USERINFO_PATH,
    device_authorization_endpoint,
    par_endpoint,
    userinfo_routes,
)
from api.registration_endpoint import registration_routes
from api.reports import reports_router
from api.request_reading import client_address, forwarded_for
from api.token_endpoint import token_endpoints
from api.visit import PageFrame
from api.well_known import well_known_routes
from application.errors import (
    InvalidRequest,
    NotFound,
    OAuthError,
    ServerError,
    TemporarilyUnavailable,
)
from application.ledger.errors import LedgerUnavailable
from domain.denial_log import Denial
from domain.provenance import Provenance

_log = logging.getLogger(__name__)


def create_app(service: Service) -> Litestar:
    """Return the application around `service`, which it starts and stops with itself."""

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        async with service:
            yield

    frame = PageFrame(service, Pages())
    app = Litestar(
        [
            *(_mounted(path, endpoint) for path, endpoint in token_endpoints(service).items()),
            _mounted(PAR_PATH, par_endpoint(service)),
            _mounted(DEVICE_AUTHORIZATION_PATH, device_authorization_endpoint(service)),
            *registration_routes(service),
            *userinfo_routes(service),
            *authorize_routes(frame),
            *login_routes(frame),
            *logout_routes(frame),
            *device_routes(frame),
            *account_routes(frame),
            *console_routes(service),
            *static_routes(),
            *well_known_routes(service),
            *health_routes(service),
            admin_router(service),
            audit_router(service),
            audit_past_router(service),
            reports_router(service),
            error_page,
        ],
        lifespan=[running],
        exception_handlers={
            OAuthError: _Errors(service),
            LedgerUnavailable: _Errors(service),
            HTTPException: _Errors(service),
            Exception: _Errors(service),
        },
        openapi_config=_openapi(),
        request_class=_JsonRequest,
        request_max_body_size=64 * 1024,
        on_app_init=[_quiet],
    )
    add_oauth_paths(app)
    add_registration_paths(app)
    describe_errors(app)
    correct_items(app)
    return app


def _mounted(path: str, endpoint: OAuthEndpoint) -> Any:
    @asgi(path, copy_scope=False)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await endpoint(scope, receive, send)

    return mounted


class _JsonRequest(Request[Any, Any, Any]):
    """A request whose body, where it cannot be read, is its sender's mistake in every case."""

    body_seconds: float = BODY_SECONDS

    async def body(self) -> bytes:
        try:
            async with asyncio.timeout(self.body_seconds):
                return await super().body()
        except TimeoutError:
            raise InvalidRequest("the body did not arrive in time") from None
        except InternalServerException:
            raise InvalidRequest("the request was cut off") from None

    async def json(self) -> Any:
        try:
            return await super().json()
        except (UnicodeDecodeError, RecursionError):
            raise InvalidRequest("the body is not JSON in UTF-8, or nested too deeply") from None


class _Errors:
    """Answers whatever a route raised, in the one form of this service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(self, request: Request[Any, Any, Any], raised: Exception) -> Response[bytes]:
        error = _as_oauth(raised)
        request_id = self._service.ids.request_id()
        if isinstance(error, ServerError):
            _log.error("request failed", exc_info=raised, extra={"request_id": request_id})
        if error.status in (401, 403, 429):
            self._record(request, error, request_id)
        shown = error_headers(error, metadata_url=self._metadata_url(request))
        headers = {name.decode(): value.decode() for name, value in shown}
        return Response(
            error_body(error, issuer=self._service.settings.issuer_url, request_id=request_id),
            status_code=int(error.status),
            media_type=MediaType.JSON,
            headers={
                **_allowed(raised),
                **headers,
                "X-Request-Id": request_id,
                "Cache-Control": "no-store",
            },
        )

    def _metadata_url(self, request: Request[Any, Any, Any]) -> str | None:
        # Userinfo is no part of the resource that the metadata is about.
        of_userinfo = request.url.path == USERINFO_PATH
        return None if of_userinfo else self._service.resource_server.metadata_url

    def _record(self, request: Request[Any, Any, Any], error: OAuthError, request_id: str) -> None:
        settings = self._service.settings
        address = client_address(
            request.scope,
            forwarded_for=forwarded_for(request.scope),
            trusted=settings.trusted_proxies,
        )
        if not settings.keep_network_data:
            address = self._service.peppers.pseudonym(address)
        area = request.url.path.split("/")[1]
        self._service.denials.note(
            Denial("", area, "", error.code, error.reason, address),
            Provenance(self._service.clock.now(), request_id),
        )


class _Refusal(InvalidRequest):
    """A request that the framework refused: wrong method, malformed, too large."""

    def __init__(self, description: str, status: HTTPStatus) -> None:
        super().__init__(description)
        self.status = status


def _as_oauth(raised: Exception) -> OAuthError:
    if isinstance(raised, OAuthError):
        return raised
    if isinstance(raised, LedgerUnavailable):
        return TemporarilyUnavailable(reason=str(raised))
    if isinstance(raised, ValidationException):
        return InvalidRequest(_problems(raised))
    if isinstance(raised, HTTPException) and raised.status_code == HTTPStatus.NOT_FOUND:
        return NotFound("there is nothing at this path")
    if isinstance(raised, HTTPException) and raised.status_code < 500:
        return _Refusal(raised.detail.split("\n")[0], HTTPStatus(raised.status_code))
    return ServerError()


def _allowed(raised: Exception) -> dict[str, str]:
    """Return the Allow header of a wrong method (RFC 9110, Section 15.5.6)."""
    headers = (raised.headers or {}) if isinstance(raised, HTTPException) else {}
    return {name: value for name, value in headers.items() if name.lower() == "allow"}


def _problems(raised: ValidationException) -> str:
    extra = raised.extra if isinstance(raised.extra, list) else []
    found = [_problem(item) for item in extra if isinstance(item, dict)]
    return "; ".join(found) or "the request is not valid"


def _problem(item: dict[str, Any]) -> str:
    key = item.get("key", "body")
    # The framework knows a body that is not there by the name of its own parameter only.
    return "a JSON body is required" if key == "data" else f"{key}: {item.get('message', '')}"


def _openapi() -> OpenAPIConfig:
    bearer = SecurityScheme(
        type="http", scheme="bearer", bearer_format="JWT", description="From /oauth/token"
    )
    client = SecurityScheme(type="http", scheme="basic", description="client_id and client_secret")
    return OpenAPIConfig(
        title="Grantledger",
        version="0.1.0",
        description="An OAuth 2.1 token service whose source of truth is an event log.",
        path="/schema",
        components=Components(security_schemes={"bearer": bearer, "client": client}),
        render_plugins=[JsonRenderPlugin()],  # the others load scripts from elsewhere,
    )


def _quiet(config: AppConfig) -> AppConfig:
    # The framework would log every exception a second time, with the request's headers.
    config.logging_config = None
    return config
