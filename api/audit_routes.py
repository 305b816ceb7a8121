"""What all routes of auditors have in common: who is let in, that reading is noted, and parameters.

Behind each stands the scope `audit:read`, and a recent login where the settings ask for one.
"""

from datetime import datetime
from typing import Annotated, Any

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.params import Parameter

from api.audit_reads import noting_reads
from api.composition import Service
from application.errors import InvalidRequest
from projections.as_of import UnreadableAsOf, parse_as_of

# No name of ours holds anything else, and PostgreSQL fails on U+0000: the asker's mistake.
NAME = Parameter(pattern=r"^[\x20-\x7E]*$", max_length=512)
AsOfText = Annotated[
    str | None,
    Parameter(
        max_length=64,
        description="2026-03-03T12:00:00Z, -90d, or a position of the log; left out: now",
    ),
]


def auditors_router(service: Service, path: str, handlers: list[Any]) -> Router:
    """Return the routes `handlers` below `path`, for those who may read the audit trail."""
    return Router(
        path,
        route_handlers=handlers,
        guards=[
            service.resource_server.requires(
                "audit:read",
                max_age=service.settings.protected_max_age,
                machines=True,
            )
        ],
        before_request=noting_reads(service),
        security=[{"bearer": ["audit:read"]}],
        cache_control=CacheControlHeader(no_store=True),
    )


def moment_or_position(name: str, text: str | None, now: datetime) -> int | datetime | None:
    """Return what the parameter `name` asks about, None where it is left out.

    Raises InvalidRequest.
    """
    if text is None:
        return None
    try:
        return parse_as_of(text, now=now)
    except UnreadableAsOf as error:
        raise InvalidRequest(f"{name}: {error}") from None
