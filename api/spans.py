"""OpenTelemetry traces: a span for each request, and in it those of what the hot endpoints do.

A span has the names of things and never what was sent: no parameter, header, body, token, address
or text of an exception. What a client writes in place of a client id or grant type is not one, and
is left out. Spans are sent in batches by a thread of their own; a collector that is away costs a
queue of fixed length, and what does not fit into it is lost.
"""

import logging
import threading
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from uuid import UUID

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from api.composition import Service
from api.forms import Form
from api.oauth_endpoint import UNREGISTERED, Answer, OAuthEndpoint, Refused, UseCase
from application.certificates import ClientCertificate
from application.client_authentication import AuthenticatedClient, PresentedCredentials
from application.errors import OAuthError
from application.ledger.ledger import Ledger
from application.request_context import RequestContext
from domain.recorded import Recorded

FLUSH_SECONDS = 3.0
"""How long a process that stops waits for its last spans to be sent."""
CLIENT_ID, GRANT_TYPE = "grantledger.client_id", "grantledger.grant_type"
OUTCOME, REQUEST_ID = "grantledger.outcome", "grantledger.request_id"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_PROPAGATED = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
_SERVER_ERROR = 500


class Traces:
    """What makes the traces of one process. It has its own thread: make it after the fork."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = environment.get("OTEL_SERVICE_NAME") or SERVICE_NAME in environment.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        resource = Resource.create({} if named else {SERVICE_NAME: "grantledger"})
        # Sampler, limits, batches and the exporter's own settings: by their OTEL_ variables.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        tracer = self._provider.get_tracer("grantledger")
        self.ledger = _ledger_of(tracer)
        self.endpoint = _endpoint_of(tracer)
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()
        for handler in logging.getLogger().handlers:
            handler.addFilter(_name_trace)

    def around(self, app: ASGIApp, direct: Collection[str]) -> ASGIApp:
        """Return `app` with a span about each request; at its end the last spans are sent.

        `direct` are the paths that it answers without the framework, which names no route of them.
        """

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            kind: str = scope["type"]
            if kind == "http":
                await self._request(app, direct, scope, receive, send)
                return
            await app(scope, receive, send)
            if kind == "lifespan":
                self._end()

        return traced

    async def _request(
        self, app: ASGIApp, direct: Collection[str], scope: Any, receive: Receive, send: Send
    ) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                _note_answer(span, message)
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        with _span(self._tracer, method, self._parent(scope), SpanKind.SERVER) as span:
            span.set_attribute("http.request.method", method)
            try:
                await app(scope, receive, noting)
            finally:
                # Known once it was routed; the path itself may hold what is nobody's business.
                path = scope["path"]
                route = path if path in direct else scope.get("path_template")
                if route:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)

    def _parent(self, scope: Any) -> Context:
        carrier = {
            _PROPAGATED[name]: value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _PROPAGATED
        }
        return self._propagator.extract(carrier, Context())

    def _end(self) -> None:
        # A thread that may be left behind: the collector must not keep the process from ending.
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)


def _ledger_of(tracer: Tracer) -> type[Ledger]:
    class TracedLedger(Ledger):
        """The ledger, with a span about each commit and each reading."""

        async def save(self, *aggregates: Recorded) -> int:
            with _step(tracer, "commit"):
                return await super().save(*aggregates)

        async def save_end(self, holder: UUID, *aggregates: Recorded) -> int:
            with _step(tracer, "commit"):
                return await super().save_end(holder, *aggregates)

        async def load(self, stream_id: UUID) -> Any:
            with _step(tracer, "load"):
                return await super().load(stream_id)

    return TracedLedger


def _endpoint_of(tracer: Tracer) -> type[OAuthEndpoint]:
    class TracedEndpoint(OAuthEndpoint):
        """An endpoint, with spans about who asks and what is decided."""

        def __init__(self, name: str, service: Service, use_case: UseCase, **options: Any) -> None:
            async def decide(
                form: Form, caller: AuthenticatedClient, context: RequestContext
            ) -> Answer:
                request = get_current_span()
                request.set_attribute(CLIENT_ID, caller.client.client_id)
                self._note_grant_type(form)
                with _span(tracer, "decide"):
                    answer = await use_case(form, caller, context)
                request.set_attribute(OUTCOME, "ok")
                return answer

            super().__init__(name, service, decide, **options)

        async def _authenticate(
            self,
            presented: PresentedCredentials | None,
            certificate: ClientCertificate | None,
            context: RequestContext,
        ) -> AuthenticatedClient:
            with _span(tracer, "authenticate"):
                return await super()._authenticate(presented, certificate, context)

        def denied(self, refused: Refused, error: OAuthError) -> None:
            request = get_current_span()
            request.set_attribute(OUTCOME, error.code)
            if refused.client_id not in ("", UNREGISTERED):
                request.set_attribute(CLIENT_ID, refused.client_id)
            self._note_grant_type(refused.form)
            super().denied(refused, error)

        def _note_grant_type(self, form: Form | None) -> None:
            grant_type = self._shown_grant_type(form)
            if grant_type not in ("", UNREGISTERED):
                get_current_span().set_attribute(GRANT_TYPE, grant_type)

    return TracedEndpoint


def _step(tracer: Tracer, name: str) -> AbstractContextManager[object]:
    # What the process does for itself, such as writing down counts, is no part of a trace.
    within = get_current_span().get_span_context().is_valid
    return _span(tracer, name) if within else nullcontext()


def _span(
    tracer: Tracer,
    name: str,
    parent: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> AbstractContextManager[Span]:
    # What an exception says may repeat what was sent.
    return tracer.start_as_current_span(
        name, parent, kind=kind, record_exception=False, set_status_on_exception=False
    )


def _note_answer(span: Span, start: Any) -> None:
    span.set_attribute("http.response.status_code", start["status"])
    if start["status"] >= _SERVER_ERROR:
        span.set_status(Status(StatusCode.ERROR))
    for name, value in start["headers"]:
        if name == b"x-request-id":
            span.set_attribute(REQUEST_ID, value.decode())


def _name_trace(record: logging.LogRecord) -> bool:
    """Let a line that is written within a span name it."""
    here = get_current_span().get_span_context()
    if here.is_valid:
        record.trace_id, record.span_id = f"{here.trace_id:032x}", f"{here.span_id:016x}"
    return True
