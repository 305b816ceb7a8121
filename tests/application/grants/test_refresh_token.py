"""A rotation on what this process knows: whoever was faster elsewhere is never overruled."""

from datetime import datetime, timedelta

import pytest

from application.derived_tokens import TokenKind
from application.errors import TooManyRequests, UnusableGrant
from application.grants import refresh_token
from application.introspection import introspect
from application.revocation import revoke
from application.secret_keys import SecretKey
from application.token_response import TokenResponse
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import (
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    Redirects,
    TokenPolicy,
)
from domain.refresh_token_family import MOST_ALIVE, FamilyTerms, IssuedToken, RefreshTokenFamily
from tests.application.service import OLD_PEPPER, PEPPER, FakeService, authenticated, context
from tests.builders import NOON, a_client, a_principal, later, stream_id

MINUTE = NOON + timedelta(minutes=1)
TERMS = FamilyTerms(
    client_id="reporter",
    subject="alice",
    session_id="sess_1",
    scope=("user",),
    audience=(),
    authenticated_at=NOON,
    lifetime=86_400,
    idle_lifetime=3600,
    grace=10,
)
FIRST = IssuedToken("019cb3e5-4400-7000-8000-000000000001", NOON + timedelta(hours=1))


@pytest.fixture
def client(service: FakeService) -> Client:
    """A client that may refresh, recorded with the person it acts for."""
    client = a_client(
        grant_types=(AUTHORIZATION_CODE, REFRESH_TOKEN),
        redirects=Redirects(redirect_uris=("https://shop.example/callback",)),
    )
    service.log.record(client)
    service.log.record(a_principal("alice"))
    return client


@pytest.fixture
def family(service: FakeService, client: Client) -> RefreshTokenFamily:
    """A family of noon, recorded."""
    family = RefreshTokenFamily.start(
        stream_id(NOON), TERMS, pepper_id=PEPPER.key_id, token=FIRST, provenance=later(0)
    )
    service.log.record(family)
    return family


async def refresh(
    service: FakeService, client: Client, family: RefreshTokenFamily, generation: int
) -> TokenResponse:
    """Present a generation of `family` a minute after noon."""
    presented = service.derived.derive(TokenKind.REFRESH, family.id, generation=generation)
    return await refresh_token.handle(
        refresh_token.Parameters(presented, None, ()),
        authenticated(client),
        context(NOON + timedelta(minutes=1)),
        service,
    )


async def test_reads_nothing_where_it_saved_last(
    service: FakeService, client: Client, family: RefreshTokenFamily
) -> None:
    """A process that knows the family's present generation rotates it without reading it first."""
    service.log.known[family.id] = family

    response = await refresh(service, client, family, 1)

    assert service.log.loads == 0
    assert service.log.folded(family.id).generation == 2
    assert response.refresh_token == service.derived.derive(
        TokenKind.REFRESH, family.id, generation=2
    )


async def test_a_rotation_elsewhere_is_not_lost(
    service: FakeService, client: Client, family: RefreshTokenFamily
) -> None:
    """Where another replica rotated meanwhile, this one answers the retry that it is by now."""
    service.log.known[family.id] = family.copied()
    there = IssuedToken("019cb3e5-4400-7000-8000-000000000002", NOON + timedelta(hours=1))
    family.rotate(pepper_id=PEPPER.key_id, token=there, provenance=later(0.9))
    service.log.record(family)

    response = await refresh(service, client, family, 1)

    assert service.log.folded(family.id).generation == 2
    assert response.refresh_token == service.derived.derive(
        TokenKind.REFRESH, family.id, generation=2
    )
    assert service.log.of(RefreshTokenFamily.RotationRetried)


async def test_an_end_elsewhere_counts(
    service: FakeService, client: Client, family: RefreshTokenFamily
) -> None:
    """Where another replica revoked the family meanwhile, nothing is issued on what is known."""
    service.log.known[family.id] = family.copied()
    family.revoke(by="alice", reason="logout", provenance=later(0.5))
    service.log.record(family)

    with pytest.raises(UnusableGrant) as refused:
        await refresh(service, client, family, 1)

    assert refused.value.reason == "family revoked"
    assert service.log.of(AccessToken.Issued) == []


async def test_reuse_is_judged_by_the_log(
    service: FakeService, client: Client, family: RefreshTokenFamily
) -> None:
    """What is known may be old: it never makes a good token look like a stolen one."""
    service.log.known[family.id] = family.copied()
    for number, minutes in ((2, 0.5), (3, 0.6)):
        token = IssuedToken(f"019cb3e5-4400-7000-8000-00000000000{number}", FIRST.expires_at)
        family.rotate(pepper_id=PEPPER.key_id, token=token, provenance=later(minutes))
    service.log.record(family)

    await refresh(service, client, family, 3)

    assert service.log.folded(family.id).generation == 4
    assert service.log.of(RefreshTokenFamily.ReuseDetected) == []


def use_up(family: RefreshTokenFamily, *, first_ends: datetime) -> None:
    """Let as many access tokens of `family` work as may; one of them ends at `first_ends`."""
    for number in range(1, MOST_ALIVE):
        until = first_ends if number == 1 else FIRST.expires_at
        token = IssuedToken(f"019cb3e5-4400-7000-8000-{number:012}", until)
        family.use(token=token, provenance=later(0))


async def test_all_tokens_in_use_is_told_with_the_time_to_wait(
    service: FakeService, client: Client, family: RefreshTokenFamily
) -> None:
    """Nothing is issued, and the refresh token stays as good as it was."""
    use_up(family, first_ends=NOON + timedelta(minutes=2))
    service.log.record(family)
    with pytest.raises(TooManyRequests) as refused:
        await refresh(service, client, family, 1)

    assert refused.value.retry_after == 60
    assert refused.value.reason == "too many tokens of this grant are in use"
    assert service.log.of(AccessToken.Issued) == []
    assert service.log.folded(family.id).generation == 1


async def test_the_next_token_is_issued_once_one_has_ended(
    service: FakeService, client: Client, family: RefreshTokenFamily
) -> None:
    """The family goes on by itself."""
    use_up(family, first_ends=NOON + timedelta(minutes=1))
    service.log.record(family)

    await refresh(service, client, family, 1)

    assert service.log.folded(family.id).generation == 2


async def test_a_family_that_is_full_here_and_ended_elsewhere_has_ended(
    service: FakeService, client: Client, family: RefreshTokenFamily
) -> None:
    """Nothing is refused on what this process knows."""
    use_up(family, first_ends=NOON + timedelta(minutes=2))
    service.log.known[family.id] = family.copied()
    family.revoke(by="alice", reason="logout", provenance=later(0.5))
    service.log.record(family)

    with pytest.raises(UnusableGrant) as refused:
        await refresh(service, client, family, 1)

    assert refused.value.reason == "family revoked"


async def test_no_access_token_outlives_its_family(
    service: FakeService, client: Client, family: RefreshTokenFamily
) -> None:
    """Who ends a session looks at what has not ended yet: a family that has, has no tokens."""
    client.set_token_policy(TokenPolicy(lifetime=86_400), provenance=later(0.1))
    service.log.record(client)

    response = await refresh(service, client, family, 1)

    assert response.expires_in == 86_400 - 60
    assert service.log.of(AccessToken.Issued)[0].expires_at == family.started.expires_at


def _presented(
    service: FakeService, family: RefreshTokenFamily, generation: int, pepper: SecretKey
) -> refresh_token.Parameters:
    value = service.derived.derive(
        TokenKind.REFRESH, family.id, generation=generation, pepper_id=pepper.key_id
    )
    return refresh_token.Parameters(value, None, ())


@pytest.fixture
def moved(service: FakeService, client: Client) -> RefreshTokenFamily:
    """A family that was begun under the old pepper and rotated twice under the new one."""
    family = RefreshTokenFamily.start(
        stream_id(NOON), TERMS, pepper_id=OLD_PEPPER.key_id, token=FIRST, provenance=later(0)
    )
    family.rotate(pepper_id=PEPPER.key_id, token=FIRST, provenance=later(0.5))
    family.rotate(pepper_id=PEPPER.key_id, token=FIRST, provenance=later(1))
    service.log.record(family)
    return family


@pytest.mark.parametrize("generation", [2, 3, 4])
async def test_a_demoted_pepper_makes_no_token_of_a_later_generation(
    service: FakeService, client: Client, moved: RefreshTokenFamily, generation: int
) -> None:
    """A thief of the demoted pepper forges neither the token that counts, nor its predecessor, for
    which it would be sent, nor one to come; and does not end the family by trying.
    """
    forged = _presented(service, moved, generation, OLD_PEPPER)
    with pytest.raises(UnusableGrant) as refused:
        await refresh_token.handle(forged, authenticated(client), context(MINUTE), service)
    await revoke(forged.refresh_token, authenticated(client), context(MINUTE), service)
    told = await introspect(forged.refresh_token, authenticated(client), service)
    rotated = await refresh(service, client, moved, 3)

    assert refused.value.reason == "refresh token derived under another pepper"
    assert told == {"active": False}
    assert rotated.refresh_token


async def test_what_was_issued_under_the_demoted_pepper_is_known(
    service: FakeService, client: Client
) -> None:
    """A family that was not rotated since goes on under the new pepper, and a retired token of
    before is the reuse that it is.
    """
    family = RefreshTokenFamily.start(
        stream_id(NOON), TERMS, pepper_id=OLD_PEPPER.key_id, token=FIRST, provenance=later(0)
    )
    service.log.record(family)
    held = _presented(service, family, 1, OLD_PEPPER)
    caller = authenticated(client)
    response = await refresh_token.handle(held, caller, context(MINUTE), service)
    again = await refresh_token.handle(held, caller, context(MINUTE), service)
    with pytest.raises(UnusableGrant) as reused:
        await refresh_token.handle(held, caller, context(MINUTE + timedelta(minutes=5)), service)

    assert response.refresh_token == again.refresh_token
    assert service.log.folded(family.id).peppers == ((1, OLD_PEPPER.key_id), (2, PEPPER.key_id))
    assert reused.value.reason == "reuse: generation 1"
