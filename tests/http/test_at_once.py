"""Many at once on one code or one refresh token, over several workers: one outcome.

`python -m tests.benchmarks.families` does the same for hours; here it is done for a moment.
"""

import asyncio
from typing import Any

import pytest

from tests.benchmarks.connection import Answer, Connection
from tests.http.live import TOKEN, Live
from tests.http.person import CALLBACK, Person, WebClient, a_person, a_web_client

AT_ONCE = 32


@pytest.fixture(scope="module")
def crowd(live: Live) -> Person:
    """A person whose client is many."""
    return a_person(live, "crowd")


def a_public_client(live: Live, name: str, **refresh: Any) -> WebClient:
    """Register a public client with its own refresh policy."""
    return a_web_client(live, name, client_type="public", refresh=refresh)


def all_at_once(live: Live, form: dict[str, str]) -> list[Answer]:
    """Send the same form over many connections at the same moment."""

    async def send() -> list[Answer]:
        connections = [Connection(live.service.url) for _ in range(AT_ONCE)]
        answers = await asyncio.gather(*(one.post(TOKEN, form) for one in connections))
        for one in connections:
            one.close()
        return list(answers)

    return asyncio.run(send())


def test_a_code_is_redeemed_once(live: Live, crowd: Person) -> None:
    """Of many redemptions of one code exactly one succeeds, and the others revoke what it got."""
    client = a_public_client(live, "many-codes")
    form = {
        "grant_type": "authorization_code",
        "client_id": client.client_id,
        "code": client.code_from(crowd),
        "code_verifier": client.verifier,
        "redirect_uri": CALLBACK,
    }
    answers = all_at_once(live, form)
    won = [answer for status, answer in answers if status == 200]

    assert len(won) == 1
    assert {answer["error"] for status, answer in answers if status != 200} == {"invalid_grant"}
    assert live.introspect(won[0]["access_token"])["active"] is False


def test_a_refresh_token_has_one_successor(live: Live, crowd: Person) -> None:
    """Inside the grace window everybody gets the identical successor, and it works."""
    client = a_public_client(live, "many-refreshes")
    token = client.tokens_from(crowd)["refresh_token"]
    form = {
        "grant_type": "refresh_token",
        "client_id": client.client_id,
        "refresh_token": token,
    }
    answers = all_at_once(live, form)
    successors = {answer.get("refresh_token") for _, answer in answers}

    assert [status for status, _ in answers] == [200] * AT_ONCE
    assert len(successors) == 1
    assert client.refresh(successors.pop() or "").status_code == 200


def test_without_a_window_one_succeeds(live: Live, crowd: Person) -> None:
    """With the window at 0 one use succeeds at most, the rest are refused."""
    client = a_public_client(live, "strict-refreshes", grace=0)
    form = {
        "grant_type": "refresh_token",
        "client_id": client.client_id,
        "refresh_token": client.tokens_from(crowd)["refresh_token"],
    }
    statuses = sorted(status for status, _ in all_at_once(live, form))

    assert statuses == [200] + [400] * (AT_ONCE - 1)
