"""Is it alive, may it be sent requests, and what does an operator see: healthz, readyz, metrics."""

from collections import Counter
from contextlib import suppress
from typing import Any

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from api import metrics
from api.composition import Service
from application.directory import STALE_SECONDS
from application.ledger.errors import LedgerUnavailable
from projections.alarms import UNREADABLE_STREAMS

# The text format of Prometheus; the framework appends the charset.
_METRICS = "text/plain; version=0.0.4"


async def readiness(service: Service) -> tuple[bool, dict[str, Any]]:
    """Return whether requests may be sent here, and what each part says.

    The read models and alarms are reported, but neither stops issuing.
    """
    fresh = service.directory.age <= STALE_SECONDS
    parts: dict[str, Any] = {
        "database": fresh,
        "log": service.log.epoch.doubts or "followed",
        "writer": service.log.writer.available,
        "signing_key": service.keys.ready,
        "directory_age_seconds": round(service.directory.age, 3),
        "projections": await _projections(service),
        "alarms": await _alarms(service),
    }
    return fresh and parts["writer"] and parts["signing_key"], parts


def health_routes(service: Service) -> list[HTTPRouteHandler]:
    """Return the routes for supervisors and scrapers."""

    @get("/healthz", tags=["Operation"], summary="The process answers", media_type=MediaType.TEXT)
    async def healthz() -> str:
        return "ok\n"

    @get("/readyz", tags=["Operation"], summary="Requests may be sent here; 503 where not")
    async def readyz() -> Response[dict[str, Any]]:
        ready, parts = await readiness(service)
        return Response(
            {"ready": ready, **parts},
            status_code=200 if ready else 503,
            headers={"Cache-Control": "no-store", **({} if ready else {"Retry-After": "1"})},
        )

    @get("/metrics", tags=["Operation"], summary="Prometheus metrics", media_type=_METRICS)
    async def prometheus() -> Response[bytes]:
        await _observe(service)
        return Response(metrics.render(), media_type=_METRICS)

    return [healthz, readyz, prometheus]


async def _observe(service: Service) -> None:
    await service.tell_of_process()
    with suppress(LedgerUnavailable):  # the other metrics are wanted most just then
        for status in await service.read_models.projection_status():
            name = status.projection
            metrics.LOG_POSITION.set(status.head)
            metrics.PROJECTION_LAG_SECONDS.labels(name).set(status.lag_seconds)
            metrics.PROJECTION_LAG_EVENTS.labels(name).set(status.lag_events)
            metrics.SET_ASIDE_EVENTS.labels(name).set(status.set_aside)
        standing = Counter(alarm.name for alarm in await service.alarms())
        sources = [source.name for source in service.read_models.alarm_sources]
        for name in (*sources, UNREADABLE_STREAMS):
            metrics.ALARMS.labels(name).set(standing[name])


async def _projections(service: Service) -> dict[str, Any] | None:
    try:
        found = await service.read_models.projection_status()
    except LedgerUnavailable:
        return None
    return {
        status.projection: {
            "position": status.position,
            "head": status.head,
            "lag_events": status.lag_events,
            "lag_seconds": round(status.lag_seconds, 3),
            "set_aside": status.set_aside,
        }
        for status in found
    }


async def _alarms(service: Service) -> list[dict[str, str]] | None:
    """Return the names of the alarms that stand: strangers may ask, so not what was found."""
    try:
        standing = await service.alarms()
    except LedgerUnavailable:
        return None
    return [{"name": alarm.name, "since": alarm.since.isoformat()} for alarm in standing]
