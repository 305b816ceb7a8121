"""A stream with an event that cannot be decoded decides nothing; every other one goes on."""

from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from application.ledger.errors import LedgerUnavailable, StreamUnreadable
from application.ledger.ledger import Ledger
from application.unsettled import Unsettled
from domain.access_token import AccessToken
from tests.builders import a_client, a_token, later

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
