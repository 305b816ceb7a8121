"""Ends that are announced: ordinary writers of every process leave these streams alone meanwhile.

Versions decide who is first on a stream, and a client that uses a grant in a loop is always first.
An end that lost a race therefore announces its streams. From then on `append_events` refuses every
unit that touches one of them (EndAnnounced), and `append_end` alone records there. Between the
announcement and its record the end reads all that was recorded before: it cannot lose again, except
to another end of the same streams.

The announcement takes the writers' lock for one insert, and nothing is locked while the end reads
and decides: writers of other streams do not notice. An announcement ends with the record of its
end, and by itself after ANNOUNCED_SECONDS: a process that dies in between blocks nothing for long.
"""

import asyncio
import struct
from collections.abc import Iterable
from uuid import UUID

import psycopg

from application.ledger.errors import LedgerUnavailable
from application.ledger.link import Link
from application.ledger.pg_binary import uuid_array
from application.ledger.wire import Statement

ANNOUNCED_SECONDS = 5.0

_ANNOUNCE = Statement("announce_end", "SELECT grantledger.announce_end($1, $2, $3)")
_WITHDRAW = Statement("withdraw_end", "SELECT grantledger.withdraw_end($1)")
_DURATION = struct.pack("!d", ANNOUNCED_SECONDS)


class AnnouncedEnds:
    """Announces the ends of one process, over a connection that is opened for the first of them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._one_at_a_time = asyncio.Lock()

    async def announce(self, holder: UUID, streams: Iterable[UUID]) -> None:
        """Keep ordinary writers off `streams` for the end `holder`. Raises LedgerUnavailable."""
        await self._run(_ANNOUNCE, (holder.bytes, uuid_array(list(streams)), _DURATION))

    async def withdraw(self, holder: UUID) -> None:
        """Take back what `holder` announced and did not record. Raises LedgerUnavailable."""
        await self._run(_WITHDRAW, (holder.bytes,))

    async def close(self) -> None:
        """Close the connection."""
        await self._link.drop()

    async def _run(self, statement: Statement, parameters: tuple[bytes, ...]) -> None:
        try:
            async with self._one_at_a_time:
                await self._link.fetch(statement, parameters)
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("an end cannot be announced") from error
