"""Clients: who they are, and of each what it was configured as at any time, by whom and why.

The past of a client is folded from the events of its stream, which are few, by the domain's own
code: version N is what the first N events say.
"""

import asyncio
import re
from typing import Any

from api.admin_requests import client_named
from api.console.client_state import facts_of
from api.console.desk import Page, Sight
from api.visit import AnyResponse
from application.errors import InvalidRequest, NotFound
from domain.client import Client
from domain.recorded import fold
from projections import client_changes, client_last_used

CLIENTS_SHOWN = 500
_NUMBER = re.compile(r"[0-9]{1,9}")


async def listing(sight: Sight) -> AnyResponse:
    """List the clients; `q` is a part of the id or name."""
    wanted = (sight.form.get("q") or "").strip().lower()
    fitting = sorted(
        (
            client
            for client in sight.service.directory.clients()
            if wanted in client.client_id.lower() or wanted in client.name.lower()
        ),
        key=lambda client: client.client_id,
    )
    return sight.render(
        "clients.html",
        clients=fitting[:CLIENTS_SHOWN],
        found=len(fitting),
        shown=CLIENTS_SHOWN,
        wanted=sight.form.get("q") or "",
    )


def page(segment: str) -> Page:
    """Return the page of one client; `version` names a point of its history, else the present."""

    async def shown(sight: Sight) -> AnyResponse:
        service, client_id = sight.service, client_named(segment)
        # Before anything is asked: no other name has a stream, and some break the database's text.
        if service.directory.client(client_id) is None:
            raise NotFound("there is no such client")
        events, changes, used = await asyncio.gather(
            service.log.events(Client.stream(client_id)),
            service.read_models.fetch(client_changes.of_client(client_id)),
            service.read_models.fetch(client_last_used.of_client(client_id)),
        )
        version = _version(sight.form.get("version"), len(events))
        client, before = fold(events[:version]), fold(events[: version - 1])
        assert isinstance(client, Client)
        return sight.render(
            "client.html",
            client=client,
            facts=facts_of(client, before if isinstance(before, Client) else None),
            version=version,
            versions=len(events),
            at=events[version - 1].timestamp,
            changes=list(enumerate(changes, start=1))[::-1],
            used=_last_used(used),
        )

    return shown


def _version(text: str | None, newest: int) -> int:
    if text is None:
        return newest
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= newest:
        raise InvalidRequest(f"version is a number from 1 to {newest}")
    return int(text)


def _last_used(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: row.last_used_at, reverse=True)[:20]
