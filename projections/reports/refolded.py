"""Clients, principals and trusted issuers as the rows of the audit trail tell them.

The audit trail keeps every fact of an event but the verifiers of secrets, which decide nothing
about a token. So the events of the domain can be made again of its rows, and folded by the domain
itself: from PostgreSQL and from an export alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.domain import CanMutateAggregate
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent
from eventsourcing.utils import resolve_topic

from application.ledger.mapper import LedgerMapper
from domain.client import Client
from domain.principal import Principal
from domain.recorded import Administered
from domain.trusted_issuer import TrustedIssuer

_NAMED_BY = {"client": "client_id", "principal": "subject", "issuer": "issuer"}
_STREAMS = {"client": Client.stream, "principal": Principal.stream, "issuer": TrustedIssuer.stream}
_FIRST = frozenset({"client.registered", "principal.registered", "issuer.added"})
_NOT_KEPT: Mapping[str, Any] = {"verifier": "", "request_id": "", "traceparent": ""}


class Told(NamedTuple):
    """What is needed of a row of the audit trail."""

    topic: str
    occurred_at: datetime
    client_id: str | None
    subject: str | None
    actor: str | None
    reason: str | None
    detail: Mapping[str, Any]


@dataclass
class Directory:
    """Who there is, by name."""

    clients: dict[str, Client] = field(default_factory=dict)
    principals: dict[str, Principal] = field(default_factory=dict)
    issuers: dict[str, TrustedIssuer] = field(default_factory=dict)

    def _keep(self, entry: object) -> None:
        if isinstance(entry, Client):
            self.clients[entry.client_id] = entry
        elif isinstance(entry, Principal):
            self.principals[entry.subject] = entry
        elif isinstance(entry, TrustedIssuer):
            self.issuers[entry.issuer] = entry

    def _forget(self, row: Told) -> None:
        kind, name = _named(row)
        by_kind: Mapping[str, dict[str, Any]] = {
            "client": self.clients,
            "principal": self.principals,
            "issuer": self.issuers,
        }
        by_kind[kind].pop(name, None)


def refolded(rows: Sequence[Told]) -> Directory:
    """Return whom `rows`, oldest first, tell of: events of client.*, principal.* and issuer.*.

    Whose beginning is not among them is left out: an export may begin later than it.
    """
    mapper = LedgerMapper()
    entries: dict[UUID, Administered] = {}
    directory = Directory()
    for row in rows:
        stream = _stream(row)
        try:
            event = _event(row, stream, entries, mapper)
        except MapperDeserialisationError:  # left out, as the directory of the service does
            entries.pop(stream, None)
            directory._forget(row)  # noqa: SLF001  # ours
            continue
        if event.originator_id not in entries and row.topic not in _FIRST:
            continue
        entry = event.mutate(entries.get(event.originator_id))
        assert isinstance(entry, Administered)
        entries[event.originator_id] = entry
        directory._keep(entry)  # noqa: SLF001  # ours
    return directory


def _named(row: Told) -> tuple[str, str]:
    """Return the kind and the name of whom a row tells of."""
    kind = row.topic.partition(".")[0]
    known = {"client": row.client_id, "principal": row.subject}
    return kind, str(known.get(kind) or row.detail.get(_NAMED_BY[kind]))


def _stream(row: Told) -> UUID:
    kind, name = _named(row)
    return _STREAMS[kind](name)


def _event(
    row: Told, stream: UUID, entries: Mapping[UUID, Administered], mapper: LedgerMapper
) -> CanMutateAggregate[UUID]:
    facts = {
        **_NOT_KEPT,
        "occurred_at": row.occurred_at.astimezone(UTC),
        "client_id": row.client_id,
        "subject": row.subject,
        "by": row.actor or "",
        "why": row.reason or "",
        **row.detail,
    }
    known = entries.get(stream)
    return mapper.to_domain_event(
        StoredEvent(stream, known.version + 1 if known else 1, row.topic, _state(row.topic, facts))
    )


def _state(topic: str, facts: Mapping[str, Any]) -> bytes:
    """Return the facts as the log keeps them, of the present version; what is missing was None."""
    event_class = resolve_topic(topic)
    names = {one.name for one in fields(event_class)} - {
        "originator_id",
        "originator_version",
        "timestamp",
    }
    state = {name: facts.get(name) for name in names}
    state["occurred_at"] = facts["occurred_at"]
    if topic in _FIRST:
        state["originator_topic"] = topic.partition(".")[0]
    return msgspec.json.encode({**state, "class_version": getattr(event_class, "class_version", 1)})
