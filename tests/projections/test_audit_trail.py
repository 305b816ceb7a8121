"""The audit trail shows every event, and what is asked by has a column."""

import inspect
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from psycopg import AsyncConnection, Connection

from application.ledger.topics import AGGREGATES
from domain.access_token import AccessToken
from domain.client_configuration import Audiences
from domain.denial_log import Denial, DenialLog
from projections import audit_trail
from projections.audit_trail import OUTCOMES, AuditEntry, of_token, search
from projections.event_filter import EventFilter
from tests.builders import AT_NOON, CATALOGUE, a_client, a_key, a_principal, later, stream_id
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording, token_now


class Trail(NamedTuple):
    """What was recorded for the tests that only ask."""

    session: Connection[Any]
    tokens: list[AccessToken]

    def ask(self, **filters: Any) -> list[AuditEntry]:
        """Return the entries that fit."""
        paging = {name: filters.pop(name) for name in ("limit", "newest_first") if name in filters}
        return search(EventFilter(**filters), **paging).fetch(self.session)


@pytest.fixture
def trail(recording: Recording, session: Connection[Any]) -> Trail:
    """Two clients with two tokens each, one of them revoked, and a principal."""
    reporter, billing = a_client(), a_client(client_id="billing", owner="owner-1")
    tokens = [token_now(client) for client in (reporter, billing, reporter, billing)]
    recording.record(reporter, billing, a_principal(), *tokens)
    tokens[0].revoke(by="operator-1", reason="leaked", provenance=later(5))
    recording.record(tokens[0])
    catch_up(recording.database_url)
    return Trail(session, tokens)


def test_shows_what_an_issued_token_is(recording: Recording, session: Connection[Any]) -> None:
    """Each fact of a token that auditors ask by is in its column, every other one in detail."""
    at = datetime(2026, 3, 3, 12, 0, 0, 5, tzinfo=UTC)
    token = token_now(at=at)
    recording.record(token)
    catch_up(recording.database_url)
    (entry,) = search().fetch(session)

    assert entry == AuditEntry(
        position=1,
        occurred_at=at,
        recorded_at=entry.recorded_at,
        topic="token.issued",
        outcome="success",
        client_id="reporter",
        subject="reporter",
        jti=token.id,
        session_id="sess_00000000000000000000000000000001",
        grant_type="client_credentials",
        error=None,
        reason=None,
        actor=None,
        kid="key-1",
        address="address-hash",
        request_id="req_3",
        traceparent=None,
        scope=["service", "mcp"],
        audience=["https://api.example"],
        family_id=None,
        actors=None,
        expires_at=token.issued.expires_at,
        detail={
            "client_version": 1,
            "withheld_by_client": [],
            "withheld_by_owner": ["user"],
            "algorithm": "ES256",
            "authentication_method": "client_secret_basic",
            "credential_id": "secret-1",
            "user_agent": "agent-hash",
            "policy": CATALOGUE.digest,
            "form": "access_token",
            "authorization_details": [],
        },
    )
    assert abs(entry.recorded_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert entry.recorded_at.tzinfo is UTC


def test_shows_a_refusal_as_a_failure_with_its_count(
    recording: Recording, session: Connection[Any]
) -> None:
    """A coalesced refusal keeps its true reason, and in detail how many there were and when."""
    log = DenialLog.start(stream_id(), process="p-1", hour="2026-03-03T12Z", provenance=AT_NOON)
    denial = Denial("", "token", "client_credentials", "invalid_client", "no such client", "a")
    end = AT_NOON.occurred_at + timedelta(seconds=1)
    log.deny(denial, count=412, first_at=AT_NOON.occurred_at, last_at=end, provenance=AT_NOON)
    recording.record(log)
    catch_up(recording.database_url)
    (entry,) = search(EventFilter(topic="grant.denied")).fetch(session)

    assert (entry.outcome, entry.error, entry.reason, entry.client_id, entry.address) == (
        "failure",
        "invalid_client",
        "no such client",
        None,
        "a",
    )
    assert entry.detail == {
        "endpoint": "token",
        "count": 412,
        "first_at": "2026-03-03T12:00:00Z",
        "last_at": "2026-03-03T12:00:01Z",
    }


def test_shows_who_administered_and_why(recording: Recording, session: Connection[Any]) -> None:
    """An administrative act names its actor and the stated reason."""
    client = a_client()
    client.disable(later(5))
    recording.record(client, a_key())
    catch_up(recording.database_url)
    registered, disabled, generated = search().fetch(session)

    assert (disabled.topic, disabled.actor, disabled.reason, disabled.client_id) == (
        "client.disabled",
        "operator-2",
        "changed",
        "reporter",
    )
    assert (registered.actor, generated.kid) == ("operator-1", "key-1")
    assert registered.detail["scopes"] == ["user", "service", "mcp"]


def test_keeps_the_verifier_of_a_secret_out(recording: Recording, session: Connection[Any]) -> None:
    """Nothing that could be tried against a secret is in the read model."""
    client = a_client()
    client.add_secret(
        secret_id="s-1", pepper_id="pepper-1", verifier="5ec4e7" * 8, provenance=AT_NOON
    )
    recording.record(client)
    catch_up(recording.database_url)
    (added,) = search(EventFilter(topic="client.secret_added")).fetch(session)
    rows = session.execute("SELECT trail::text FROM read.audit_trail AS trail").fetchall()

    assert added.detail == {"secret_id": "s-1", "pepper_id": "pepper-1"}
    assert not [row for row in rows if "5ec4e7" in row[0]]


@pytest.mark.parametrize(
    "audience", ['a"b', "a\\b", "{a,b}", "a,b", "\\N", "NULL", "a\\tb", "'", "\\"]
)
def test_copies_every_name_as_it_is(
    recording: Recording, session: Connection[Any], audience: str
) -> None:
    """What has a meaning in arrays or in COPY is only text here."""
    client = a_client(audiences=Audiences(allowed=(audience, "b"), default=(audience, "b")))
    recording.issue(client=client)
    catch_up(recording.database_url)
    (entry,) = search().fetch(session)

    assert entry.audience == [audience, "b"]


def test_carries_the_trace_of_the_request(recording: Recording, session: Connection[Any]) -> None:
    """Request id and traceparent lead from an entry to the logs."""
    recording.record(a_principal())
    catch_up(recording.database_url)
    (entry,) = search().fetch(session)

    assert (entry.request_id, entry.traceparent) == ("req_1", AT_NOON.traceparent)


@pytest.mark.parametrize(
    ("filters", "positions"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"client_id": "reporter"}, [1, 4, 6, 8]),
        ({"client_id": "reporter", "after": 1, "limit": 2}, [4, 6]),
        ({"subject": "owner-1"}, [3, 5, 7]),
        ({"topic": "token.issued"}, [4, 5, 6, 7]),
        ({"topic": "token.revoked"}, [8]),
        ({"client_id": "reporter", "topic": "token.issued"}, [4, 6]),
        ({"topic": "client.registered", "newest_first": True}, [2, 1]),
        ({"after": 2, "before": 5}, [3, 4]),
        ({"newest_first": True, "limit": 2}, [8, 7]),
        ({"newest_first": True, "before": 7, "limit": 2}, [6, 5]),
        ({"client_id": "nobody"}, []),
        ({"actor": "operator-1", "after": 3}, [8]),
        ({"actor": "operator-1", "client_id": "billing"}, [2]),
        ({"outcome": "success", "after": 6}, [7, 8]),
        ({"outcome": "failure"}, []),
        ({"grant_type": "client_credentials"}, [4, 5, 6, 7]),
        ({"address": "address-hash", "before": 6}, [4, 5]),
        ({"session_id": "sess_00000000000000000000000000000001", "after": 6}, [7, 8]),
        ({"family_id": "none"}, []),
        ({"until": datetime(2020, 1, 1, tzinfo=UTC)}, []),
        ({"since": datetime(2020, 1, 1, tzinfo=UTC), "before": 3}, [1, 2]),
    ],
)
def test_finds_by_every_filter(trail: Trail, filters: dict[str, Any], positions: list[int]) -> None:
    """Filters compose with each other and with the position cursor."""
    found = [entry.position for entry in trail.ask(**filters)]

    assert found == positions


def test_tells_the_history_of_one_token(trail: Trail) -> None:
    """A token's entries are its own, oldest first."""
    revoked, other = trail.tokens[0], trail.tokens[1]
    history = of_token(revoked.id).fetch(trail.session)

    assert [(entry.topic, entry.reason) for entry in history] == [
        ("token.issued", None),
        ("token.revoked", "leaked"),
    ]
    assert [entry.topic for entry in of_token(other.id).fetch(trail.session)] == ["token.issued"]


async def test_answers_async_code_alike(trail: Trail, database_url: str) -> None:
    """Both ways to ask give the same entries, in UTC whatever the session's time zone."""
    async with await AsyncConnection.connect(database_url) as connection:
        await connection.execute("SET timezone = 'Asia/Kathmandu'")
        found = await search().fetch_async(connection)

    assert found == trail.ask()
    assert {entry.occurred_at.tzinfo for entry in found} == {UTC}


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"client_id": "reporter"}, "client"),
        ({"subject": "owner-1"}, "subject"),
        ({"jti": stream_id()}, "jti"),
        ({"topic": "client.disabled"}, "topic"),
        ({"family_id": "family-1"}, "family"),
        ({"session_id": "session-1"}, "session"),
    ],
)
def test_has_an_index_for_every_search(trail: Trail, filters: dict[str, Any], index: str) -> None:
    """A search with its cursor can be answered from an index, in order, without sorting."""
    trail.session.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    query = search(EventFilter(**filters))
    plan = trail.session.execute(b"EXPLAIN " + _bytes(query.statement), query.parameters)
    lines = "\n".join(line for (line,) in plan.fetchall())

    assert f"audit_trail_b1_{index}_idx" in lines
    assert "Sort" not in lines


def test_knows_every_topic_there_is() -> None:
    """No event of the domain is without a place in the audit trail."""
    assert {event.TOPIC for event in _event_classes()} == OUTCOMES.keys()


def test_loses_no_fact_between_two_names_of_one_column() -> None:
    """No event carries both of the facts that share the column `reason`."""
    both = [event for event in _event_classes() if {"reason", "why"} <= _facts(event)]

    assert both == []


def test_copies_the_columns_that_entries_have() -> None:
    """An entry has exactly the columns of the table, in their order."""
    columns = [line.split()[0] for line in audit_trail.COLUMNS.splitlines()[1:-1]]

    assert columns == [field.name for field in fields(AuditEntry)]


def _event_classes() -> Iterator[Any]:
    for aggregate in AGGREGATES:
        for _, member in inspect.getmembers(aggregate, inspect.isclass):
            if "TOPIC" in vars(member) and member.__qualname__.count(".") == 1:
                yield member


def _facts(event: Any) -> set[str]:
    return {name for base in event.__mro__ for name in getattr(base, "__annotations__", {})}


def _bytes(statement: Any) -> bytes:
    return bytes(statement.as_bytes())
