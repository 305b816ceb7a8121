"""OpenTelemetry traces: what a collector gets to see of requests, and what it never does."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.benchmarks.delegations import exchanging
from tests.cli.running_service import STOP_SECONDS, running_service
from tests.http.collector import Collector, Sent, running_collector
from tests.http.live import INTROSPECT, REVOKE, TOKEN, Live
from tests.http.person import PASSWORD, a_person, a_web_client
from tests.postgres import Postgres
from tests.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
STEPS = {"authenticate", "decide", "commit"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector for all tests of this file."""
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[Live]:
    """A service whose traces go to the collector."""
    with (
        postgres.database() as url,
        running_service(
            tmp_path_factory.mktemp("traced"),
            "--workers",
            "1",
            DATABASE_URL=url,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
        ) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)


def of_request(collector: Collector, response: httpx.Response) -> Sent:
    """Return the span of the request that was answered with `response`."""

    def found() -> list[Sent]:
        wanted = response.headers["x-request-id"]
        return [
            span
            for span in collector.spans
            if span.attributes.get("grantledger.request_id") == wanted
        ]

    eventually(lambda: bool(found()))
    (span,) = found()
    return span


def test_a_token_and_its_steps(traced: Live, collector: Collector) -> None:
    """The span of a token goes on with the caller's trace, and has a span for each step."""
    response = traced.http.post(
        TOKEN,
        auth=traced.demo,
        data={"grant_type": "client_credentials"},
        headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
    )
    span = of_request(collector, response)
    inner = [one for one in collector.spans if one.trace == TRACE and one is not span]
    by_id = {one.id: one for one in inner}
    commit = next(one for one in inner if one.name == "commit")

    assert (span.name, span.trace, span.parent) == (f"POST {TOKEN}", TRACE, CALLER)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": TOKEN,
        "http.response.status_code": 200,
        "grantledger.request_id": response.headers["x-request-id"],
        "grantledger.client_id": "demo",
        "grantledger.grant_type": "client_credentials",
        "grantledger.outcome": "ok",
    }
    assert {one.name for one in inner} - {span.name} == STEPS
    assert by_id[commit.parent].name == "decide"
    assert by_id[by_id[commit.parent].id].parent == span.id
    assert collector.services == {"grantledger"}


def test_a_refusal_says_which(traced: Live, collector: Collector) -> None:
    """The outcome is the OAuth error; it is the client's failure, not ours."""
    refused = traced.http.post(
        TOKEN, auth=("demo", "wrong-secret"), data={"grant_type": "client_credentials"}
    )
    span = of_request(collector, refused)

    assert span.attributes["grantledger.outcome"] == "invalid_client"
    assert span.attributes["grantledger.client_id"] == "demo"
    assert span.attributes["http.response.status_code"] == 401
    assert not span.failed


def test_a_route_and_never_a_path(traced: Live, collector: Collector) -> None:
    """Spans are named by the route's template; a path that is no route has no name at all."""
    known = traced.http.get("/admin/clients/demo", headers=traced.bearer())
    traced.http.get("/nowhere/secret-in-a-path", params={"access_token": "secret-in-a-query"})

    eventually(lambda: bool(collector.named("GET /admin/clients/{client_id}")))
    eventually(lambda: bool(collector.named("GET")))
    assert known.status_code == 200
    assert {one.attributes["http.response.status_code"] for one in collector.named("GET")} == {404}


def test_no_secret_reaches_the_collector(traced: Live, collector: Collector) -> None:
    """All grants, pages, refusals and nonsense: of what was sent and answered nothing is there."""
    secrets = {traced.demo[1], traced.administration[1], PASSWORD}
    person, client = a_person(traced, "tracy"), a_web_client(traced, "traced-web")
    agent = traced.register(
        "traced-agent",
        grant_types=["urn:ietf:params:oauth:grant-type:token-exchange"],
        scopes=["service", "mcp"],
        audiences={"serves": [traced.service.url]},
    )
    tokens = client.tokens_from(person)
    fresh = client.refresh(tokens["refresh_token"]).json()
    token = traced.token()
    exchanged = traced.http.post(TOKEN, auth=agent, data=exchanging(token))
    traced.introspect(fresh["access_token"])
    traced.http.post(REVOKE, auth=traced.demo, data={"token": token})
    traced.http.post(INTROSPECT, auth=traced.demo, data={"token": "typed-into-the-token"})
    traced.http.post(
        TOKEN,
        auth=("typed-into-the-client", "typed-into-the-secret"),
        data={"grant_type": "typed-into-the-grant", "scope": "typed-into-the-scope"},
        headers={"dpop": "typed-into-the-proof", "user-agent": "typed-into-the-agent"},
    )
    assert exchanged.status_code == 200, exchanged.text
    last = traced.ask_token()
    of_request(collector, last)
    secrets |= {client.secret, client.verifier, agent[1], token, last.json()["access_token"]}
    secrets |= {str(tokens[name]) for name in ("access_token", "refresh_token", "id_token")}
    secrets |= {fresh["access_token"], fresh["refresh_token"], *person.cookies.values()}
    secrets |= {exchanged.json()["access_token"], "typed-into", "secret-in", "tracy"}
    sent = b"".join(collector.bodies)

    assert len(secrets) > 12
    assert all(secret for secret in secrets)
    assert [secret for secret in secrets if secret.encode() in sent] == []
    # A token's parts give it away as well.
    assert token.split(".")[1].encode() not in sent


def test_the_last_spans_are_sent_before_the_end(
    postgres: Postgres, tmp_path: Path, collector: Collector
) -> None:
    """SIGTERM sends what is queued."""
    with (
        postgres.database() as url,
        running_service(
            tmp_path / "stopped",
            DATABASE_URL=url,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
            OTEL_BSP_SCHEDULE_DELAY="60000",
            OTEL_SERVICE_NAME="stopped",
        ) as service,
        httpx.Client(base_url=service.url) as http,
    ):
        response = Live(service, http, url).ask_token()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(STOP_SECONDS) == 0
        span = of_request(collector, response)

    assert span.attributes["grantledger.outcome"] == "ok"
    assert "stopped" in collector.services
