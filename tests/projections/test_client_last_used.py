"""Last use and count of clients, credentials and scopes are exact."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection, Connection

from projections.client_last_used import CLIENT_LAST_USED, Kind, LastUsed, of_client, of_clients
from projections.runner import Projector
from tests.builders import NOON, a_client, a_principal
from tests.projections.projecting import catch_up, eventually_caught_up, projecting
from tests.projections.recording import Recording, token_now


def test_counts_client_credential_and_scopes(
    recording: Recording, session: Connection[Any]
) -> None:
    """Each token counts once for the client, once for its credential, once for each scope."""
    client = a_client()
    first = token_now(client, at=NOON)
    second = token_now(client, at=NOON + timedelta(hours=1), credential_id="secret-2")
    recording.record(client, first, second)
    catch_up(recording.database_url)
    used = of_client("reporter").fetch(session)

    assert used == [
        LastUsed("reporter", Kind.CLIENT, "", NOON + timedelta(hours=1), 2),
        LastUsed("reporter", Kind.CREDENTIAL, "secret-1", NOON, 1),
        LastUsed("reporter", Kind.CREDENTIAL, "secret-2", NOON + timedelta(hours=1), 1),
        LastUsed("reporter", Kind.SCOPE, "mcp", NOON + timedelta(hours=1), 2),
        LastUsed("reporter", Kind.SCOPE, "service", NOON + timedelta(hours=1), 2),
    ]


@pytest.mark.parametrize("batch_events", [1, 100])
def test_takes_the_latest_moment_not_the_latest_position(
    recording: Recording, session: Connection[Any], batch_events: int
) -> None:
    """Within a batch and across batches: a clock behind, and fractions of seconds, mislead not."""
    latest = NOON + timedelta(seconds=9, microseconds=500_000)
    moments = [NOON + timedelta(seconds=9), latest, NOON]
    recording.record(*[token_now(at=moment) for moment in moments])
    with projecting(Projector(recording.database_url, batch_events=batch_events)):
        eventually_caught_up(recording.database_url)
    used = of_client("reporter").fetch(session)

    assert used[0] == LastUsed("reporter", Kind.CLIENT, "", latest, 3)


def test_counts_exactly_across_batches(recording: Recording, session: Connection[Any]) -> None:
    """Many clients, credentials and units in batches that cut across units: the sums are exact."""
    seeded = random.Random(20260303)
    clients = [a_client(client_id=f"client-{number}") for number in range(5)]
    expected: Counter[tuple[str, Kind, str]] = Counter()
    for _ in range(20):
        unit = [
            (seeded.choice(clients), f"secret-{seeded.randrange(3)}")
            for _ in range(seeded.randrange(1, 60))
        ]
        recording.record(*[token_now(client, credential_id=name) for client, name in unit])
        for client, name in unit:
            expected[client.client_id, Kind.CLIENT, ""] += 1
            expected[client.client_id, Kind.CREDENTIAL, name] += 1
            expected[client.client_id, Kind.SCOPE, "mcp"] += 1
            expected[client.client_id, Kind.SCOPE, "service"] += 1
    with projecting(Projector(recording.database_url, batch_events=37)):
        eventually_caught_up(recording.database_url)
    found = {
        (used.client_id, used.kind, used.name): used.uses
        for client in clients
        for used in of_client(client.client_id).fetch(session)
    }

    assert found == expected


def test_moves_on_past_what_it_does_not_count(recording: Recording) -> None:
    """Other topics leave no row but are passed, or the lag would never end."""
    recording.record(a_principal(), a_client())

    catch_up(recording.database_url, [CLIENT_LAST_USED])


async def test_lists_clients_by_page(recording: Recording, database_url: str) -> None:
    """Pages of clients follow each other by client_id."""
    for name in ("b", "a", "c"):
        recording.issue(client=a_client(client_id=name))
    catch_up(database_url)
    async with await AsyncConnection.connect(database_url) as connection:
        await connection.execute("SET timezone = 'Asia/Kathmandu'")
        first = await of_clients(limit=2).fetch_async(connection)
        rest = await of_clients(after=first[-1].client_id, limit=2).fetch_async(connection)

    assert [used.client_id for used in (*first, *rest)] == ["a", "b", "c"]
    assert abs(first[0].last_used_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert first[0].last_used_at.tzinfo is UTC
