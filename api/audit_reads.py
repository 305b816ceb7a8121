"""Notes who reads data about people and tokens over HTTP, and takes no parameter that is not known.

A hook of the routers of /audit, /reports and /admin, so that no route can forget it. It runs once
the guards let the request pass, and before the answer is made:

1. A query parameter that the route does not take is refused. It narrows nothing, and whoever sends
   it believes that it does; in the record it would look as if it did.
2. A parameter is given once, unless the route takes several. Of two values one would count and the
   other could be what is recorded.
3. The read is noted with all of its parameters, whole, as the route understands them: names that
   come encoded twice are decoded, and what a header asks for counts (application.audit_reading).
   Below /admin every method counts: a change that changes nothing shows what there is as well.

The desk of the console does the same for its pages (api.console.desk).
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from litestar import Litestar
from litestar.datastructures import Headers
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from api.admin_requests import REASON_HEADER, AnyRequest, name_of_caller
from api.composition import Service
from api.request_reading import trace_of
from application.audit_reading import as_query
from application.errors import InvalidRequest
from domain.provenance import Provenance

VIA = "http"
TAKES_PARAMETERS_OF_ITS_OWN = "takes_parameters_of_its_own"
"""In the `opt` of a handler that itself refuses what it does not know, or what comes twice."""
ALSO_ASKED = "also_asked"
"""In the `opt` of a handler: a function of the request to what it asks for by other means."""
_MOST_SHOWN = 200
_OF_ANY_SPELLING = ("/console/tokens/", "/console/families/")
# A name in these paths may be a URL, which comes encoded twice (client_named).
_ENCODED_TWICE = ("/admin/clients/", "/audit/clients/", "/audit/principals/", "/console/clients/")


def noting_reads(service: Service) -> Callable[[AnyRequest], Awaitable[None]]:
    """Return the hook for `before_request`; what was read is the path of the route.

    The hook raises InvalidRequest for a parameter that is not taken, and TemporarilyUnavailable
    where reads cannot be recorded.
    """

    async def note(request: AnyRequest) -> None:
        require_known_parameters(request)  # 1, 2
        path = request.scope["path_template"]
        service.audit_reading.note(  # 3
            reader=name_of_caller(request),
            via=VIA,
            what=path if request.method == "GET" else f"{request.method} {path}",
            parameters=as_query((*named_by_path(request), *_asked(request))),
            provenance=Provenance(
                service.clock.now(),
                service.ids.request_id(),
                trace_of(request.headers.get("traceparent", "").encode()),
            ),
        )

    return note


def named_by_path(request: AnyRequest) -> Sequence[tuple[str, str]]:
    """Return what the path names, as the route understands it, however it is spelled."""
    template = request.scope["path_template"]
    meant: Callable[[str], str] = str
    if template.startswith(_ENCODED_TWICE):
        meant = unquote
    elif template.startswith(_OF_ANY_SPELLING):
        meant = canonical
    return [(name, meant(str(value))) for name, value in request.path_params.items()]


def canonical(value: str) -> str:
    """Return an id, a UUID in any spelling, in the one that it is searched for by."""
    with suppress(ValueError):
        return str(UUID(value))
    return value


def _asked(request: AnyRequest) -> Sequence[tuple[str, Any]]:
    also = request.route_handler.opt.get(ALSO_ASKED)
    asked = (
        *request.query_params.multi_items(),
        *asked_by_headers(request.headers, _headers(request.app)[request.route_handler]),
        *(also(request) if also is not None else ()),
    )
    # By name: the framework hands them over in any order; several of one name stay in theirs.
    return sorted(asked, key=lambda one: one[0])


def asked_by_headers(headers: Headers, names: Iterable[str]) -> Sequence[tuple[str, str]]:
    """Return what the headers `names` ask for. Raises InvalidRequest where one comes twice."""
    asked = []
    for name in names:
        values = headers.getall(name, [])
        if len(values) > 1:
            raise InvalidRequest(f"more than one {name} header")
        asked += [(name, value) for value in values]
    return asked


def require_known_parameters(request: AnyRequest) -> None:
    """Raise InvalidRequest for a query parameter that the route does not take, or not so often."""
    given: Mapping[str, Sequence[Any]] = request.query_params.dict()
    if not given:
        return
    handler = request.route_handler
    of_its_own = bool(handler.opt.get(TAKES_PARAMETERS_OF_ITS_OWN))
    taken = _taken(request.app)[handler]
    for name, values in given.items():
        if name not in taken:
            if not of_its_own:
                raise InvalidRequest(unknown(name, taken))
        elif len(values) > 1 and not taken[name]:
            raise InvalidRequest(f"{name} is given more than once")


@lru_cache(maxsize=4)
def _taken(app: Litestar) -> Mapping[BaseRouteHandler, Mapping[str, bool]]:
    """Return the query parameters of each route by name, and whether each may come several times:
    those of its dependencies too, which its signature does not show.
    """
    return {
        handler: {one.field_alias: one.is_sequence for one in model.expected_query_params}
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler, model in route.route_handler_map.values()
    }


@lru_cache(maxsize=4)
def _headers(app: Litestar) -> Mapping[BaseRouteHandler, Sequence[str]]:
    """Return the headers that say what each route is asked; why an act is done is in its event."""
    return {
        handler: sorted(
            {one.field_alias.lower() for one in model.expected_header_params} - {REASON_HEADER}
        )
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler, model in route.route_handler_map.values()
    }


def unknown(name: str, taken: Collection[str]) -> str:
    """Return what is wrong with a parameter that is not among those `taken`."""
    shown = as_query([(name[:_MOST_SHOWN], "")])[:-1]
    if not taken:
        return f"{shown} is no parameter of this request, which takes none"
    near = get_close_matches(name[:_MOST_SHOWN], sorted(taken), n=1)
    hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(sorted(taken))}"
    return f"{shown} is no parameter of this request: {hint}"
