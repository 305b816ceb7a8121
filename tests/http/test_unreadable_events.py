"""Events that nobody can read, in a service that runs: one stream is refused, all sees it."""

import json
from collections.abc import Iterator
from uuid import UUID

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from domain.client import Client
from domain.signing_key import SigningKey
from tests.builders import stream_id
from tests.cli.running_service import running_service
from tests.http.live import Live
from tests.postgres import Postgres
from tests.waiting import eventually


@pytest.fixture
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with two workers on a log of its own."""
    data_dir = tmp_path_factory.mktemp("unreadable")
    with (
        postgres.database() as url,
        running_service(data_dir, "--workers", "2", DATABASE_URL=url) as running,
        httpx.Client(base_url=running.url, timeout=20) as http,
    ):
        yield Live(running, http, url)


def _append(live: Live, stream: UUID, topic: str, state: bytes) -> int:
    """Write an event as whoever holds the database could; return its position."""
    with psycopg.connect(live.database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT grantledger.append_events(ARRAY[%(stream)s]::uuid[], ARRAY[(SELECT 1 +"
            " coalesce(max(originator_version), 0) FROM grantledger.ledger_events"
            " WHERE originator_id = %(stream)s)]::bigint[], ARRAY[%(topic)s], ARRAY[%(state)s])",
            {"stream": stream, "topic": topic, "state": state},
        ).fetchone()
    assert row is not None
    return int(row[0])


def _metric(live: Live, name: str) -> dict[str, float]:
    for family in text_string_to_metric_families(live.http.get("/metrics").text):
        if family.name == name:
            return {next(iter(one.labels.values())): one.value for one in family.samples}
    return {}


def test_one_unreadable_client_is_refused_and_all_others_served(service: Live) -> None:
    """Its tokens count no more and it gets none; whoever else asks is served, every event is in the
    audit trail, and readiness, metrics and the trail tell of it.
    """
    broken = service.register("broken", scopes=["mcp"])
    whole = service.register("whole", scopes=["mcp"])
    eventually(lambda: service.ask_token(broken).status_code == 200)
    token = service.token(broken)
    assert service.introspect(token, whole)["active"] is False  # it may not see it
    assert service.introspect(token, broken)["active"] is True
    position = _append(service, Client.stream("broken"), "client.disabled", b"not json")
    eventually(
        lambda: all(service.ask_token(broken).status_code == 401 for _ in range(8)), seconds=5
    )
    other = service.token(whole)

    assert service.ask_token(broken).json()["error"] == "invalid_client"
    assert service.introspect(other, whole)["active"] is True
    state = service.http.get("/audit/clients/broken", headers=service.bearer())
    assert state.status_code == 503
    entries = service.audit(topic="event.set_aside")
    assert [(one["position"], one["detail"]["topic"]) for one in entries] == [
        (position, "client.disabled")
    ]
    eventually(lambda: _alarms(service) == {"set_aside_events", "unreadable_streams"})
    ready = service.http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["projections"]["audit_trail"]["set_aside"] == 1
    assert "client.disabled" not in json.dumps(ready.json()["alarms"])  # strangers may ask
    standing = _metric(service, "grantledger_alarms")
    assert {name: count for name, count in standing.items() if count} == {
        "set_aside_events": 1.0,
        "unreadable_streams": 1.0,
    }
    lacking = _metric(service, "grantledger_projection_set_aside_events")
    assert lacking["audit_trail"] == 1.0
    for form in ("json", "ndjson"):
        asked = {"format": form, "limit": 1000}
        answer = service.http.get("/audit/events", headers=service.bearer(), params=asked)
        assert answer.status_code == 200
        assert "event.set_aside" in answer.text


def test_a_token_whose_revocation_cannot_be_read_is_no_live_token(service: Live) -> None:
    """503 for that token alone, by introspection and at our own endpoints; others are active."""
    lost, other = service.token(), service.token()
    name = UUID(service.introspect(lost)["jti"])
    _append(service, name, "token.revoked", b"{}")
    answer = service.http.post("/oauth/introspect", auth=service.demo, data={"token": lost})

    assert answer.status_code == 503
    assert answer.json()["error"] == "temporarily_unavailable"
    assert service.introspect(other)["active"] is True
    revoked = service.http.post("/oauth/revoke", auth=service.demo, data={"token": other})
    assert revoked.status_code == 200
    assert service.introspect(other)["active"] is False


def test_a_service_starts_with_events_that_it_cannot_read(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The console's client, a key that signed and a strange stream cannot be read: the next start
    makes another key, and issues.
    """
    data_dir = tmp_path_factory.mktemp("started-anew")
    with postgres.database() as url:
        with (
            running_service(data_dir, DATABASE_URL=url) as running,
            httpx.Client(base_url=running.url, timeout=20) as http,
        ):
            live = Live(running, http, url)
            before = _kids(live)
            _append(live, Client.stream("grantledger-console"), "client.renamed", b"[]")
            for kid in before:
                _append(live, SigningKey.stream(kid), "key.retired", b"\xff")
            _append(live, stream_id(), "stranger.came", b"{}")
        with (
            running_service(data_dir, DATABASE_URL=url) as running,
            httpx.Client(base_url=running.url, timeout=20) as http,
        ):
            live = Live(running, http, url)

            assert live.introspect(live.token())["active"] is True
            assert _kids(live)
            assert _kids(live).isdisjoint(before)
            eventually(live.projected)
            eventually(lambda: _alarms(live) == {"set_aside_events", "unreadable_streams"})


def _alarms(live: Live) -> set[str]:
    standing = live.http.get("/readyz").json()["alarms"]
    return {alarm["name"] for alarm in standing or ()}


def _kids(live: Live) -> set[str]:
    return {one["kid"] for one in live.http.get("/oauth/jwks.json").json()["keys"]}
