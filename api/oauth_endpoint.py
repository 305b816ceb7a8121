"""The frame of the OAuth endpoints that a client calls with a form: token, introspect, revoke.

An ASGI callable and not a Litestar handler function: they are the hot path, and the framework's
argument injection and response building cost more than the rest of a request (measured: 370 us
against 220 us for the same work). Parse, authenticate, call, render:

1 POST, from an address within its limits, with a form body, 2 the directory is fresh enough to
decide, 3 the client is authenticated, and within its limits (application.rate_limits); what is
issued to one that wants it is bound to the certificate of its connection (RFC 8705, Section 3),
4 where the endpoint takes proofs of possession (RFC 9449), the one that came is one, 5 the use
case, which uses the names of assertion and proof once its free checks have passed
(application.single_use); for a use case that has no such moment they are used at its end. A refusal
is recorded with its true reason and answered with its public text.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from time import monotonic, perf_counter
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send
from msgspec.structs import replace

from api.client_admission import admit_client
from api.client_certificate import client_certificate, endpoints_url
from api.client_credentials_header import presented_credentials
from api.composition import Service
from api.forms import Form, parse_form, read_body, require_form_type
from api.metrics import REQUESTS, SECONDS
from api.oauth_errors import Headers, error_body, error_headers, nonce_headers
from api.request_reading import RequestHeaders, read_headers, request_context, trace_of
from api.signed_introspection import MEDIA_TYPE, is_asked_for, signed_answer
from application.certificates import ClientCertificate, UnreadableCertificate
from application.client_assertions import UsedAssertion
from application.client_authentication import (
    AuthenticatedClient,
    PresentedCredentials,
    authenticate,
)
from application.dpop import ProofUse
from application.errors import (
    InvalidClient,
    InvalidRequest,
    OAuthError,
    ServerError,
    TemporarilyUnavailable,
)
from application.ledger.errors import LedgerUnavailable
from application.rate_limits import RateLimit
from application.request_context import RequestContext
from application.single_use import SingleUse
from domain.denial_log import Denial
from domain.provenance import Origin, Provenance

UNREGISTERED = "?"
"""Recorded in place of a client id or grant type that is not one: it may be anything."""

JSON = b"application/json"
_log = logging.getLogger(__name__)
_BEGINNINGS = frozenset({"par", "device_authorization"})
"""Where a client that only its document knows may appear for the first time."""
_NO_STORE = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    # Clients that run in a page read the answer; no cookie counts here, so nobody borrows one.
    (b"access-control-allow-origin", b"*"),
)
_PREFLIGHT = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, DPoP"),
    (b"access-control-max-age", b"86400"),
)

Answer = Mapping[str, Any] | None
UseCase = Callable[[Form, AuthenticatedClient, RequestContext], Awaitable[Answer]]


class OAuthEndpoint:
    """One endpoint: `use_case` returns the JSON object to answer, or None for an empty 200.

    `proof_path` is its path where it takes proofs of possession: they are made for its URL. It
    answers with a JWT where it is asked for one, if `signs`. `limit` is how often it may be asked,
    besides the failed authentications that every endpoint counts.
    """

    def __init__(
        self,
        name: str,
        service: Service,
        use_case: UseCase,
        *,
        grant_types: frozenset[str] = frozenset(),
        status: int = 200,
        proof_path: str | None = None,
        signs: bool = False,
        limit: RateLimit | None = None,
    ) -> None:
        self._name = name
        self._service = service
        self._use_case = use_case
        self._grant_types = grant_types
        self._status = status
        self._signs = signs
        self._limit = limit
        self._proof_path = proof_path
        self._seconds = SECONDS.labels(name)
        self._ok = REQUESTS.labels(name, "ok")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes an OAuth error."""
        if scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]
            await _allow_pages(send)
            return
        began, arrived = perf_counter(), monotonic()
        service = self._service
        request_id = service.ids.request_id()
        refused = Refused(self, request_id)
        try:
            if scope["method"] != "POST":  # type: ignore[typeddict-item]
                raise MethodNotAllowed("this endpoint takes POST")
            headers = read_headers(scope)
            provenance = Provenance(service.clock.now(), request_id, trace_of(headers.traceparent))
            refused.context = context = request_context(scope, headers, provenance, service)
            await self._require_address(context)  # 1
            form = refused.form = await _read_form(headers, receive)
            presented = self._presented(headers, form, refused)
            certificate = _certificate(scope, service)
            if headers.dpop or (presented is not None and presented.assertion is not None):
                once = SingleUse(service.used, provenance.occurred_at, arrived=arrived)
                refused.context = context = replace(context, once=once)
            caller = await self._authenticate(presented, certificate, context)
            if certificate is not None and caller.client.tokens.certificate_bound:
                refused.context = context = replace(context, confirmation=certificate.confirmation)
            if headers.dpop and self._proof_path is not None:  # 4
                url = endpoints_url(scope, certificate, service.settings) + self._proof_path
                refused.context = context = await self._confirmed(headers.dpop, url, context)
            answer = await self._performed(form, caller, context)  # 5
            content_type, body = self._rendered(answer, headers, caller, context)
        except OAuthError as error:
            await refused.answer(error, send)
        except LedgerUnavailable as error:
            await refused.answer(TemporarilyUnavailable(reason=str(error)), send)
        except Exception:
            _log.exception("request failed", extra={"request_id": request_id})
            await refused.answer(ServerError(), send)
        else:
            extra = self.nonce()
            await _send(send, self._status, body, request_id, extra, content_type=content_type)
            self._ok.inc()
        self._seconds.observe(perf_counter() - began)

    def _rendered(
        self,
        answer: Answer,
        headers: RequestHeaders,
        caller: AuthenticatedClient,
        context: RequestContext,
    ) -> tuple[bytes, bytes]:
        """Return content type and body."""
        if answer is None:
            return JSON, b""
        if self._signs and is_asked_for(headers.accept):
            return MEDIA_TYPE.encode(), signed_answer(answer, caller, context, self._service)
        return JSON, msgspec.json.encode(answer)

    def _presented(
        self, headers: RequestHeaders, form: Form, refused: "Refused"
    ) -> PresentedCredentials | None:
        directory = self._service.directory
        directory.require_fresh()  # 2
        presented = presented_credentials(headers.authorization, form)
        if presented is not None:
            known = directory.client(presented.client_id) is not None
            refused.client_id = presented.client_id if known else UNREGISTERED
        return presented

    async def _authenticate(
        self,
        presented: PresentedCredentials | None,
        certificate: ClientCertificate | None,
        context: RequestContext,
    ) -> AuthenticatedClient:
        service = self._service
        if presented is not None:
            await admit_client(
                presented.client_id, context, service, newcomers=self._name in _BEGINNINGS
            )
        try:
            caller = await self._proven(presented, certificate, context)  # 3
        except InvalidClient:
            if presented is not None:  # else nobody guessed at anything
                await service.rate_limits.failed_authentications.require_address(context)
            raise
        if caller.method not in service.auth_methods:
            raise InvalidClient(reason="authentication method not allowed here")
        if self._limit is not None:
            await self._limit.require_client(caller.client)
        return caller

    async def _require_address(self, context: RequestContext) -> None:
        """1. Before anything is read or verified."""
        self._service.rate_limits.failed_authentications.require_none_used_up(context)
        if self._limit is not None:
            await self._limit.require_address(context)

    async def _proven(
        self,
        presented: PresentedCredentials | None,
        certificate: ClientCertificate | None,
        context: RequestContext,
    ) -> AuthenticatedClient:
        """3."""
        service, now = self._service, context.provenance.occurred_at
        if presented is not None and presented.assertion is not None:
            return await service.assertions.authenticate(
                presented, presented.assertion, now, once=context.once
            )
        if presented is not None and service.certificates.concerned(presented):
            return await service.certificates.authenticate(presented, certificate, now)
        return authenticate(
            presented, directory=service.directory, peppers=service.peppers, now=now
        )

    async def _confirmed(
        self, proofs: Sequence[bytes], url: str, context: RequestContext
    ) -> RequestContext:
        """4."""
        use = ProofUse(method="POST", url=url)
        now = context.provenance.occurred_at
        confirmation = await self._service.proofs.confirmed(proofs, use, now, once=context.once)
        return replace(context, confirmation=confirmation)

    async def _performed(
        self, form: Form, caller: AuthenticatedClient, context: RequestContext
    ) -> Answer:
        """5. A replay is a failed authentication, and no use of the client."""
        service, now = self._service, context.provenance.occurred_at
        try:
            answer = await self._use_case(form, caller, context)
            await context.once.use()
        except UsedAssertion:
            await service.rate_limits.failed_authentications.require_address(context)
            raise
        except OAuthError:
            service.usage.note(caller.client.client_id, endpoint=self._name, at=now)
            raise
        service.usage.note(caller.client.client_id, endpoint=self._name, at=now)
        return answer

    def nonce(self) -> Headers:
        """Return the headers that bring the nonce for the next proof (RFC 9449, Section 8.2)."""
        nonces = self._service.nonces
        if self._proof_path is None or not nonces.wanted:
            return []
        return nonce_headers(nonces.current(self._service.clock.now()))

    def denied(self, refused: "Refused", error: OAuthError) -> None:
        """Record a refusal. Failures of ours are not refusals."""
        REQUESTS.labels(self._name, error.code).inc()
        if error.status >= 500:
            return
        service = self._service
        context = refused.context or RequestContext(
            Provenance(service.clock.now(), refused.request_id), Origin("", "")
        )
        service.denials.note(
            Denial(
                client_id=refused.client_id,
                endpoint=self._name,
                grant_type=self._shown_grant_type(refused.form),
                error=error.code,
                reason=error.reason,
                address=context.origin.address,
            ),
            context.provenance,
        )

    def _shown_grant_type(self, form: Form | None) -> str:
        grant_type = form.get("grant_type") if form and self._grant_types else None
        if grant_type is None or grant_type in self._grant_types:
            return grant_type or ""
        return UNREGISTERED

    @property
    def issuer(self) -> str:
        """The issuer identifier, for links in errors."""
        return self._service.settings.issuer_url


class MethodNotAllowed(InvalidRequest):
    """The endpoint takes POST only."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class Refused:
    """What is known of a request by the time it is refused."""

    __slots__ = ("client_id", "context", "endpoint", "form", "request_id")

    def __init__(self, endpoint: OAuthEndpoint, request_id: str) -> None:
        self.endpoint = endpoint
        self.request_id = request_id
        self.context: RequestContext | None = None
        self.form: Form | None = None
        self.client_id = ""

    async def answer(self, error: OAuthError, send: Send) -> None:
        self.endpoint.denied(self, error)
        body = error_body(error, issuer=self.endpoint.issuer, request_id=self.request_id)
        extra = [*error_headers(error), *self.endpoint.nonce()]
        if isinstance(error, MethodNotAllowed):
            extra = [*extra, (b"allow", b"POST")]
        await _send(send, int(error.status), body, self.request_id, extra)


async def _allow_pages(send: Send) -> None:
    """Answer what a browser asks before a page of another origin may send a proof (CORS)."""
    await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _certificate(scope: Scope, service: Service) -> ClientCertificate | None:
    try:
        return client_certificate(scope, service.settings)
    except UnreadableCertificate as error:
        raise InvalidClient(reason=f"client certificate: {error}") from None


async def _read_form(headers: RequestHeaders, receive: Receive) -> Form:
    require_form_type(headers.content_type)
    return parse_form(await read_body(receive, announced=headers.content_length))


async def _send(
    send: Send,
    status: int,
    body: bytes,
    request_id: str,
    extra: Headers,
    *,
    content_type: bytes = JSON,
) -> None:
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        *_NO_STORE,
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
