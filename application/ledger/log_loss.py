"""What a log that went back has lost: measured in the log that is left, and recorded there.

Positions are given in one order, and the moments with them. Of the events up to the newest that was
known, those that are older than it are what is left; what has been written since is newer. So the
last of the older ones is where the log went on, also once it has passed its old head.

The clock of the server may be behind that of before: a loss ends no sooner than the newest event
that was seen, or no record would ever cover it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

import psycopg

from application.ledger.errors import LedgerUnavailable
from application.ledger.group_commit import APPEND, append_parameters
from application.ledger.link import Link
from application.ledger.log_epoch import LogEpoch
from application.ledger.log_identity import LogIdentity, microseconds_of, moment_of
from application.ledger.mapper import LedgerMapper
from application.ledger.pg_binary import int8, read_int
from application.ledger.wire import Statement
from application.ports import Ids
from domain.log_continuity import LogContinuity, LogLoss
from domain.provenance import Provenance

SYSTEM = "system"
_LEFT = Statement(
    "what_is_left",
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, kept.position, kept.moment"
    " FROM (VALUES (1)) AS one LEFT JOIN LATERAL (SELECT notification_id AS position,"
    " (extract(epoch FROM recorded_at) * 1000000)::bigint AS moment"
    " FROM grantledger.ledger_events WHERE notification_id <= $1::bigint"
    " AND recorded_at <= 'epoch'::timestamptz + $2::bigint * interval '1 microsecond'"
    " ORDER BY notification_id DESC LIMIT 1) AS kept ON true",
)
_FOREVER = 253_402_300_799_000_000

_log = logging.getLogger(__name__)


class LossRecorder:
    """Measures and records over the directory's connection, which says which log is followed."""

    def __init__(
        self, link: Link, mapper: LedgerMapper, epoch: LogEpoch, *, ids: Ids, process: str
    ) -> None:
        self._link = link
        self._mapper = mapper
        self._epoch = epoch
        self._ids = ids
        self._process = process
        self._found_at: datetime | None = None

    async def measured(self, previous: LogIdentity) -> LogLoss:
        """Return what is lost of the log up to the newest event that was known.

        Raises LedgerUnavailable.
        """
        known, seen = self._epoch.known, self._epoch.seen
        assert known is not None
        known_at = seen.recorded_at if seen is not None else None
        until = microseconds_of(known_at) if known_at is not None else _FOREVER
        try:
            rows = await self._link.fetch(_LEFT, (int8(known.position), int8(until)))
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("what the log lost cannot be measured") from error
        now, position, began = rows[0]
        assert now is not None
        self._found_at = found_at = moment_of(now)
        loss = LogLoss(
            known_position=known.position,
            known_event=known.mark.hex(),
            resumed_after=read_int(position) if position is not None else 0,
            lost_from=moment_of(began) if began is not None else None,
            lost_until=max(found_at, known_at or found_at),
            known_at=known_at or found_at,
            previous=previous.followed(),
            present=self._epoch.identity.followed(),
        )
        _log.critical(
            "the log went back: events after position %d, recorded since %s, are lost; %d was"
            " known here",
            loss.resumed_after,
            loss.lost_from or "the beginning",
            loss.known_position,
        )
        return loss

    async def record(
        self,
        loss: LogLoss,
        known: Callable[[], Mapping[UUID, Any]],
        read_on: Callable[[], Awaitable[None]],
    ) -> None:
        """Record the loss, unless another process did: `known` are the streams of the directory as
        of now, and `read_on` brings them up to the log. Raises LedgerUnavailable.
        """
        for number in count():
            stream = LogContinuity.stream(loss.resumed_after, number)
            if stream not in known():
                await self._write(loss, number)
                await read_on()
            found = known().get(stream)  # None where it cannot be read
            if isinstance(found, LogContinuity) and found.covers(loss.known_at):
                return

    async def _write(self, loss: LogLoss, number: int) -> None:
        entry = LogContinuity.went_back(
            loss,
            number=number,
            found_by=self._process,
            provenance=Provenance(
                self._found_at or loss.lost_until, self._ids.request_id(), by=SYSTEM
            ),
        )
        events = [self._mapper.to_stored_event(fact) for fact in entry.facts()]
        try:
            rows = await self._link.fetch(
                APPEND, (*append_parameters(events), *self._epoch.guard())
            )
        except psycopg.errors.UniqueViolation:
            return  # another process of ours found it at the same time
        except (psycopg.Error, TimeoutError) as error:
            raise LedgerUnavailable("what the log lost cannot be recorded") from error
        if rows[0][0] is None:
            raise LedgerUnavailable("the log went back once more")
