"""One event that a read model cannot take never stops the others, and is seen by everybody."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg import Connection, Cursor
from psycopg.rows import TupleRow
from psycopg.sql import Composed

from projections.alarms import SET_ASIDE_EVENTS
from projections.audit_trail import AUDIT_TRAIL, OUTCOMES, SET_ASIDE, search
from projections.builds import ensure_tables
from projections.client_last_used import CLIENT_LAST_USED, of_client
from projections.event_filter import EventFilter
from projections.projection import LoggedEvent, Projection
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from projections.runner import Projector
from projections.sentences import sentence
from projections.session import open_session
from projections.set_aside import is_of_data
from projections.verify import verify
from tests.builders import a_token_record, records
from tests.projections.projecting import catch_up, projecting, status
from tests.projections.recording import Recording
from tests.waiting import eventually

Change = Callable[[dict[str, Any]], None]


def _with(**facts: Any) -> Change:
    return lambda state: state.update(facts)


def _without(name: str) -> Change:
    return lambda state: state.pop(name) and None


NESTED: Any = 1
for _ in range(900):
    NESTED = [NESTED]
UNTAKEN: dict[str, tuple[Change, str]] = {
    "U+0000 in a column": (_with(client_id="a\0b"), "DataError"),
    "U+0000 in the rest": (_with(extra={"k": "a\0b"}), "UntranslatableCharacter"),
    "U+0000 in a name": (_with(extra={"a\0b": 1}), "UntranslatableCharacter"),
    "a name too long for an index": (
        _with(subject="".join(chr(0x4E00 + 37 * n % 20_000) for n in range(5_000))),
        "ValueError",
    ),
    "an actor too long for an index": (
        _with(descent={"actors": [{"subject": "a", "issuer": "b" * 5_000}], "vouched": None}),
        "ValueError",
    ),
    "no moment": (_without("occurred_at"), "KeyError"),
    "no moment of a calendar": (_with(occurred_at="soon"), "ValueError"),
    "a moment of no Python": (_with(expires_at="infinity"), "ValueError"),
    "a moment past the last year": (
        _with(expires_at="9999-12-31T23:59:59-01:00"),
        "OverflowError",
    ),
    "a number for a text": (_with(occurred_at=7), "TypeError"),
    "no list": (_with(scope=7), "TypeError"),
    "no actors": (_with(descent={"lineage": []}), "KeyError"),
    "no object": (_with(descent=[1]), "TypeError"),
}
UNREADABLE = {
    "no JSON": b"not json",
    "no object": b"[]",
    "a null": b"null",
    "no UTF-8": b'{"occurred_at": "\xff"}',
    "half of a character": rb'{"occurred_at": "\ud800"}',
    "a number beyond all bounds": b'{"occurred_at": 1e400}',
    "a version that is none": b'{"class_version": "x"}',
    "nested beyond all bounds": b"[" * 5_000 + b"]" * 5_000,
}


def _record(recording: Recording, change: Change) -> int:
    """Record the token of an attacker who writes into the log itself; return its position."""
    stored = a_token_record()
    state = json.loads(stored.state)
    change(state)
    return _insert(recording, replace(stored, state=json.dumps(state).encode()))


def _insert(recording: Recording, *stored: StoredEvent) -> int:
    positions = recording._recorder.insert_events(list(stored))
    assert positions is not None
    return positions[-1]


@pytest.mark.parametrize(("change", "cause"), UNTAKEN.values(), ids=list(UNTAKEN))
def test_data_that_cannot_be_taken_stops_nothing(
    recording: Recording, session: Connection[Any], change: Change, cause: str
) -> None:
    """The events before and after it are shown, and a row stands in for it that says why."""
    recording.issue(3)
    position = _record(recording, change)
    recording.issue(3)
    catch_up(recording.database_url)

    entries = search().fetch(session)
    assert [entry.position for entry in entries] == [1, 2, 3, 4, 5, 6, 7]
    assert [entry.topic for entry in entries].count("token.issued") == 6
    (aside,) = (entry for entry in entries if entry.topic == SET_ASIDE)
    assert aside.position == position
    assert aside.detail["topic"] == "token.issued"
    assert cause in aside.detail["cause"]
    assert of_client("reporter").fetch(session)[0].uses >= 6
    assert {one.lag_events for one in status(recording.database_url)} == {0}
    assert verify(recording.database_url, AUDIT_TRAIL).clean


@pytest.mark.parametrize("state", UNREADABLE.values(), ids=list(UNREADABLE))
def test_a_state_that_cannot_be_decoded_stops_nothing(
    recording: Recording, session: Connection[Any], state: bytes
) -> None:
    """An unreadable event of a known topic is set aside in each read model that it concerns."""
    recording.issue(1)
    _insert(recording, replace(a_token_record(), state=state))
    recording.issue(1)
    catch_up(recording.database_url)

    assert [entry.topic for entry in search().fetch(session)] == [
        "token.issued",
        SET_ASIDE,
        "token.issued",
    ]
    lacking = {one.projection: one.set_aside for one in status(recording.database_url)}
    assert {name for name, events in lacking.items() if events} == {
        "audit_trail",
        "client_last_used",
        "delegations",
    }
    assert set(lacking.values()) == {0, 1}
    for projection in PROJECTIONS:
        assert verify(recording.database_url, projection).clean


def test_many_in_one_batch_are_each_set_aside(
    recording: Recording, session: Connection[Any]
) -> None:
    """A batch with many culprits loses none of its good events."""
    for number in range(60):
        if number % 3 == 0:
            _record(recording, _with(extra={"k": "\0"}))
        else:
            recording.issue(1)
    catch_up(recording.database_url)

    topics = [entry.topic for entry in search().fetch(session)]
    assert (topics.count("token.issued"), topics.count(SET_ASIDE)) == (40, 20)
    assert of_client("reporter").fetch(session)[0].uses == 60  # it takes them: no text of theirs


def test_an_alarm_stands_and_the_sentence_tells(
    recording: Recording, session: Connection[Any]
) -> None:
    """What was set aside is an alarm with its number, position and cause, and a readable entry."""
    assert SET_ASIDE_EVENTS.query.fetch(session) == []
    recording.issue(1)
    _insert(recording, *records(state=b"not json"))
    _insert(recording, *records(state=b"not json"))
    catch_up(recording.database_url)

    (alarm,) = SET_ASIDE_EVENTS.query.fetch(session)
    assert alarm.name == SET_ASIDE_EVENTS.name
    assert "audit_trail lacks 2 events" in alarm.found
    assert "position 2 (test.happened: unreadable)" in alarm.found
    assert "projections rebuild audit_trail" in alarm.fix
    entry = search(EventFilter(topic=SET_ASIDE)).fetch(session)[0]
    assert sentence(entry) == (
        f"An event test.happened of the stream {entry.detail['stream_id']} cannot be shown and was"
        " set aside: unreadable."
    )


def test_a_rebuild_sets_aside_likewise(recording: Recording, session: Connection[Any]) -> None:
    """What cannot be taken is marked in the new build, whichever way its rows are filled."""
    recording.issue(150)
    _record(recording, _with(extra={"k": "\0"}))
    recording.issue(150)
    catch_up(recording.database_url)
    for range_events in (100, 100_000):
        rebuild(recording.database_url, AUDIT_TRAIL, range_events=range_events)

        assert status(recording.database_url, [AUDIT_TRAIL])[0].set_aside == 1
        assert verify(recording.database_url, AUDIT_TRAIL).clean
    marks = session.execute("SELECT projection, build, position FROM grantledger.set_aside_events")
    assert marks.fetchall() == [("audit_trail", 3, 151)]


def test_a_mark_goes_once_the_event_can_be_taken(
    recording: Recording, session: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that knows the topic takes it late where order does not matter, else by a rebuild;
    then no read model lacks anything, and no alarm stands.
    """
    known = dict(OUTCOMES)
    recording.issue(2)
    monkeypatch.setattr("projections.audit_trail.OUTCOMES", {})  # as a version before it had them
    catch_up(recording.database_url, [AUDIT_TRAIL])
    lacking = status(recording.database_url, [AUDIT_TRAIL])[0].set_aside
    monkeypatch.setattr("projections.audit_trail.OUTCOMES", known)
    catch_up(recording.database_url, [AUDIT_TRAIL])
    with projecting(Projector(recording.database_url, [AUDIT_TRAIL])):
        eventually(lambda: status(recording.database_url, [AUDIT_TRAIL])[0].set_aside == 0)

    assert lacking == 2
    assert [entry.topic for entry in search().fetch(session)] == ["token.issued"] * 2
    assert SET_ASIDE_EVENTS.query.fetch(session) == []
    assert verify(recording.database_url, AUDIT_TRAIL).clean


def test_a_read_model_that_lacks_what_it_could_take_has_drifted(
    recording: Recording, session: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drift check replays a marked event too: a wrong mark is no excuse for a missing row."""
    recording.issue(1)
    known = dict(OUTCOMES)
    monkeypatch.setattr("projections.audit_trail.OUTCOMES", {})
    catch_up(recording.database_url)
    monkeypatch.setattr("projections.audit_trail.OUTCOMES", known)

    assert verify(recording.database_url, AUDIT_TRAIL).differing == 1


def test_a_late_event_counts_once(recording: Recording, session: Connection[Any]) -> None:
    """Counts of uses are the same whether an event came in its turn or late."""

    def write(cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]) -> None:
        if any(event.position == 2 for event in events):
            raise KeyError("as a program that does not know it")
        CLIENT_LAST_USED.write(cursor, table, events)

    recording.issue(3)
    catch_up(recording.database_url, [replace(CLIENT_LAST_USED, write=write)])
    before = of_client("reporter").fetch(session)[0].uses
    for _ in range(2):
        catch_up(recording.database_url, [CLIENT_LAST_USED])

    assert before == 2
    assert of_client("reporter").fetch(session)[0].uses == 3
    assert verify(recording.database_url, CLIENT_LAST_USED).clean


CIRCUMSTANCES = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DiskFull,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.AdminShutdown,
    psycopg.errors.ConnectionFailure,
    psycopg.errors.UndefinedTable,
    psycopg.errors.OutOfMemory,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.OperationalError,
    MemoryError,
    OSError,
    RuntimeError,
)


@pytest.mark.parametrize("error", CIRCUMSTANCES)
def test_circumstances_set_nothing_aside(recording: Recording, error: type[Exception]) -> None:
    """What trying again may help is tried again: nothing is lost to a lock or a full disk."""
    failures = iter([error("as it happens"), error("and again")])

    def write(cursor: Cursor[TupleRow], table: Composed, events: Sequence[LoggedEvent]) -> None:
        for failure in failures:
            raise failure
        AUDIT_TRAIL.write(cursor, table, events)

    recording.issue(2)
    assert not is_of_data(error("as it happens"))
    with closing(open_session(recording.database_url, name="test")) as session:
        projector = Projector(recording.database_url, [replace(AUDIT_TRAIL, write=write)])
        ensure_tables(session, PROJECTIONS)
        projector._ask_leadership(session)
        for _ in range(3):
            projector._led["audit_trail"].retry_at = 0.0
            projector._advance_all(session)

    (found,) = status(recording.database_url, [AUDIT_TRAIL])
    assert (found.lag_events, found.set_aside) == (0, 0)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", ["client_id", "subject", "session_id", "scope", "credential_id"])
def test_no_name_is_too_long_for_a_rebuild(
    recording: Recording, projection: Projection, name: str
) -> None:
    """A table is filled before it is indexed: what no index takes must not come so far."""
    length = "".join(chr(0x4E00 + 37 * n % 20_000) for n in range(5_000))
    recording.issue(2)
    _record(recording, _with(**{name: [length] if name == "scope" else length}))
    recording.issue(2)
    catch_up(recording.database_url)
    rebuild(recording.database_url, projection)

    assert status(recording.database_url, [projection])[0].lag_events == 0
    assert verify(recording.database_url, projection).clean
