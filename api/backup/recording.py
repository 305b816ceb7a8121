"""Records in a restored log that it went back: what was recorded since the backup is lost.

A service that ran meanwhile finds the same by itself; one of the two records it.
"""

import asyncio
import os
from contextlib import closing
from datetime import datetime

from application.ledger.errors import Conflict
from application.ledger.ledger import Ledger
from domain.log_continuity import LogContinuity, LogLoss
from domain.provenance import Provenance
from projections.session import open_session

_LAST = (
    "SELECT recorded_at FROM grantledger.ledger_events WHERE notification_id <= %s"
    " ORDER BY notification_id DESC LIMIT 1"
)


def record_restored(url: str, position: int, provenance: Provenance) -> None:
    """Record that the log goes on after `position`, the head of the backup.

    Raises LedgerUnavailable and psycopg.Error.
    """
    with closing(open_session(url, name="restore")) as connection:
        row = connection.execute(_LAST, (position,)).fetchone()
    asyncio.run(_recorded(url, position, row[0] if row else None, provenance))


async def _recorded(
    url: str, position: int, moment: datetime | None, provenance: Provenance
) -> None:
    async with Ledger(url) as log:
        if await log.load(LogContinuity.stream(position, 0)) is not None:
            return
        followed = log.epoch.identity.followed()
        loss = LogLoss(
            known_position=position,
            known_event="",  # of what came after it a backup knows nothing
            resumed_after=position,
            lost_from=moment,
            lost_until=provenance.occurred_at,
            known_at=provenance.occurred_at,
            previous=followed,
            present=followed,
        )
        entry = LogContinuity.went_back(
            loss, number=0, found_by=f"cli:{os.getpid()}", provenance=provenance
        )
        try:
            await log.save(entry)
        except Conflict:
            return  # a service that runs found it at the same time
