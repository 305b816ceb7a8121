"""A long history, written straight into the log: millions of events that read like real ones.

States are those of the golden files with other names and moments in them, so that every upcaster
and every projection reads them as it reads its own. One seed, one history: the same numbers on
every machine. Clients and people are registered through the domain.
"""

import json
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from application.ledger.mapper import LedgerMapper
from application.ledger.schema import ensure_partitions
from domain.ids import uuid7
from domain.recorded import Recorded
from tests.builders import a_client, a_key, a_principal, later

CLIENTS = 1000
PEOPLE = 10_000
DAYS = 60
_GOLDEN = Path(__file__).parents[1] / "golden"
_SCOPES = (["user"], ["service"], ["service", "mcp"], ["user", "mcp"])
_REUSED = 1 / 2000
_LIVING = 5000
"""How many tokens and families may still be revoked, exchanged or rotated."""

Row = tuple[UUID, int, str, bytes]
Progress = Callable[[int, int], None]


def write_history(
    database_url: str, events: int, *, end: datetime, seed: int = 7, progress: Progress
) -> None:
    """Add to the log of `database_url` `events` events of the DAYS before `end` (UTC)."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for days in range(DAYS + 31, -1, -31):
            ensure_partitions(connection, now=end - timedelta(days=days))
        history = History(random.Random(seed), end=end, events=events)
        head = connection.execute(
            "SELECT coalesce(max(notification_id), 0) FROM grantledger.ledger_events"
        ).fetchone()
        begin = 1 + (int(head[0]) if head else 0)
        with (
            connection.cursor() as cursor,
            cursor.copy(
                "COPY grantledger.ledger_events (originator_id, originator_version, topic, state,"
                " notification_id, recorded_at) FROM STDIN (FORMAT binary)"
            ) as copy,
        ):
            copy.set_types(["uuid", "int8", "text", "bytea", "int8", "timestamptz"])
            for position, (row, moment) in enumerate(history.rows(), start=begin):
                copy.write_row((*row, position, moment))
                if position % 50_000 == 0:
                    progress(position, events)
        connection.execute(
            "SELECT setval('grantledger.ledger_position', %s, true)", (begin + events - 1,)
        )
        connection.execute("VACUUM (ANALYZE) grantledger.ledger_events")


class History:
    """What happens, drawn from a seed: about six events in ten are machines' tokens."""

    def __init__(self, rng: random.Random, *, end: datetime, events: int) -> None:
        self._rng = rng
        self._events = events
        self._step = timedelta(days=DAYS) / events
        self._now = end - timedelta(days=DAYS)
        self._encode = msgspec.json.Encoder().encode
        self._mapper = LedgerMapper()
        self._clients = [f"client-{number:04}" for number in range(min(CLIENTS, events // 20))]
        self._people = [f"person-{number:05}" for number in range(min(PEOPLE, events // 20))]
        self._tokens: deque[tuple[UUID, str, str, str]] = deque(maxlen=_LIVING)
        self._families: deque[tuple[UUID, str, str, int, str]] = deque(maxlen=_LIVING)
        self._versions: dict[UUID, int] = {}
        self._of = {topic: _state_of(topic) for topic in _TEMPLATES}

    def rows(self) -> Iterator[tuple[Row, datetime]]:
        """Yield every event with the moment it was recorded, in the order of the log."""
        acts = (self._machine, self._exchange, self._refresh, self._login, self._revoke)
        rest = (self._denied, self._used)
        weights = (62, 12, 11, 2, 2, 2, 4)
        left = self._events
        for row in self._registered():
            left -= 1
            yield row, self._now
        while left > 0:
            (act,) = self._rng.choices((*acts, *rest), weights)
            rows = list(act())[:left]
            left -= len(rows)
            for row in rows:
                yield row, self._now
            self._now += self._step * len(rows)

    def _registered(self) -> Iterable[Row]:
        yield from self._decided(a_key())
        for name in self._people:
            yield from self._decided(a_principal(name))
        for number, name in enumerate(self._clients):
            client = a_client(client_id=name, owner=None, name=f"Client {number}")
            if number % 10 == 0:
                client.disable(provenance=later(1))
            if number % 20 == 0:
                client.enable(provenance=later(2))
            yield from self._decided(client)

    def _decided(self, aggregate: Recorded) -> Iterable[Row]:
        for fact in aggregate.facts():
            stored = self._mapper.to_stored_event(fact)
            stream = UUID(str(stored.originator_id))
            yield stream, stored.originator_version, stored.topic, stored.state

    def _machine(self) -> Iterable[Row]:
        client = self._client()
        yield self._token(client, client, grant_type="client_credentials")

    def _exchange(self) -> Iterable[Row]:
        if not self._tokens:
            return
        parent, _, subject, session = self._rng.choice(self._tokens)
        client = self._client()
        descent = {
            **self._of["token.issued"]["descent"],
            "lineage": [str(parent)],
            "actors": [{"subject": client, "issuer": None}],
            "vouched": None,
            "impersonation": False,
        }
        grant = "urn:ietf:params:oauth:grant-type:token-exchange"
        yield self._token(client, subject, grant_type=grant, descent=descent, session_id=session)

    def _login(self) -> Iterable[Row]:
        client, person = self._client(), self._rng.choice(self._people)
        session, family = self._id(), self._id()
        session_id = f"sess_{session.hex}"
        about = {"client_id": client, "subject": person, "session_id": session_id}
        started = {**about, "methods": ["pwd"], "expires_at": self._in(12 * 60)}
        del started["client_id"]
        yield self._row(session, "session.started", **started)
        token = self._token(
            client,
            person,
            grant_type="authorization_code",
            family_id=str(family),
            session_id=session_id,
        )
        ends = {"expires_at": self._in(30 * 24 * 60), "token_expires_at": self._in(10)}
        known = {**about, "family_id": str(family), "jti": str(token[0])}
        yield self._row(family, "family.started", **known, **ends, authenticated_at=self._in(0))
        yield token
        self._families.append((family, client, person, 1, session_id))

    def _refresh(self) -> Iterable[Row]:
        if not self._families:
            return
        place = self._rng.randrange(len(self._families))
        family, client, person, generation, session = self._families[place]
        if generation > 1 and self._rng.random() < _REUSED:
            yield from self._reused(place)
            return
        about = {"client_id": client, "subject": person, "session_id": session}
        token = self._token(
            client, person, grant_type="refresh_token", family_id=str(family), session_id=session
        )
        generation += 1
        known = {**about, "family_id": str(family), "jti": str(token[0])}
        ends = {"generation": generation, "token_expires_at": self._in(10)}
        yield self._row(family, "family.rotated", **known, **ends)
        yield token
        self._families[place] = (family, client, person, generation, session)

    def _reused(self, place: int) -> Iterable[Row]:
        family, client, person, generation, session = self._families[place]
        del self._families[place]
        about = {"client_id": client, "subject": person, "session_id": session}
        known = {"family_id": str(family), "presented": 1, "generation": generation}
        yield self._row(family, "family.reuse_detected", **about, **known, tokens_revoked=[])

    def _revoke(self) -> Iterable[Row]:
        if self._tokens:
            token, client, subject, _ = self._tokens.popleft()
            facts = {"client_id": client, "subject": subject, "by": client}
            yield self._row(token, "token.revoked", **facts, session_id=f"sess_{token.hex}")

    def _denied(self) -> Iterable[Row]:
        log = uuid7(self._now.replace(minute=0, second=0, microsecond=0), bytes(10))
        if log not in self._versions:
            hour = self._now.isoformat(timespec="hours")
            yield self._row(log, "denial_log.started", process="p-1", hour=hour)
        ends = {"first_at": self._in(0), "last_at": self._in(0), "count": self._rng.randint(1, 40)}
        yield self._row(log, "grant.denied", client_id=self._client(), **ends)

    def _used(self) -> Iterable[Row]:
        client = self._client()
        day = self._now.replace(hour=0, minute=0, second=0, microsecond=0)
        usage = uuid7(day, int(client.rpartition("-")[2]).to_bytes(10, "big"))
        if usage not in self._versions:
            facts = {"client_id": client, "process": "p-1", "day": f"{day:%Y-%m-%d}"}
            yield self._row(usage, "client_usage.started", **facts)
        yield self._row(usage, "client.used", client_id=client, last_at=self._in(0))

    def _token(self, client: str, subject: str, **facts: Any) -> Row:
        token = self._id()
        known = {
            **_PLAIN_TOKEN,
            "client_id": client,
            "subject": subject,
            "session_id": f"sess_{token.hex}",
            "scope": self._rng.choice(_SCOPES),
            "address": f"address-{self._rng.randrange(500)}",
            "expires_at": self._in(10),
            **facts,
        }
        self._tokens.append((token, client, subject, known["session_id"]))
        return self._row(token, "token.issued", **known)

    def _row(self, stream: UUID, topic: str, **facts: Any) -> Row:
        version = self._versions.get(stream, 0) + 1
        if topic != "token.issued":
            self._versions[stream] = version
        request = f"req_{self._rng.getrandbits(96):024x}"
        state = {**self._of[topic], "occurred_at": self._now, "request_id": request, **facts}
        if topic == "token.revoked":
            version = 2
        return stream, version, topic, self._encode(state)

    def _client(self) -> str:
        # Some are used far more than others, as anywhere.
        place = int(len(self._clients) * self._rng.random() ** 2)
        return self._clients[place]

    def _id(self) -> UUID:
        return uuid7(self._now, self._rng.randbytes(10))

    def _in(self, minutes: int) -> str:
        return (self._now + timedelta(minutes=minutes)).astimezone(UTC).isoformat()


_TEMPLATES = {
    "token.issued": 4,
    "token.revoked": 2,
    "family.started": 2,
    "family.rotated": 1,
    "family.reuse_detected": 1,
    "session.started": 1,
    "grant.denied": 1,
    "denial_log.started": 1,
    "client_usage.started": 1,
    "client.used": 1,
}
_PLAIN_TOKEN: dict[str, Any] = {
    "family_id": None,
    "descent": None,
    "may_act": None,
    "form": "access_token",
    "confirmation": None,
    "authorization_details": [],
    "plugin_id": None,
    "authenticated_at": None,
    "roles": None,
    "requested_scope": None,
    "withheld_by_owner": [],
}


def _state_of(topic: str) -> dict[str, Any]:
    text = (_GOLDEN / f"{topic}.v{_TEMPLATES[topic]}.json").read_text()
    state: dict[str, Any] = json.loads(text)["state"]
    return {**state, "traceparent": ""}
