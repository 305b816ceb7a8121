"""Login through an upstream OpenID provider, against one that runs over real HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from application.one_time_values import OneTimeValues
from application.people.credentials import normal_login
from application.people.upstream import (
    CALLBACK_PATH,
    LIFETIME,
    UpstreamLogin,
    UpstreamRefused,
    upstream_login_name,
    upstream_of,
)
from application.settings import load_settings
from application.side_tables import SideTables
from tests.application.people.upstream_provider import (
    CLIENT_SECRET,
    REDIRECT_URI,
    SUBJECT,
    running_provider,
)
from tests.application.people.upstream_scene import BROWSER, NOW, REQUEST, agreed, scene
from tests.postgres import Postgres


@pytest.fixture(scope="module")
def database_url(postgres: Postgres) -> Iterator[str]:
    """One database for all: each login has a state of its own."""
    with postgres.database() as url:
        yield url


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256", "EdDSA"])
async def test_logs_in(database_url: str, alg: str) -> None:
    """Who logged in at the provider comes back with our request, whatever of the list it signs
    with.
    """
    async with scene(database_url, alg=alg) as at:
        login = await at.login()

        assert login == UpstreamLogin(
            at.provider.issuer, SUBJECT, NOW - timedelta(seconds=30), REQUEST
        )


async def test_the_request_is_a_strict_one(database_url: str) -> None:
    """The browser is sent with PKCE S256, state and nonce, each fresh, and without our secret."""
    async with scene(database_url, scopes=("openid", "email")) as at:
        urls = [await at.begin() for _ in range(2)]

    queries = [parse_qs(urlsplit(url).query) for url in urls]
    for name in ("state", "nonce", "code_challenge"):
        values = [query[name][0] for query in queries]
        assert values[0] != values[1]
        assert min(map(len, values)) >= 43
    assert queries[0]["scope"] == ["openid email"]
    assert queries[0]["code_challenge_method"] == ["S256"]
    assert CLIENT_SECRET not in "".join(urls)


async def test_keeps_neither_state_nor_browser(database_url: str) -> None:
    """A reader of the table can finish nobody's login: state and browser are hashes there."""
    async with scene(database_url) as at:
        parameters = await at.begun()
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(
                "SELECT key, content FROM grantledger.one_time_values WHERE kind = 'upstream'"
            ).fetchall()
        kept = b"".join(bytes(key) + bytes(content) for key, content in rows)

        assert REQUEST.encode() in kept
        for secret in (parameters["state"], BROWSER):
            assert secret.encode() not in kept


async def test_secret_in_the_form(database_url: str) -> None:
    """A provider that takes the secret in the form alone gets it there."""
    async with scene(database_url) as at:
        at.provider.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]

        assert (await at.login()).subject == SUBJECT


async def test_no_auth_time_is_none(database_url: str) -> None:
    """A provider that does not say when the person logged in leaves that open."""
    async with scene(database_url) as at:
        at.provider.claims = lambda issued: {**issued, "auth_time": None}

        assert (await at.login()).auth_time is None


async def test_iss_may_be_missing_where_it_is_not_announced(database_url: str) -> None:
    """A provider that does not know RFC 9207 can be used all the same."""
    async with scene(database_url) as at:
        del at.provider.metadata["authorization_response_iss_parameter_supported"]
        at.parameters = lambda given: {n: v for n, v in given.items() if n != "iss"}

        assert (await at.login()).subject == SUBJECT


async def test_a_state_is_good_once(database_url: str) -> None:
    """The same answer a second time is refused before the provider is asked."""
    async with scene(database_url) as at:
        parameters = await at.begun()
        await at.finish(parameters)
        with pytest.raises(UpstreamRefused, match="state unknown"):
            await at.finish(parameters)

        assert at.provider.requests["/token"] == 1


async def test_another_browser_uses_the_state_up(database_url: str) -> None:
    """A state seen by another browser is void for its owner too: somebody has it who should not."""
    async with scene(database_url) as at:
        parameters = await at.begun()
        at.browser = "browser-2"
        with pytest.raises(UpstreamRefused, match="another browser"):
            await at.finish(parameters)
        at.browser = BROWSER
        with pytest.raises(UpstreamRefused, match="state unknown"):
            await at.finish(parameters)


@pytest.mark.parametrize(("seconds", "good"), [(-1, True), (0, False)])
async def test_a_state_lasts_ten_minutes(database_url: str, seconds: int, good: bool) -> None:
    """The person has ten minutes at the provider, and no second more."""
    async with scene(database_url) as at:
        parameters = await at.begun()
        at.now = NOW + LIFETIME + timedelta(seconds=seconds)
        at.provider.claims = lambda issued: {**issued, "exp": issued["exp"] + 600}
        if good:
            assert (await at.finish(parameters)).subject == SUBJECT
        else:
            with pytest.raises(UpstreamRefused, match="state unknown"):
                await at.finish(parameters)


def test_names_of_identities_stay_apart() -> None:
    """Identities that differ in case, in form or far behind are different logins here as well."""
    issuer = "https://id.example"
    subjects = ("alice", "ALICE", "alice ", "x" * 250 + "1", "x" * 250 + "2")
    names = {normal_login(upstream_login_name(issuer, subject)) for subject in subjects}

    assert len(names) == len(subjects)
    assert upstream_login_name(issuer, "alice") == upstream_login_name(issuer, "alice")
    assert upstream_login_name(f"{issuer}/a", "alice") not in names


async def test_comes_from_the_settings(database_url: str) -> None:
    """Settings make a provider where they name one, and none otherwise."""
    values = OneTimeValues(SideTables(database_url))
    settings = load_settings(
        issuer="https://auth.example",
        upstream_issuer="https://id.example:8443/tenant/",
        upstream_client_id="us",
        upstream_client_secret="hidden",
        upstream_name="Example",
    )

    upstream = upstream_of(settings, values)

    assert upstream is not None
    assert (upstream.name, upstream.source) == ("Example", "https://id.example:8443")
    assert upstream_of(load_settings(), values) is None
    assert urlsplit(REDIRECT_URI).path == CALLBACK_PATH


async def test_the_secret_stays_out_of_reprs() -> None:
    """What we agreed on prints without the secret."""
    with running_provider(NOW) as provider:
        assert CLIENT_SECRET not in repr(agreed(provider))
