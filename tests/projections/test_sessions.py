"""Sessions and families are found by their person, page by page and without leaving one out."""

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

from domain.provenance import Origin, Provenance
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from domain.session import Session
from projections.sessions import PAGE, families_of, holders, logins
from tests.builders import stream_id
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording

START = datetime.now(UTC)
HOUR = START + timedelta(hours=1)


def later(minutes: int) -> Provenance:
    """Return the circumstances of an act so many minutes after START."""
    return Provenance(START + timedelta(minutes=minutes), "req_1")


def a_login(minutes: int, subject: str = "alice") -> Session:
    """Return a session of an hour, begun so many minutes after START."""
    provenance = later(minutes)
    return Session.start(
        stream_id(provenance.occurred_at),
        subject=subject,
        methods=("pwd",),
        lifetime=timedelta(hours=1),
        origin=Origin(address="address", user_agent="agent"),
        provenance=provenance,
    )


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


def test_logins_come_in_pages(recording: Recording, session: Connection[Any]) -> None:
    """The newest first; what is asked for before the last one seen goes on without a gap, and who
    is alive can be asked for alone.
    """
    recorded = [a_login(minutes) for minutes in range(5)]
    recording.record(*recorded, a_login(9, "bob"))
    recorded[1].end(by="alice", reason="test", provenance=later(5))
    recording.record(recorded[1])
    catch_up(recording.database_url)
    ids = [one.session_id for one in reversed(recorded)]
    first = logins("alice", limit=2).fetch(session)
    second = logins("alice", before=first[-1].id, limit=2).fetch(session)
    third = logins("alice", before=second[-1].id, limit=2).fetch(session)
    alive = logins("alice", now=START).fetch(session)

    assert [[one.id for one in page] for page in (first, second, third)] == [
        ids[:2],
        ids[2:4],
        ids[4:],
    ]
    assert [one.id for one in alive] == [*ids[:3], ids[4]]
    assert len(logins().fetch(session)) == 6


def test_families_are_found_whoever_has_more(
    recording: Recording, session: Connection[Any]
) -> None:
    """All that are alive of one client and person, however many there are of it and of others."""
    mine = [a_family("shop", 0) for _ in range(PAGE + 1)]
    others = [a_family("game", 1) for _ in range(PAGE + 1)]
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
