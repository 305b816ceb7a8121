"""Families are found by their person, and none is left out."""

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

from domain.provenance import Provenance
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from projections.sessions import families_of, holders
from tests.builders import stream_id
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording

START = datetime.now(UTC)
HOUR = START + timedelta(hours=1)


def later(minutes: int) -> Provenance:
    """Return the circumstances of an act so many minutes after START."""
    return Provenance(START + timedelta(minutes=minutes), "req_1")


def a_family(client_id: str, minutes: int, subject: str = "alice") -> RefreshTokenFamily:
    """Return a family, begun so many minutes after START."""
    provenance = later(minutes)
    return RefreshTokenFamily.start(
        stream_id(provenance.occurred_at),
        FamilyTerms(client_id, subject, "sess_1", ("user",), (), START, 3600, 3600, 10),
        pepper_id="pepper-1",
        token=IssuedToken(str(stream_id()), HOUR),
        provenance=provenance,
    )


def test_families_are_found_whoever_has_more(
    recording: Recording, session: Connection[Any]
) -> None:
    """All that are alive of one client and person, however many there are of it and of others."""
    mine = [a_family("shop", 0) for _ in range(501)]
    others = [a_family("game", 1) for _ in range(501)]
    ended = a_family("shop", 0)
    recording.record(*mine, *others, ended, a_family("shop", 0, "bob"))
    ended.revoke(by="alice", reason="test", provenance=later(5))
    recording.record(ended)
    catch_up(recording.database_url)
    found = families_of("alice", "shop", now=START).fetch(session)
    later_on = families_of("alice", "shop", now=HOUR + timedelta(minutes=1)).fetch(session)
    holding = holders("alice", now=START).fetch(session)

    assert sorted(found) == sorted(one.id for one in mine)
    assert later_on == []
    assert sorted(holding) == [("game", START + timedelta(minutes=1)), ("shop", START)]
