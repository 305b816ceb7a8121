"""Notes who reads audit data over HTTP: a hook of the routers, so that no route can forget it.

It runs once the guards let the request pass, and before the answer is made.
"""

from collections.abc import Awaitable, Callable
from dataclasses import fields

from api.admin_requests import AnyRequest, name_of_caller
from api.composition import Service
from api.request_reading import trace_of
from domain.provenance import Provenance
from projections.event_filter import EventFilter
from projections.reports.registry import REPORTS

VIA = "http"
_OF_REPORTS = frozenset(one.name for report in REPORTS for one in report.parameters)

_OF_EVENTS = frozenset(field.name for field in fields(EventFilter))


def noting_reads(service: Service) -> Callable[[AnyRequest], Awaitable[None]]:
    """Return the hook for `before_request`; what was read is the path of the route."""

    async def note(request: AnyRequest) -> None:
        service.audit_reading.note(
            reader=name_of_caller(request),
            via=VIA,
            what=request.scope["path_template"],
            parameters=_parameters(request),
            provenance=Provenance(
                service.clock.now(),
                service.ids.request_id(),
                trace_of(request.headers.get("traceparent", "").encode()),
            ),
        )

    return note


def _parameters(request: AnyRequest) -> str:
    # A name that nobody declared may come with anything, an access token for one: it is not kept.
    declared = _OF_REPORTS | _OF_EVENTS | set(request.route_handler.parsed_fn_signature.parameters)
    asked = (*request.path_params.items(), *request.query_params.multi_items())
    return " ".join(f"{name}={value}" for name, value in asked if name in declared)
