"""A stream with an event that cannot be decoded decides nothing; every other one goes on."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.derived_tokens import DerivedTokens
from application.ending import end_session
from application.ledger.errors import LedgerUnavailable, StreamUnreadable
from application.ledger.ledger import Ledger
from application.logins import session_cookie, session_of
from application.secret_keys import Peppers, SecretKey
from application.turns import Turns
from application.unsettled import Unsettled
from domain.access_token import AccessToken
from domain.provenance import Origin
from domain.session import Authorized, Session
from tests.builders import AT_NOON, NOON, POLICY, a_client, a_token, later, stream_id

UNREADABLE = {
    "a topic of no version": ("token.forgotten", b"{}"),
    "no JSON": ("token.revoked", b"not json"),
    "facts that are missing": ("token.revoked", b"{}"),
    "a second beginning": ("token.issued", b"{}"),
}


def _append(database_url: str, stream: UUID, *, version: int, topic: str, state: bytes) -> None:
    with psycopg.connect(database_url, autocommit=True) as session:
        session.execute(
            "SELECT grantledger.append_events(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])",
            ([stream], [version], [topic], [state]),
        )


@pytest.mark.parametrize(("topic", "state"), UNREADABLE.values(), ids=list(UNREADABLE))
async def test_a_stream_that_cannot_be_read_is_refused_alone(
    ledger: Ledger, database_url: str, topic: str, state: bytes
) -> None:
    """A token whose revocation cannot be read is no live token, kept in memory or not; the token
    that is asked for at the same moment is answered for.
    """
    revoked, other = a_token(datetime.now(UTC)), a_token(datetime.now(UTC))
    await ledger.save(revoked, other)
    assert isinstance(await ledger.load(revoked.id), AccessToken)
    _append(database_url, revoked.id, version=2, topic=topic, state=state)

    for _ in range(2):
        with pytest.raises(StreamUnreadable, match=str(revoked.id)) as refused:
            await ledger.load(revoked.id)
        assert isinstance(refused.value, LedgerUnavailable)  # every door answers 503
    assert isinstance(await ledger.load(other.id), AccessToken)


async def test_what_is_in_doubt_on_an_unreadable_stream_is_recorded_again(
    ledger: Ledger, database_url: str
) -> None:
    """Refusals and uses are counted twice rather than never again."""
    client = a_client()
    await ledger.save(client)
    _append(database_url, client.id, version=2, topic="client.disabled", state=b"{}")
    client.disable(later(1))
    unsettled: Unsettled[str] = Unsettled()
    unsettled.add(client, "3 refusals")

    assert await unsettled.settle(ledger) == ["3 refusals"]
    assert await unsettled.settle(ledger) == []


def _session() -> Session:
    return Session.start(
        stream_id(),
        subject="alice",
        methods=("pwd",),
        lifetime=timedelta(hours=1),
        origin=Origin("address", "agent"),
        provenance=AT_NOON,
    )


async def test_a_session_ends_though_one_of_its_tokens_cannot_be_read(
    ledger: Ledger, database_url: str
) -> None:
    """The other tokens are revoked and the session is over; the lost one stays refused."""
    session, lost, other = _session(), a_token(datetime.now(UTC)), a_token(datetime.now(UTC))
    for token in (lost, other):
        ends = token.issued.expires_at
        session.authorize(Authorized("reporter", None, str(token.id), ends), AT_NOON)
    await ledger.save(session, lost, other)
    _append(database_url, lost.id, version=2, topic="token.revoked", state=b"{}")
    service: Any = SimpleNamespace(log=ledger, policy=POLICY, turns=Turns())
    ended = await end_session(
        session.session_id, service, by="operator", reason="test", provenance=later(1)
    )

    assert ended is not None
    assert (await ledger.load(session.id)).ended
    assert (await ledger.load(other.id)).revoked
    with pytest.raises(StreamUnreadable):
        await ledger.load(lost.id)


async def test_a_browser_whose_session_cannot_be_read_may_log_in_anew(
    ledger: Ledger, database_url: str
) -> None:
    """It is as one that is not logged in: neither let in nor locked out for good."""
    session = _session()
    await ledger.save(session)
    derived = DerivedTokens(Peppers([SecretKey("p", bytes(32))]))
    service: Any = SimpleNamespace(log=ledger, derived=derived, directory=None)
    cookie = session_cookie(session, service)
    _append(database_url, session.id, version=2, topic="session.ended", state=b"{}")

    assert await session_of(cookie, now=NOON, service=service) is None
