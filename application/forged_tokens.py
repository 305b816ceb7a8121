"""Forged tokens become events: the sign of a leaked signing key, recorded with what differed.

1. Tokens of one key that differ from their records alike are one kind: of each kind there is at
   most one event a minute, with its count. The first of a kind is recorded with the next flush.
2. Past KINDS kinds a minute, the names of what differs are given up; the key and the count are
   not. Keys are few: nothing is noted that no published key signed. An attacker who varies what
   differs fills neither memory nor log.
3. What cannot be recorded waits on, and nothing is counted twice (application.coalescing).
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from application.coalescing import CoalescingRecorder
from application.ports import Clock, EventLog, Ids
from application.recorded_token import Circumstances
from domain.forgery_log import MANY, Forgery, ForgeryLog, Presentation
from domain.provenance import Provenance

INTERVAL = timedelta(minutes=1)
KINDS = 32
MOST_JTIS = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Presented:
    count: int
    last: Presentation
    jtis: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    request_id: str
    traceparent: str


class ForgedTokenRecorder(CoalescingRecorder[Forgery, _Presented, ForgeryLog]):
    """Implements ForgeryNotes: counts forged tokens by key and difference."""

    def __init__(self, *, log: EventLog, clock: Clock, ids: Ids, process: str) -> None:
        super().__init__(log=log, clock=clock, ids=ids, process=process)
        self._recorded_at: dict[Forgery, datetime] = {}

    def note(self, forgery: Forgery, presented: Circumstances, *, jti: object) -> None:
        """Count a forged token; `jti` is what the token says, of any type."""
        known = forgery in self._waiting or forgery in self._recorded_at
        if not known and len(self._waiting) + len(self._recorded_at) >= KINDS:  # 2
            forgery = Forgery(forgery.kid, (MANY,))
        name = _uuid(jti)
        at = presented.provenance.occurred_at
        last = Presentation(presented.endpoint, presented.client_id, presented.address, name)
        self._add(
            forgery,
            _Presented(
                count=1,
                last=last,
                jtis=(name,) if name else (),
                first_at=at,
                last_at=at,
                request_id=presented.provenance.request_id,
                traceparent=presented.provenance.traceparent,
            ),
        )

    async def flush(self, *, everything: bool = False) -> None:
        """Record each kind that was not recorded within INTERVAL, or `everything` (at shutdown)."""
        now = self._clock.now()
        # A clock that went back holds nothing up.
        self._recorded_at = {
            kind: at
            for kind, at in self._recorded_at.items()
            if timedelta(0) <= now - at < INTERVAL and not everything
        }
        await super().flush()

    def _due(self, kind: Forgery, _: datetime) -> bool:
        return kind not in self._recorded_at  # 1

    def _sum(self, one: _Presented, other: _Presented) -> _Presented:
        later = other if other.last_at >= one.last_at else one
        return _Presented(
            count=one.count + other.count,
            last=later.last,
            jtis=tuple(dict.fromkeys(one.jtis + other.jtis))[:MOST_JTIS],
            first_at=min(one.first_at, other.first_at),
            last_at=later.last_at,
            request_id=later.request_id,
            traceparent=later.traceparent,
        )

    def _stream_of(self, _: Forgery) -> str:
        return "all"

    def _start(self, _: Forgery, day: str, provenance: Provenance) -> ForgeryLog:
        return ForgeryLog.start(
            self._ids.stream_id(provenance.occurred_at),
            process=self._process,
            day=day,
            provenance=provenance,
        )

    def _record(
        self, stream: ForgeryLog, kind: Forgery, count: _Presented, provenance: Provenance
    ) -> None:
        stream.present(
            kind,
            count.last,
            jtis=count.jtis,
            count=count.count,
            first_at=count.first_at,
            last_at=count.last_at,
            provenance=Provenance(provenance.occurred_at, count.request_id, count.traceparent),
        )
        self._recorded_at[kind] = provenance.occurred_at
        _log.error(
            "%d forged tokens that the signing key %s signed: it has leaked",
            count.count,
            kind.kid,
        )


def _uuid(jti: object) -> str | None:
    try:
        return str(UUID(jti)) if isinstance(jti, str) else None
    except ValueError:
        return None
