"""Clients that registered themselves and were never used are disabled after a while.

Never used: no token was issued to them, as the read model of last uses says, which must lack
nothing that was recorded before. An act on a client, such as enabling it again, gives it the same
time anew.

Each is recorded on its own, so that what was done stays done when the work is cut short; a client
that another replica, an administrator or the client itself changes meanwhile is left to them.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

from application.ledger.errors import Conflict
from application.ports import EventLog
from application.registration.metadata_documents import SYSTEM
from domain.client import Client
from domain.provenance import Provenance

BATCH = 200
"""Clients a question to the read model names."""
Used = Callable[[Sequence[str]], Awaitable[Collection[str]]]


def candidates(clients: Iterable[Client], *, now: datetime, period: timedelta) -> list[Client]:
    """Return the clients that registered themselves and that nothing happened to in `period`."""
    return [
        client
        for client in clients
        if client.registration.source != "administrator"
        and client.enabled
        and client.modified_on <= now - period
    ]


async def disable_unused(
    found: Sequence[Client], used: Used, *, period: timedelta, asked: Provenance, log: EventLog
) -> int:
    """Disable those of `found` that `used` does not name; return how many this process disabled.

    Raises LedgerUnavailable.
    """
    disabled = 0
    why = f"never used within {period.days} days"
    provenance = Provenance(asked.occurred_at, asked.request_id, by=SYSTEM, why=why)
    for start in range(0, len(found), BATCH):
        batch = found[start : start + BATCH]
        known = await used([client.client_id for client in batch])
        for client in batch:
            if client.client_id not in known:
                disabled += await _disable(client, provenance, log)
    return disabled


async def _disable(client: Client, provenance: Provenance, log: EventLog) -> bool:
    # The client as it was judged: whatever happened to it since makes this a conflict.
    unused = client.copied()
    unused.disable(provenance)
    try:
        await log.save(unused)
    except Conflict:
        return False
    return True
