"""GET /audit/events: the audit trail as pages, as lines to the end of the log, or as it grows.

- JSON: a page of at most MAX_ENTRIES; `after` and `before` with `newest_first` are the cursors.
- `application/x-ndjson` (Accept, or `format=ndjson`): a JSON object a line, from `after` to the end
  of the log at the time of the request, in pages: nothing is held but one of them.
- GET /audit/events/follow, `text/event-stream`: what is recorded from now on, or from `after` or
  Last-Event-ID on. The id of each event is its position, so that a client that was cut off goes on
  where it was. It ends when the token expires or is revoked (asked every HEARTBEAT_SECONDS), when
  the person behind it does not hold `audit:read` any more (asked before each page), at the latest
  after FOLLOW_SECONDS; there are at most MAX_FOLLOWERS in a process, for each holds a connection,
  and MAX_OF_ONE of them for one client and subject, however many tokens it has: who follows too
  often must not keep the others from seeing what is recorded.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import MediaType, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, Parameter
from litestar.response import Response, Stream
from pydantic import BaseModel, ConfigDict, Field

from api.admin_requests import AnyRequest
from api.audit_reads import ALSO_ASKED
from api.audit_routes import NAME, moment_or_position
from api.composition import Service
from api.resource_server import caller_of
from application.errors import InvalidRequest, TooManyRequests
from application.introspection import living_token
from application.token_keys import VerifiedClaims
from domain.permissions import AUDIT_READ
from projections import audit_trail
from projections.audit_trail import AuditEntry
from projections.event_filter import EventFilter
from projections.replay import page_of_lines

MAX_ENTRIES = 1000
MAX_FOLLOWERS = 20
MAX_OF_ONE = 5
FOLLOW_SECONDS = 3600
HEARTBEAT_SECONDS = 15.0
POLL_SECONDS = 0.5
SILENT_SECONDS = 60.0
NDJSON, EVENT_STREAM = "application/x-ndjson", "text/event-stream"
_RETRY_SECONDS = 30
_Filter = Annotated[str | None, NAME]
_Position = Annotated[int | None, Parameter(ge=0, le=2**62)]
_Moment = Annotated[
    str | None, Parameter(max_length=64, description="2026-03-03T12:00:00Z, or -90d before now")
]


class PageFormat(StrEnum):
    """As what the events come."""

    JSON = "json"
    NDJSON = "ndjson"


class AuditPage(BaseModel):
    """Entries in the order of the log; `next_after` is the cursor of the next page."""

    model_config = ConfigDict(frozen=True)

    entries: tuple[AuditEntry, ...]
    next_after: int | None = Field(description="Pass it as `after`; None where nothing follows yet")


def event_handlers(service: Service) -> list[HTTPRouteHandler]:
    """Return the handlers of /audit/events."""
    followers = Followers()

    async def filtered(  # noqa: PLR0913, PLR0917  # each is a parameter of the query
        client_id: _Filter = None,
        subject: _Filter = None,
        actor: _Filter = None,
        jti: UUID | None = None,
        family_id: _Filter = None,
        session_id: _Filter = None,
        grant_type: _Filter = None,
        outcome: Literal["success", "failure"] | None = None,
        address: _Filter = None,
        topic: _Filter = None,
        since: _Moment = None,
        until: _Moment = None,
        after: _Position = None,
        before: _Position = None,
    ) -> EventFilter:
        now = service.clock.now()
        return EventFilter(
            client_id=client_id,
            subject=subject,
            actor=actor,
            jti=jti,
            family_id=family_id,
            session_id=session_id,
            grant_type=grant_type,
            outcome=outcome,
            address=address,
            topic=topic,
            since=_moment("since", since, now),
            until=_moment("until", until, now),
            after=after,
            before=before,
        )

    @get(
        "/events",
        tags=["Audit"],
        summary="The audit trail, filtered: pages by position, or lines to the end of the log",
        responses={
            200: ResponseSpec(
                AuditPage, description="A page, or a line an entry", generate_examples=False
            )
        },
        dependencies={"which": filtered},
        opt={ALSO_ASKED: _asked_by_accept},
    )
    async def events(
        request: AnyRequest,
        which: EventFilter,
        limit: Annotated[int, Parameter(ge=1, le=MAX_ENTRIES)] = 100,
        newest_first: bool = False,
        format: PageFormat | None = None,  # noqa: A002  # the name of the query parameter
    ) -> Response[Any]:
        wanted = format or _accepted(request)
        if wanted is PageFormat.NDJSON:
            return Stream(_lines(service, which), media_type=NDJSON)
        found = await service.read_models.fetch(
            audit_trail.search(which, limit=limit, newest_first=newest_first)
        )
        more = not newest_first and len(found) == limit
        page = AuditPage(entries=tuple(found), next_after=found[-1].position if more else None)
        return Response(page, media_type=MediaType.JSON)

    @get("/events/follow", include_in_schema=False, dependencies={"which": filtered})
    async def follow(
        request: AnyRequest,
        which: EventFilter,
        last_event_id: Annotated[
            str | None, HeaderParameter(name="last-event-id", pattern=r"^[0-9]{0,18}$")
        ] = None,
    ) -> Stream:
        begins = int(last_event_id) if last_event_id else which.after
        if begins is None:
            begins = (await service.read_models.fetch(audit_trail.last_position()))[0]
        follower = followers.enter(caller_of(request))
        which = replace(which, after=begins)
        stream = followed(service, which, caller_of(request), followers, follower)
        return Stream(stream, media_type=EVENT_STREAM, headers={"x-accel-buffering": "no"})

    return [events, follow]


class Followers:
    """Who follows at the moment, by when each was last seen.

    One whose client went away before its stream began is never heard of again: it counts for
    SILENT_SECONDS, and not for ever.
    """

    def __init__(self) -> None:
        self._seen: dict[Follower, float] = {}

    def enter(self, caller: VerifiedClaims) -> "Follower":
        """Return what stands for one more of `caller`. Raises TooManyRequests."""
        oldest = monotonic() - SILENT_SECONDS
        self._seen = {one: at for one, at in self._seen.items() if at > oldest}
        follower = Follower(caller.client_id, str(caller.claims.get("sub", "")))
        own = sum(one.is_of(follower) for one in self._seen)
        if own >= MAX_OF_ONE:
            raise TooManyRequests(_RETRY_SECONDS, reason=f"follows {own} times already")
        if len(self._seen) >= MAX_FOLLOWERS:
            raise TooManyRequests(_RETRY_SECONDS, reason=f"{MAX_FOLLOWERS} follow already")
        self.see(follower)
        return follower

    def see(self, follower: "Follower") -> None:
        """Note that `follower` is there."""
        self._seen[follower] = monotonic()

    def leave(self, follower: "Follower") -> None:
        """Forget `follower`."""
        self._seen.pop(follower, None)


@dataclass(frozen=True, slots=True, eq=False)
class Follower:
    """One stream, and whose: each is another one, though all else is the same."""

    client_id: str
    subject: str

    def is_of(self, other: "Follower") -> bool:
        """Tell whether both are of one client and subject."""
        return (self.client_id, self.subject) == (other.client_id, other.subject)


def _accepted(request: AnyRequest) -> PageFormat:
    return PageFormat.NDJSON if NDJSON in request.headers.get("accept", "") else PageFormat.JSON


def _asked_by_accept(request: AnyRequest) -> list[tuple[str, str]]:
    """Return the format for the record: lines go to the end of the log, and a page ends."""
    if "format" in request.query_params or _accepted(request) is PageFormat.JSON:
        return []
    return [("format", PageFormat.NDJSON.value)]


def _moment(name: str, text: str | None, now: datetime) -> datetime | None:
    found = moment_or_position(name, text, now)
    if isinstance(found, int):
        raise InvalidRequest(f"{name}: a moment; positions go into after and before")
    return found


async def _lines(service: Service, which: EventFilter) -> AsyncIterator[str]:
    (head,) = await service.read_models.fetch(audit_trail.last_position())
    bounded = replace(
        which, before=head + 1 if which.before is None else min(which.before, head + 1)
    )
    after = which.after or 0
    while page := await service.read_models.fetch(page_of_lines(replace(bounded, after=after))):
        yield "".join(f"{line}\n" for _, line in page)
        after = page[-1][0]


async def followed(
    service: Service,
    which: EventFilter,
    caller: VerifiedClaims,
    followers: Followers,
    follower: Follower,
) -> AsyncIterator[str]:
    """Yield what comes as server-sent events, while `caller` may see it. Raises LedgerUnavailable.

    `follower` is who it is among `followers`.
    """
    begun = looked = monotonic()
    try:
        grant = await service.authority.grant_of(caller.token_id)
        yield "retry: 2000\n\n"
        while monotonic() - begun < FOLLOW_SECONDS and not caller.expired(service.clock.now()):
            followers.see(follower)
            if grant is None or not service.authority.holds(grant, AUDIT_READ):
                return
            if monotonic() - looked > HEARTBEAT_SECONDS:
                # What it says needs no second look: records never change.
                if await living_token(caller.token_id, service) is None:
                    return
                yield ": still here\n\n"
                looked = monotonic()
            page = await service.read_models.fetch(page_of_lines(which))
            if page:
                yield "".join(f"id: {position}\ndata: {line}\n\n" for position, line in page)
                which = replace(which, after=page[-1][0])
            else:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        followers.leave(follower)
