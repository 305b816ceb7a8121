"""What a client sees when PostgreSQL goes away and comes back, and what a flood leaves behind."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import httpx
import psycopg
import pytest

from tests.benchmarks.load import Target, send
from tests.cli.running_service import running_service
from tests.conftest import PrivateDatabase
from tests.http.live import INTROSPECT, TOKEN, Live
from tests.waiting import eventually, eventually_async


@pytest.fixture
def lonely(private_database: PrivateDatabase, tmp_path: Path) -> Iterator[Live]:
    """A service on a PostgreSQL server that the test may stop."""
    url = private_database.url
    with (
        running_service(tmp_path / "data", DATABASE_URL=url) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)


def _issued(database_url: str) -> int:
    query = "SELECT count(*) FROM grantledger.ledger_events WHERE topic = 'token.issued'"
    with psycopg.connect(database_url) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def test_without_postgresql_nothing_is_issued_and_service_resumes_by_itself(
    lonely: Live, private_database: PrivateDatabase
) -> None:
    """503 with Retry-After while it is away, never a wrong yes, and a token within 2 s of its
    return.
    """
    token = lonely.token()
    issued = _issued(lonely.database_url)
    private_database.server.stop()
    answers = [lonely.ask_token() for _ in range(5)]
    asked = lonely.http.post(INTROSPECT, auth=lonely.demo, data={"token": token})
    ready = lonely.http.get("/readyz")
    alive = lonely.http.get("/healthz")
    private_database.server.start()
    back = monotonic()
    eventually(lambda: lonely.ask_token().status_code == 200, seconds=2)

    for answer in [*answers, asked]:
        assert answer.status_code == 503
        assert answer.json()["error"] == "temporarily_unavailable"
        assert int(answer.headers["retry-after"]) >= 1
    assert ready.status_code == 503
    assert alive.status_code == 200
    assert monotonic() - back <= 2
    assert lonely.introspect(token)["active"] is True
    assert _issued(lonely.database_url) == issued + 1


def test_a_token_that_was_handed_out_is_in_the_log_after_a_crash(
    lonely: Live, private_database: PrivateDatabase
) -> None:
    """PostgreSQL is killed under load: every answered token has its event afterwards."""

    async def under_load() -> list[str]:
        tokens = []

        async def client(http: httpx.AsyncClient) -> None:
            for _ in range(40):
                form = {"grant_type": "client_credentials"}
                response = await http.post(TOKEN, auth=lonely.demo, data=form)
                assert response.status_code in (200, 503), response.text
                if response.status_code == 200:
                    tokens.append(response.json()["access_token"])

        async with httpx.AsyncClient(base_url=lonely.service.url, timeout=30) as http:
            clients = [asyncio.create_task(client(http)) for _ in range(8)]
            await eventually_async(lambda: len(tokens) >= 40)
            await asyncio.to_thread(private_database.server.kill)
            await asyncio.to_thread(private_database.server.start)
            await asyncio.gather(*clients)
        return tokens

    tokens = asyncio.run(under_load())
    eventually(lambda: lonely.ask_token().status_code == 200, seconds=5)
    states = [lonely.introspect(token)["active"] for token in tokens]

    assert len(tokens) >= 40
    assert all(states)


def test_a_flood_of_refusals_is_counted_exactly_in_a_few_events(live: Live) -> None:
    """Thousands of refused requests become a handful of events whose counts add up."""
    before = _denied(live)
    wrong = base64.b64encode(b"demo:wrong").decode()
    target = Target(f"{live.service.url}{TOKEN}", f"Basic {wrong}", "grant_type=flood")
    flood = send(target, requests=5000, connections=32)
    eventually(lambda: _denied(live)[0] - before[0] == 5000, seconds=15)
    counted, events = (after - first for after, first in zip(_denied(live), before, strict=True))

    assert flood.requests == flood.failures == 5000
    assert counted == 5000
    assert events <= 2 * (3 * flood.seconds + 5)  # two workers, a flush a second


def _denied(live: Live) -> tuple[int, int]:
    entries = [
        entry
        for entry in live.audit(topic="grant.denied", client_id="demo")
        if entry["grant_type"] == "?" and entry["reason"] == "wrong secret"
    ]
    return sum(entry["detail"]["count"] for entry in entries), len(entries)


def test_no_secret_is_logged(live: Live) -> None:
    """After good and bad requests the log holds neither a secret nor a token nor a header."""
    client_id, secret = live.demo
    token = live.token()
    typed = "gls_typed-into-the-wrong-place"
    live.ask_token((client_id, typed))
    live.ask_token((typed, "x"))
    live.http.post(TOKEN, data={"grant_type": typed, "client_id": typed, "scope": typed})
    live.http.get("/admin/clients", headers={"authorization": f"Bearer {token}x"})
    log = live.service.log
    recorded = str(live.audit())

    for hidden in (secret, live.administration[1], token, typed):
        assert hidden not in log
        assert hidden not in recorded
    assert base64.b64encode(f"{client_id}:{secret}".encode()).decode() not in log
