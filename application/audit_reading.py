"""Reads of the audit trail become events (PCI DSS 10.2.1.3: access to audit trails is logged).

The service counts them and records each kind at most once a minute; a command of an operator is
recorded at once, before its answer is shown.
"""

from dataclasses import dataclass
from datetime import datetime

from application.coalescing import CoalescingRecorder
from application.ports import EventLog, Ids
from domain.audit_reading import AuditReading, Reading
from domain.provenance import Provenance

MOST_PARAMETERS = 10
LONGEST_PARAMETERS = 500
AND_MORE = "..."


@dataclass(frozen=True, slots=True)
class _Reads:
    count: int
    parameters: tuple[str, ...]
    first_at: datetime
    last_at: datetime


class AuditReadingRecorder(CoalescingRecorder[Reading, _Reads, AuditReading]):
    """Counts who read what; records it once a minute."""

    def note(
        self, *, reader: str, via: str, what: str, provenance: Provenance, parameters: str = ""
    ) -> None:
        """Count one read of `what` by `reader` over `via` ("http", "cli" or "console").

        `parameters` are the filters that were asked with, as text that may be kept for good.
        """
        at = provenance.occurred_at
        self._add(Reading(reader, via, what), _Reads(1, _kept(parameters), at, at))

    def _sum(self, one: _Reads, other: _Reads) -> _Reads:
        return _Reads(
            one.count + other.count,
            _few(one.parameters + other.parameters),
            min(one.first_at, other.first_at),
            max(one.last_at, other.last_at),
        )

    def _stream_of(self, _: Reading) -> str:
        return "all"

    def _start(self, _: Reading, day: str, provenance: Provenance) -> AuditReading:
        return AuditReading.start(
            self._ids.stream_id(provenance.occurred_at),
            process=self._process,
            day=day,
            provenance=provenance,
        )

    def _record(
        self, stream: AuditReading, kind: Reading, count: _Reads, provenance: Provenance
    ) -> None:
        stream.read(
            kind,
            parameters=count.parameters,
            count=count.count,
            first_at=count.first_at,
            last_at=count.last_at,
            provenance=provenance,
        )


async def record_at_once(
    reading: Reading,
    *,
    parameters: str,
    process: str,
    log: EventLog,
    ids: Ids,
    provenance: Provenance,
) -> None:
    """Record one read before it is answered. Raises LedgerUnavailable."""
    at = provenance.occurred_at
    stream = AuditReading.start(
        ids.stream_id(at), process=process, day=at.strftime("%Y-%m-%d"), provenance=provenance
    )
    stream.read(
        reading,
        parameters=_kept(parameters),
        count=1,
        first_at=at,
        last_at=at,
        provenance=provenance,
    )
    await log.save(stream)


def _kept(parameters: str) -> tuple[str, ...]:
    # As typed, it may hold what PostgreSQL cannot keep (U+0000), or no text at all (surrogates).
    harmless = "".join(one if one.isprintable() else "?" for one in parameters)
    return (harmless[:LONGEST_PARAMETERS],) if harmless else ()


def _few(parameters: tuple[str, ...]) -> tuple[str, ...]:
    each_once = tuple(dict.fromkeys(one for one in parameters if one != AND_MORE))
    if len(each_once) <= MOST_PARAMETERS and AND_MORE not in parameters:
        return each_once
    return (*each_once[:MOST_PARAMETERS], AND_MORE)
