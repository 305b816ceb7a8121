"""What the provider publishes is fetched seldom, and served on while the provider is away."""

from datetime import UTC, datetime, timedelta

import pytest

from application.kept import FRESH
from application.outbound import Outbound, OutboundError
from application.people.upstream_metadata import STALE, UpstreamMetadata
from tests.application.people.upstream_provider import Provider, SigningKey, running_provider

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DISCOVERY = "/.well-known/openid-configuration"
SECOND = timedelta(seconds=1)


def metadata_of(provider: Provider, *hosts: str) -> UpstreamMetadata:
    """Return our reader of what `provider` publishes."""
    return UpstreamMetadata(provider.issuer, hosts, Outbound())


async def test_is_fetched_once_an_hour() -> None:
    """Within an hour the provider is asked once, and after it again."""
    with running_provider(NOW) as provider:
        metadata = metadata_of(provider)
        for now in (NOW, NOW + FRESH - SECOND):
            await metadata.metadata(now)
            await metadata.keys("key-1", now)

        assert (provider.requests[DISCOVERY], provider.requests["/jwks"]) == (1, 1)

        await metadata.keys("key-1", NOW + FRESH)

        assert (provider.requests[DISCOVERY], provider.requests["/jwks"]) == (2, 2)


async def test_a_clock_that_was_set_back_keeps_nothing_longer() -> None:
    """What seems to come from the future is fetched again."""
    with running_provider(NOW) as provider:
        metadata = metadata_of(provider)
        await metadata.metadata(NOW)
        await metadata.metadata(NOW - timedelta(days=1))

        assert provider.requests[DISCOVERY] == 2


async def test_serves_on_while_the_provider_is_away() -> None:
    """Old endpoints and keys are good for a day where there are no new ones, and asked for once a
    minute; after that the failure shows.
    """
    with running_provider(NOW) as provider:
        metadata = metadata_of(provider)
        keys = await metadata.keys("key-1", NOW)
        provider.away = {DISCOVERY, "/jwks"}
        for now in (NOW + FRESH, NOW + FRESH + SECOND, NOW + FRESH + STALE - SECOND):
            assert await metadata.keys("key-1", now) == keys

        assert provider.requests["/jwks"] == 3

        with pytest.raises(OutboundError):
            await metadata.keys("key-1", NOW + FRESH + STALE)


async def test_a_provider_that_is_away_from_the_start_fails() -> None:
    """Nothing is made up where nothing was ever fetched, and the next one tries again."""
    with running_provider(NOW) as provider:
        metadata = metadata_of(provider)
        provider.away = {DISCOVERY}
        with pytest.raises(OutboundError):
            await metadata.metadata(NOW)
        provider.away = set()

        assert (await metadata.metadata(NOW)).issuer == provider.issuer


async def test_a_new_key_is_fetched_at_once_but_seldom() -> None:
    """An unknown key id fetches the keys, and a flood of made-up ones does so once a minute."""
    with running_provider(NOW) as provider:
        metadata = metadata_of(provider)
        await metadata.keys("key-1", NOW)
        fresh = SigningKey.make("ES256", "key-2")
        provider.keys.append(fresh.published)
        later = NOW + timedelta(minutes=1)

        assert fresh.published in await metadata.keys("key-2", later)
        for number in range(20):
            await metadata.keys(f"made-up-{number}", later + timedelta(seconds=number))

        assert provider.requests["/jwks"] == 2


async def test_a_slash_at_the_end_belongs_to_the_issuer() -> None:
    """The issuer is compared to the letter, and its document lies behind one slash."""
    with running_provider(NOW) as provider:
        metadata = UpstreamMetadata(f"{provider.issuer}/", (), Outbound())
        with pytest.raises(OutboundError, match="another issuer"):
            await metadata.metadata(NOW)
        provider.metadata["issuer"] = f"{provider.issuer}/"

        assert (await metadata.metadata(NOW)).issuer == f"{provider.issuer}/"


async def test_keys_may_lie_on_a_host_that_is_named() -> None:
    """A key set elsewhere is taken from a host in the settings, and from no other."""
    with running_provider(NOW) as provider, running_provider(NOW) as other:
        provider.metadata["jwks_uri"] = f"{other.issuer}/jwks"
        with pytest.raises(OutboundError, match="lies on another host"):
            await metadata_of(provider).keys("key-1", NOW)
        host = other.issuer.removeprefix("http://")

        keys = await metadata_of(provider, host).keys("key-1", NOW)

        assert keys == tuple(other.keys)
