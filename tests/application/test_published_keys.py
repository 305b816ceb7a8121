"""The keys of trusted issuers: where they are looked for, and where never; how long they last."""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from application.foreign_jwt import usable_keys
from application.kept import FRESH, MAX_FRESH, MIN_FRESH, RETRY
from application.outbound import Outbound, OutboundError, OutboundFailed, OutboundRefused
from application.published_keys import MAX_KEYS, PAUSE, STALE, PublishedKeys
from tests.application.people.upstream_provider import SigningKey, running_provider
from tests.application.raw_http import answer, raw_http
from tests.builders import NOON


def a_key_set(count: int) -> bytes:
    """Return a set of so many keys as it is published."""
    return json.dumps({"keys": [{"kty": "EC", "kid": f"key-{n}"} for n in range(count)]}).encode()


KEYS = json.dumps({"keys": [{"kty": "EC", "kid": "key-1"}]}).encode()
SECOND = timedelta(seconds=1)


def leading_to(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Return a resolver by which every name leads to `addresses`."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


PRIVATE = (
    "10.0.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104  # nothing is bound
    "::1",
    "fd00::1",
    "fe80::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
)


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize(
    "jwks_uri", [None, "https://keys.example/jwks"], ids=["discovered", "given"]
)
async def test_names_that_lead_inside_are_not_followed(jwks_uri: str | None, address: str) -> None:
    """Whatever DNS says, alone or beside a public address."""
    for found in ((address,), ("203.0.113.7", address), ("8.8.8.8", address)):
        outbound = Outbound(resolve=leading_to(*found))
        keys = PublishedKeys(outbound, jwks_uri=jwks_uri, issuer="https://id.example")
        with pytest.raises(OutboundRefused, match="private address"):
            await keys.all(NOON)


async def test_discovery_goes_the_other_way_too() -> None:
    """Where OpenID's document is not to be had, RFC 8414's is asked for, named before the path."""
    with running_provider(NOON) as provider:
        provider.away = {"/.well-known/openid-configuration"}
        asked = PublishedKeys(Outbound(), jwks_uri=None, issuer=provider.issuer)
        tenant = PublishedKeys(Outbound(), jwks_uri=None, issuer=f"{provider.issuer}/tenant")
        with pytest.raises(OutboundError):
            await asked.all(NOON)
        with pytest.raises(OutboundError):
            await tenant.all(NOON)

        assert dict(provider.requests) == {
            "/.well-known/openid-configuration": 1,
            "/.well-known/oauth-authorization-server": 1,
            "/tenant/.well-known/openid-configuration": 1,
            "/.well-known/oauth-authorization-server/tenant": 1,
        }


@pytest.mark.parametrize(
    ("cache_control", "fresh"),
    [
        (None, FRESH),
        ("public, max-age=600", timedelta(seconds=600)),
        ("max-age=0", MIN_FRESH),
        ("no-store", MIN_FRESH),
        ("max-age=999999999", MAX_FRESH),
        ("max-age=99999999999999999999", FRESH),
        ("max-age=soon", FRESH),
        ("max-age=60, max-age=6000", FRESH),
    ],
)
async def test_headers_say_how_long_within_bounds(
    cache_control: str | None, fresh: timedelta
) -> None:
    """Asked again when it is not fresh any more, and not before."""
    headers = {} if cache_control is None else {"Cache-Control": cache_control}
    async with raw_http(answer(KEYS, **headers)) as server:
        keys = PublishedKeys(Outbound(), jwks_uri=server.url)
        for moment in (NOON, NOON + fresh - SECOND, NOON + fresh):
            await keys.all(moment)

    assert len(server.requests) == 2


async def test_what_is_not_fresh_serves_for_an_hour_more() -> None:
    """Where nothing newer is to be had; tried once a minute."""
    with running_provider(NOON) as provider:
        keys = PublishedKeys(Outbound(), jwks_uri=f"{provider.issuer}/jwks")
        await keys.all(NOON)
        provider.away = {"/jwks"}
        for moment in (FRESH, FRESH + RETRY - SECOND, FRESH + RETRY, FRESH + STALE - SECOND):
            assert await keys.keys("key-1", NOON + moment)
        with pytest.raises(OutboundFailed):
            await keys.all(NOON + FRESH + STALE)

    assert provider.requests["/jwks"] == 5


async def test_a_failure_is_not_repeated_at_once() -> None:
    """Who asks again is told the same, until a pause is over."""
    with running_provider(NOON) as provider:
        keys = PublishedKeys(Outbound(), jwks_uri=f"{provider.issuer}/jwks")
        provider.away = {"/jwks"}
        for moment in (NOON, NOON + SECOND, NOON + PAUSE - SECOND):
            with pytest.raises(OutboundFailed, match="status 503"):
                await keys.all(moment)
        provider.away = set()

        assert provider.requests["/jwks"] == 1
        assert await keys.all(NOON + PAUSE)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer(b"", status="302 Found", Location="http://127.0.0.1:1/"), "redirect"),
        (answer(b"[]"), "no JSON object"),
        (answer(b"{}"), "no key set"),
        (answer(b'{"keys": 1}'), "no key set"),
        (answer(b'{"keys": [1]}'), "no key set"),
        (answer(a_key_set(MAX_KEYS + 1)), "no key set of at most 100 keys"),
        (answer(b" " * (256 * 1024 + 1)), "too long"),
        (answer(b"{}", status="500 Oops"), "status 500"),
    ],
)
async def test_answers_that_are_no_key_set(response: bytes, reason: str) -> None:
    """Each is an error, and nothing of it is kept."""
    async with raw_http(response) as server:
        with pytest.raises(OutboundError, match=reason):
            await PublishedKeys(Outbound(), jwks_uri=server.url).all(NOON)


async def test_a_set_may_be_large() -> None:
    """Up to the bound each of its keys counts."""
    async with raw_http(answer(a_key_set(MAX_KEYS))) as server:
        found = await PublishedKeys(Outbound(), jwks_uri=server.url).all(NOON)

    assert len(found) == MAX_KEYS


def test_keys_that_nobody_should_publish_do_not_count() -> None:
    """A private key, a shared one, one for encryption, one too short, one that is none."""
    good = SigningKey.make("ES256").published
    bad = [
        {**good, "d": good["x"]},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "ES256"},
        {**good, "use": "enc"},
        {**good, "x": "AAAA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {},
        {"kty": ["EC"]},
    ]

    assert usable_keys(bad, ("ES256", "RS256", "PS256", "EdDSA")) == []
    assert usable_keys([good], ("ES256", "EdDSA")) == [("key-1", "ES256")]
