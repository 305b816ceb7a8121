"""GET /audit/events and /audit/events/follow: filters, lines to the end of the log, what comes."""

import json
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.audit_events import MAX_FOLLOWERS
from tests.http.live import Live
from tests.waiting import eventually

EVENTS, FOLLOW = "/audit/events", "/audit/events/follow"


@pytest.fixture(scope="module")
def auditor(live: Live) -> dict[str, str]:
    """The Authorization header of a client that may read the audit trail."""
    live.register("events-auditor", scopes=["audit:read"])
    return live.bearer()


def _lines(live: Live, headers: dict[str, str], **query: Any) -> list[dict[str, Any]]:
    answered = live.http.get(EVENTS, headers=headers, params={"format": "ndjson", **query})
    assert answered.status_code == 200, answered.text
    assert answered.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answered.text.splitlines()]


def test_lines_go_to_the_end_of_the_log(live: Live, auditor: dict[str, str]) -> None:
    """Every entry once, in order; as pages they are the same."""
    eventually(live.projected)
    lines = _lines(live, auditor, before=500)
    query = {"before": lines[-1]["position"] + 1, "limit": 1000}
    page = live.http.get(EVENTS, headers=auditor, params=query).json()

    assert [line["position"] for line in lines] == list(range(1, len(lines) + 1))
    assert len(lines) > 8
    assert [line["position"] for line in lines] == [one["position"] for one in page["entries"]]
    assert [line["detail"] for line in lines] == [one["detail"] for one in page["entries"]]


def test_lines_are_asked_for_by_accept_too(live: Live, auditor: dict[str, str]) -> None:
    """As other services have it."""
    headers = {**auditor, "accept": "application/x-ndjson"}
    answered = live.http.get(EVENTS, headers=headers, params={"before": 3})

    assert [json.loads(line)["position"] for line in answered.text.splitlines()] == [1, 2]


def test_filters_compose(live: Live, auditor: dict[str, str]) -> None:
    """Each entry fits them all; nothing fits what is nowhere."""
    live.register("filtered-by", scopes=["mcp"])
    eventually(live.projected)
    found = _lines(live, auditor, client_id="filtered-by", topic="client.registered", since="-1h")
    none: list[dict[str, Any]] = [
        {"jti": str(uuid4())},
        {"family_id": "none"},
        {"session_id": "none"},
        {"address": "none"},
        {"grant_type": "none"},
        {"actor": "none"},
        {"client_id": "filtered-by", "outcome": "failure"},
        {"client_id": "filtered-by", "until": "2020-01-01"},
    ]

    assert [(line["client_id"], line["topic"]) for line in found] == [
        ("filtered-by", "client.registered")
    ]
    assert [_lines(live, auditor, **query) for query in none] == [[]] * len(none)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"since": "yesterday"}, "2026-03-03T12:00:00Z"),
        ({"until": "1042"}, "after and before"),
        ({"jti": "x"}, "jti"),
        ({"outcome": "perhaps"}, "outcome"),
        ({"format": "xml"}, "format"),
        ({"limit": "0"}, "limit"),
        ({"after": "-1"}, "after"),
        ({"client_id": "a\x00"}, "client_id"),
        ({"family_id": "é"}, "family_id"),
    ],
)
def test_refusals(live: Live, auditor: dict[str, str], query: dict[str, str], says: str) -> None:
    """A filter that cannot be read is invalid_request and names itself."""
    answered = live.http.get(EVENTS, headers=auditor, params=query)

    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")
    assert says in answered.json()["error_description"]


def test_following_needs_the_scope(live: Live) -> None:
    """As every route here."""
    assert live.http.get(FOLLOW).status_code == 401
    assert live.http.get(FOLLOW, headers=live.without_scope()).status_code == 403


def test_following_shows_what_comes(live: Live, auditor: dict[str, str]) -> None:
    """What is recorded after the request comes, with its position as id."""
    live.register("followed", scopes=["mcp"])
    eventually(live.projected)
    with _following(live, auditor, client_id="followed") as lines:
        assert next(lines) == "retry: 2000"
        live.http.patch(
            "/admin/clients/followed", headers=live.bearer(), json={"enabled": False}
        ).raise_for_status()
        event = _event(lines)

    assert event["data"]["topic"] == "client.disabled"
    assert event["id"] == event["data"]["position"]


def test_a_follower_goes_on_where_it_was(live: Live, auditor: dict[str, str]) -> None:
    """Last-Event-ID counts before `after`."""
    headers = {**auditor, "last-event-id": "2"}
    with _following(live, headers, after=7) as lines:
        assert next(lines) == "retry: 2000"
        assert [_event(lines)["id"] for _ in range(3)] == [3, 4, 5]


def test_followers_are_bounded(live: Live, auditor: dict[str, str]) -> None:
    """Each holds a connection: beyond the bound they are told when to come again, and who leaves
    makes room. One that follows as often as it can keeps no other out.
    """
    other = live.register("events-follower", scopes=["audit:read"])
    eventually(lambda: all(live.ask_token(other).status_code == 200 for _ in range(6)))
    others = {"Authorization": f"Bearer {live.token(other)}"}
    with ExitStack() as stack:
        statuses = []
        for _ in range(2 * MAX_FOLLOWERS + 1):  # two workers
            client = stack.enter_context(httpx.Client(base_url=live.service.url))
            request = client.build_request("GET", FOLLOW, headers=auditor)
            answered = client.send(request, stream=True)
            stack.callback(answered.close)
            statuses.append(answered.status_code)
            if answered.status_code == 429:
                break
        refused = statuses[-1]
        let_in = [_is_let_in(live, others) for _ in range(3)]
    assert refused == 429
    assert all(let_in)
    assert answered.headers["retry-after"] == "30"
    eventually(lambda: _is_let_in(live, auditor), seconds=10)


def _is_let_in(live: Live, headers: dict[str, str]) -> bool:
    with httpx.Client(base_url=live.service.url) as client:
        answered = client.send(client.build_request("GET", FOLLOW, headers=headers), stream=True)
        answered.close()
        return answered.status_code == 200


class _following:  # noqa: N801  # reads as what it does: with _following(...)
    """A follower on a connection of its own."""

    def __init__(self, live: Live, headers: dict[str, str], **query: Any) -> None:
        self._client = httpx.Client(base_url=live.service.url, timeout=10)
        request = self._client.build_request("GET", FOLLOW, headers=headers, params=query)
        self._answered = self._client.send(request, stream=True)

    def __enter__(self) -> Any:
        assert self._answered.status_code == 200
        assert self._answered.headers["content-type"].startswith("text/event-stream")
        return self._answered.iter_lines()

    def __exit__(self, *_: object) -> None:
        self._answered.close()
        self._client.close()


def _event(lines: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in ("id", "data"):
            found[name] = json.loads(value)
        if not line and found:
            return found
    raise AssertionError("the stream ended")
