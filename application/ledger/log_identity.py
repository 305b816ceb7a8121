"""By what a process recognises the log that it follows.

The identity: the row of `log_identity` (made with the log, and carried along by a dump), the table
that holds it (another one after a restore into the same database), the server's system identifier
and its timeline, which counts promotions. A log may go back with all of them as before, where files
are put back. So the newest event that is known is compared as well: positions are given in one
order, and where it is still at its place, everything before it is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg import AsyncConnection

from application.ledger.errors import LedgerUnavailable
from application.ledger.pg_binary import read_int
from application.ledger.wire import Row
from domain.log_continuity import FollowedLog

NIL = UUID(int=0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARK = "sha256(uuid_send(originator_id) || int8send(originator_version) || state)"
_SYSTEM = "(SELECT system_identifier FROM pg_control_system())"
_IDENTITY = (
    "SELECT i.log_id, i.tableoid::bigint, coalesce({system}, 0),"  # noqa: S608  # constants
    # The control file learns of a promotion with the next checkpoint only.
    " CASE WHEN pg_is_in_recovery() THEN NULL"
    " ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END,"
    f" (SELECT {_MARK} FROM grantledger.ledger_events WHERE originator_id = %(stream)s"
    " AND originator_version = %(version)s AND notification_id = %(position)s)"
    " FROM grantledger.log_identity AS i"
)
_WITH_SYSTEM, _WITHOUT = (_IDENTITY.format(system=one) for one in (_SYSTEM, "NULL::bigint"))
_FACTS = (
    "uuid_send(originator_id) || int8send(originator_version)"
    " || int8send((extract(epoch FROM recorded_at) * 1000000)::bigint)"
    f" || {_MARK}"
)
HEAD, KNOWN = b"head", b"known"
TAIL_FACTS = (
    f" UNION ALL (SELECT NULL, NULL, 'head', {_FACTS}, notification_id"  # noqa: S608  # constants
    " FROM grantledger.ledger_events ORDER BY notification_id DESC LIMIT 1)"
    f" UNION ALL SELECT NULL, NULL, 'known', {_FACTS}, notification_id"
    " FROM grantledger.ledger_events"
    " WHERE originator_id = $3::uuid AND originator_version = $4::bigint"
)
"""Two rows for a query that reads the log: its newest event, and the one that is asked for."""


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """The log and the server that a connection leads to; 0 where the server does not say."""

    log_id: UUID
    table: int
    system_identifier: int
    timeline: int

    def followed(self) -> FollowedLog:
        """Return how it is recorded."""
        return FollowedLog(str(self.log_id), str(self.system_identifier), self.timeline)


NOWHERE = LogIdentity(NIL, 0, 0, 0)
"""Stands for the log of a process that has not seen any."""


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """An event that was seen in the log; `recorded_at` (UTC) is None for one of our own."""

    position: int
    stream_id: UUID
    version: int
    mark: bytes
    recorded_at: datetime | None = None

    def is_at(self, other: "KnownEvent | None") -> bool:
        """Tell whether `other` is the same event at the same position."""
        return other is not None and (self.position, self.mark) == (other.position, other.mark)


def known_event(position: int, stored: StoredEvent) -> KnownEvent:
    """Return what is remembered of an event that was recorded."""
    stream_id = cast("UUID", stored.originator_id)
    version = stored.originator_version
    mark = sha256(stream_id.bytes + version.to_bytes(8, "big") + stored.state).digest()
    return KnownEvent(position, stream_id, version, mark)


def fact(rows: list[Row], kind: bytes) -> KnownEvent | None:
    """Return the row of TAIL_FACTS of that kind, None where there is no such event."""
    for stream_id, _, topic, packed, position in rows:
        if stream_id is None and topic == kind:
            assert packed is not None
            moment = moment_of(packed[24:32])
            return KnownEvent(
                read_int(position),
                UUID(bytes=packed[:16]),
                read_int(packed[16:24]),
                packed[32:],
                moment,
            )
    return None


def moment_of(microseconds: bytes) -> datetime:
    """Return the moment of a binary bigint: microseconds since 1970 (UTC)."""
    return _EPOCH + timedelta(microseconds=read_int(microseconds))


def microseconds_of(moment: datetime) -> int:
    """Return the same the other way round."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


async def identified(
    connection: AsyncConnection[Any], known: KnownEvent | None
) -> tuple[LogIdentity, bool]:
    """Return where `connection` leads, and whether `known` is at its place there.

    Raises LedgerUnavailable for a standby: it may lack what its primary has recorded.
    """
    wanted = known or KnownEvent(0, NIL, 0, b"")
    given = {
        "stream": wanted.stream_id,
        "version": wanted.version,
        "position": wanted.position,
    }
    try:
        row = await _first(connection, _WITH_SYSTEM, given)
    except psycopg.errors.InsufficientPrivilege:
        row = await _first(connection, _WITHOUT, given)
    if row is None:
        raise LedgerUnavailable("the log has no identity: `grantledger migrate` makes one")
    log_id, table, system, timeline, mark = row
    if timeline is None:
        raise LedgerUnavailable("the server is a standby")
    identity = LogIdentity(log_id, table, system, int(timeline, 16))
    return identity, known is None or (mark is not None and bytes(mark) == known.mark)


async def _first(connection: AsyncConnection[Any], statement: str, given: dict[str, Any]) -> Any:
    return await (await connection.execute(statement.encode(), given)).fetchone()
