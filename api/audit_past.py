"""Single things as they stood, for those who may read the audit trail (scope `audit:read`).

Answers are folded from the log (projections.past), whatever the read models have taken over, and
shown by the views of the present. `as_of` left out is now.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

from litestar import Router, get
from litestar.params import Parameter, QueryParameter

from api.admin_requests import client_named
from api.audit_routes import NAME, AsOfText, auditors_router, moment_or_position
from api.composition import Service
from api.past_views import (
    AsOfView,
    DifferenceView,
    FamilyView,
    PastClient,
    PastClients,
    PastFamilyAnswer,
    PastKeys,
    PastPrincipal,
    PastTokenAnswer,
    TokenView,
    client_fields,
    principal_fields,
)
from api.views import ClientView, KeyView, PrincipalView
from application.errors import InvalidRequest, NotFound
from domain.client import Client
from domain.principal import Principal
from projections.as_of import UnreadableAsOf, parse_as_of, resolve_in_log
from projections.past import Past
from projections.past_changes import Render, UnusableRange, difference
from projections.query import Asking

T = TypeVar("T")
MAX_CLIENTS = 1000
MAX_FACTS = 500
_Name = Annotated[str, NAME]
_Position = Annotated[
    int,
    Parameter(ge=0, le=2**62, description="What happened up to this position is not in the page"),
]
_From = Annotated[
    str,
    QueryParameter(
        name="from", max_length=64, description="The first moment, or position of the log"
    ),
]
_To = Annotated[
    str | None,
    QueryParameter(name="to", max_length=64, description="The second; left out: now"),
]


def audit_past_router(service: Service) -> Router:
    """Return the routes below /audit that answer as of a moment or position."""
    handlers: list[Any] = [
        *_of_clients(service),
        *_of_principals(service),
        *_of_tokens(service),
    ]
    return auditors_router(service, "/audit", handlers)


def _of_clients(service: Service) -> list[Any]:
    @get("/clients/{client_id:str}", tags=["Audit"], summary="A client as it stood")
    async def client(client_id: _Name, as_of: AsOfText = None) -> PastClient:
        name = client_named(client_id)
        found, seen = await _seen(service, as_of, lambda past: past.client(name))
        return PastClient(as_of=seen, client=ClientView.of(_there(found)))

    @get("/clients", tags=["Audit"], summary="All clients as they stood, page by page")
    async def clients(
        as_of: AsOfText = None,
        after: _Name = "",
        limit: Annotated[int, Parameter(ge=1, le=MAX_CLIENTS)] = 100,
    ) -> PastClients:
        found, seen = await _seen(service, as_of, lambda past: past.clients())
        rest = [one for one in found if one.client_id > after]
        page = tuple(ClientView.of(one) for one in rest[:limit])
        more = page[-1].client_id if len(rest) > limit else None
        return PastClients(as_of=seen, clients=page, next_after=more)

    @get(
        "/clients/{client_id:str}/diff",
        tags=["Audit"],
        summary="What changed about a client between two moments, by whom and why",
    )
    async def client_diff(client_id: _Name, since: _From, until: _To = None) -> DifferenceView:
        stream = Client.stream(client_named(client_id))
        return await _differing(service, stream, client_fields, since, until)

    return [client, clients, client_diff]


def _of_principals(service: Service) -> list[Any]:
    @get("/principals/{subject:str}", tags=["Audit"], summary="A principal as it stood")
    async def principal(subject: _Name, as_of: AsOfText = None) -> PastPrincipal:
        name = client_named(subject)
        found, seen = await _seen(service, as_of, lambda past: past.principal(name))
        return PastPrincipal(as_of=seen, principal=PrincipalView.of(_there(found)))

    @get(
        "/principals/{subject:str}/diff",
        tags=["Audit"],
        summary="What changed about a principal between two moments, by whom and why",
    )
    async def principal_diff(subject: _Name, since: _From, until: _To = None) -> DifferenceView:
        stream = Principal.stream(client_named(subject))
        return await _differing(service, stream, principal_fields, since, until)

    return [principal, principal_diff]


def _of_tokens(service: Service) -> list[Any]:
    @get(
        "/tokens/{token_id:uuid}/state",
        tags=["Audit"],
        summary="A token as it stood: what was issued, and what it was good for",
    )
    async def token(token_id: UUID, as_of: AsOfText = None) -> PastTokenAnswer:
        found, seen = await _seen(service, as_of, lambda past: past.token(token_id))
        return PastTokenAnswer(as_of=seen, token=TokenView.of(_there(found)))

    @get(
        "/families/{family_id:uuid}",
        tags=["Audit"],
        summary="A family of refresh tokens as it stood, with what had happened to it page by page",
    )
    async def family(
        family_id: UUID,
        as_of: AsOfText = None,
        after: _Position = 0,
        limit: Annotated[int, Parameter(ge=1, le=MAX_FACTS)] = MAX_FACTS,
    ) -> PastFamilyAnswer:
        found, seen = await _seen(
            service, as_of, lambda past: past.family(family_id, after=after, most=limit)
        )
        shown = _there(found)
        more = shown.facts[-1].position if shown.more else None
        return PastFamilyAnswer(as_of=seen, family=FamilyView.of(shown), next_after=more)

    @get("/keys", tags=["Audit"], summary="The signing keys as they stood")
    async def keys(as_of: AsOfText = None) -> PastKeys:
        found, seen = await _seen(service, as_of, lambda past: past.keys())
        return PastKeys(as_of=seen, keys=tuple(KeyView.of(key) for key in found))

    return [token, family, keys]


async def _seen(
    service: Service, as_of: str | None, ask: Callable[[Past], Asking[T]]
) -> tuple[T, AsOfView]:
    now = service.clock.now()
    asked = moment_or_position("as_of", as_of, now)
    point = await service.read_models.answered(resolve_in_log(asked, now=now))
    found = await service.read_models.answered(ask(Past(point)))
    return found, AsOfView.of(point)


async def _differing(
    service: Service, stream: UUID, render: Render, since: str, until: str | None
) -> DifferenceView:
    now = service.clock.now()
    try:
        asking = difference(
            stream,
            render,
            since=parse_as_of(since, now=now),
            until=None if until is None else parse_as_of(until, now=now),
            now=now,
        )
        found = await service.read_models.answered(asking)
    except (UnreadableAsOf, UnusableRange) as error:
        raise InvalidRequest(str(error)) from None
    return DifferenceView.of(_there(found))


def _there(found: T | None) -> T:
    if found is None:
        raise NotFound("there was none of this name at that moment")
    return found
