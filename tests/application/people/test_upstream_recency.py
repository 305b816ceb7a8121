"""A login that has to be recent: the provider is asked for it, and its word is held against it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from application.people.upstream import UpstreamRefused
from application.people.upstream_recency import Recency
from tests.application.people.upstream_provider import SUBJECT
from tests.application.people.upstream_scene import NOW, scene
from tests.postgres import Postgres

ANY = {"max_age": ["315360000"]}
SECOND = int(NOW.timestamp())


@pytest.fixture(scope="module")
def database_url(postgres: Postgres) -> Iterator[str]:
    """One database for all: each login has a state of its own."""
    with postgres.database() as url:
        yield url


@pytest.mark.parametrize(
    ("recency", "asked"),
    [
        (Recency(), ANY),
        (Recency(0), {"max_age": ["0"]}),
        (Recency(300), {"max_age": ["300"]}),
        (Recency(300, ("login", "consent")), {"max_age": ["0"], "prompt": ["login"]}),
        (
            Recency(None, ("login", "select_account")),
            {"max_age": ["0"], "prompt": ["login select_account"]},
        ),
        (Recency(None, ("consent",)), ANY),
    ],
    ids=["nothing", "max_age=0", "max_age", "both", "prompt", "consent"],
)
async def test_the_provider_is_asked(
    database_url: str, recency: Recency, asked: dict[str, Any]
) -> None:
    """What the request wants of the login is passed on; consent is asked for here. By `max_age` the
    provider has to say when the login was, always.
    """
    async with scene(database_url) as at:
        at.recency = recency
        query = parse_qs(urlsplit(await at.begin()).query)

    assert {name: query[name] for name in ("max_age", "prompt") if name in query} == asked


@pytest.mark.parametrize(
    ("recency", "auth_time"),
    [
        (Recency(), None),
        (Recency(), SECOND - 86_400),
        (Recency(0), SECOND - 60),
        (Recency(300), SECOND - 360),
        (Recency(None, ("login",)), SECOND - 60),
        (Recency(None, ("select_account",)), SECOND - 86_400),
    ],
)
async def test_recent_enough(database_url: str, recency: Recency, auth_time: int | None) -> None:
    """A minute is for the clocks; who asks for no age is not told when, and takes any login."""
    async with scene(database_url) as at:
        at.recency = recency
        at.provider.claims = lambda issued: {**issued, "auth_time": auth_time}

        assert (await at.login()).subject == SUBJECT


@pytest.mark.parametrize(
    ("recency", "auth_time", "reason"),
    [
        (Recency(0), SECOND - 61, "too old"),
        (Recency(300), SECOND - 361, "too old"),
        (Recency(300), None, "auth_time missing"),
        (Recency(None, ("login",)), None, "auth_time missing"),
        (Recency(None, ("login",)), SECOND - 61, "too old"),
        (Recency(86_400, ("login",)), SECOND - 61, "too old"),
        (Recency(300), 10**400, "impossible auth_time"),
    ],
)
async def test_not_recent_enough(
    database_url: str, recency: Recency, auth_time: int | None, reason: str
) -> None:
    """A session at the provider does not stand in for the login that was asked for."""
    async with scene(database_url) as at:
        at.recency = recency
        at.provider.claims = lambda issued: {**issued, "auth_time": auth_time}
        with pytest.raises(UpstreamRefused, match=reason):
            await at.login()
