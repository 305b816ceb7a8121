"""Ending a session with everything in it, in units that can be recorded, and never by halves."""

from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest

from application import ending
from application.ending import end_family, end_session
from application.ledger.errors import EndAnnounced, LedgerUnavailable
from domain.access_token import AccessToken
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from domain.session import Authorized, Session
from tests.application.fakes import Fault
from tests.application.service import FakeService
from tests.builders import AT_NOON, NOON, a_client, a_session, a_token, later, stream_id

HOUR = NOON + timedelta(hours=1)
FAMILIES, TOKENS = 5, 3


@pytest.fixture
def session(service: FakeService) -> Session:
    """A session of five families with three tokens each, and two tokens without a family."""
    session = a_session()
    for _ in range(FAMILIES):
        jtis = [_token(service) for _ in range(TOKENS)]
        family = RefreshTokenFamily.start(
            stream_id(NOON),
            FamilyTerms("shop", "alice", session.session_id, ("user",), (), NOON, 3600, 3600, 10),
            pepper_id="pepper-1",
            token=IssuedToken(jtis[0], HOUR),
            provenance=AT_NOON,
        )
        for jti in jtis[1:]:
            family.use(token=IssuedToken(jti, HOUR), provenance=AT_NOON)
        service.log.record(family)
        session.authorize(Authorized("shop", family.family_id, jtis[0], HOUR), AT_NOON)
    for _ in range(2):
        session.authorize(Authorized("shop", None, _token(service), HOUR), AT_NOON)
    service.log.record(session)
    return session


def _token(service: FakeService) -> str:
    token = a_token(client=a_client())
    service.log.record(token)
    return str(token.id)


async def end(session: Session, service: FakeService) -> None:
    """End it a minute after noon."""
    await end_session(
        session.session_id, service, by="operator-1", reason="test", provenance=later(1)
    )


def living(session: Session, service: FakeService) -> int:
    """Return how many families and tokens of the session are not revoked."""
    log = service.log
    families = [log.folded(UUID(one.family_id)) for one in session.authorized if one.family_id]
    jtis = [token.jti for family in families for token in family.tokens]
    jtis += [one.jti for one in session.authorized if one.family_id is None]
    tokens = [log.folded(UUID(jti)) for jti in jtis]
    assert len(tokens) == FAMILIES * TOKENS + 2
    return sum(not one.revoked for one in [*families, *tokens])


async def test_a_session_ends_in_one_unit_where_that_is_small(
    session: Session, service: FakeService
) -> None:
    """Whoever is issued something at the same moment meets it whole."""
    before = len(service.log.units)

    await end(session, service)

    assert len(service.log.units) - before == 1
    assert living(session, service) == 0
    assert service.log.folded(session.id).ended


async def test_a_large_session_ends_in_several(
    session: Session, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Families stay whole, none is larger than asked for, and the session ends with the last."""
    monkeypatch.setattr(ending, "UNIT_STREAMS", 8)
    before = len(service.log.units)

    await end(session, service)

    units = service.log.units[before:]
    assert [len(unit) for unit in units] == [8, 8, 7]
    assert [any(isinstance(one, Session.Ended) for one in unit) for unit in units] == [
        False,
        False,
        True,
    ]
    assert living(session, service) == 0


async def test_what_broke_off_is_not_called_ended(
    session: Session, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PostgreSQL away in between the session still stands, and ends at the next try."""
    monkeypatch.setattr(ending, "UNIT_STREAMS", 8)
    service.log.save_faults.extend([None, Fault.LOST])
    with pytest.raises(LedgerUnavailable):
        await end(session, service)
    broken_off = service.log.folded(session.id).ended, living(session, service)

    await end(session, service)

    assert broken_off == (False, 3 * (TOKENS + 1) + 2)
    assert service.log.folded(session.id).ended
    assert living(session, service) == 0
    assert len(service.log.of(AccessToken.Revoked)) == FAMILIES * TOKENS + 2


async def test_what_was_given_meanwhile_ends_as_well(
    session: Session, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grant that comes between two units is found by the last, which conflicts with it."""
    monkeypatch.setattr(ending, "UNIT_STREAMS", 8)
    jti = _token(service)

    def authorize() -> None:
        there = service.log.folded(session.id)
        there.authorize(Authorized("shop", None, jti, HOUR), later(0.5))
        service.log.record(there)

    service.log.meanwhile = authorize
    await end(session, service)

    assert service.log.folded(UUID(jti)).revoked
    assert living(session, service) == 0
    assert len(service.log.of(Session.Ended)) == 1


async def test_an_end_loses_one_race(session: Session, service: FakeService) -> None:
    """A client that redeems a code before each try to end its session does so once: the end is
    announced, further redemptions are refused, and what the one issued ends as well.
    """
    redeemed = refused = 0

    def redeem() -> None:
        nonlocal redeemed, refused
        service.log.meanwhile = redeem
        there = service.log.folded(session.id)
        there.authorize(Authorized("shop", None, _token(service), HOUR), later(0.5))
        try:
            service.log.record(there)
            redeemed += 1
        except EndAnnounced:
            refused += 1

    service.log.meanwhile = redeem
    await end(session, service)

    assert (redeemed, refused) == (1, 1)
    assert living(session, service) == 0
    ended = service.log.folded(session.id)
    assert ended.ended
    assert service.log.folded(UUID(ended.authorized[-1].jti)).revoked
    assert service.log.announced == {}


async def test_an_end_wins_against_a_family_in_use(session: Session, service: FakeService) -> None:
    """A client that refreshes in a loop is stopped by the second try; the first loses a race, and
    what was issued then ends with the family.
    """
    family_id = UUID(session.authorized[0].family_id)
    refreshed = 0

    def refresh() -> None:
        nonlocal refreshed
        service.log.meanwhile = refresh
        family = service.log.folded(family_id)
        if not family.revoked:
            family.use(token=IssuedToken(_token(service), HOUR), provenance=later(0.5))
            with suppress(EndAnnounced):
                service.log.record(family)
                refreshed += 1

    service.log.meanwhile = refresh
    found = await end_family(family_id, service, by="shop", reason="test", provenance=later(1))
    family = service.log.folded(family_id)

    assert (found, refreshed) == (True, 1)
    assert family.revoked
    assert len(family.tokens) == TOKENS + 1
    assert all(service.log.folded(UUID(token.jti)).revoked for token in family.tokens)
    assert service.log.announced == {}


async def test_a_session_is_ended_once(session: Session, service: FakeService) -> None:
    """Its own end came last: whoever asks again and again makes us read one stream."""
    await end(session, service)
    before = service.log.loads

    await end(session, service)

    assert service.log.loads - before == 1
    assert len(service.log.of(Session.Ended)) == 1


async def test_a_family_is_revoked_once(session: Session, service: FakeService) -> None:
    """Its tokens were revoked with it: whoever asks again and again makes us read one stream."""
    family_id = UUID(session.authorized[0].family_id)

    async def revoke() -> bool:
        return await end_family(family_id, service, by="shop", reason="again", provenance=later(1))

    await revoke()
    before = service.log.loads

    assert await revoke()
    assert service.log.loads - before == 1
