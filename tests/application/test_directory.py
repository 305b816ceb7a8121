"""The directory on a real log: what others change is seen, and who cannot read does not decide."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.directory import STALE_SECONDS, LogDirectory
from application.ledger.errors import LedgerUnavailable, StreamUnreadable
from application.ledger.ledger import Ledger
from application.ledger.link import Link
from application.ledger.mapper import LedgerMapper
from application.ledger.wire import Row, Statement
from application.ports import REFRESH_SECONDS
from domain.client import Client
from domain.consents import Consents
from domain.signing_key import SigningKey
from tests.builders import AT_NOON, a_client, a_key, a_principal, a_token, later
from tests.waiting import eventually_async


class BreakableLink(Link):
    """A link that can be told to fail."""

    fault: Exception | None = None
    head_first = False

    async def fetch(self, statement: Statement, parameters: Sequence[bytes] = ()) -> list[Row]:
        if self.fault is not None:
            raise self.fault
        rows = await super().fetch(statement, parameters)
        return [rows[-1], *rows[:-1]] if self.head_first else rows


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Ledger]:
    """The ledger of another process on the same database."""
    async with Ledger(database_url) as ledger:
        yield ledger


@pytest.fixture
def link(database_url: str) -> BreakableLink:
    """The link of the directory."""
    return BreakableLink(database_url, name="directory")


@pytest.fixture
async def directory(link: BreakableLink) -> AsyncIterator[LogDirectory]:
    """A directory that reads only when a test refreshes it."""
    directory = LogDirectory(link, LedgerMapper())
    yield directory
    await directory.close()


async def test_starts_with_everything(other: Ledger, directory: LogDirectory) -> None:
    """What is in the log before the start is known after it, by name, sorted, in its last state."""
    changed = a_client(client_id="b")
    changed.disable(AT_NOON)
    await other.save(a_principal("owner-2"), a_principal("owner-1"))
    await other.save(changed)
    await other.save(a_client(client_id="a"), a_key("key-2"), a_key("key-1"))

    await directory.start()

    assert [client.client_id for client in directory.clients()] == ["a", "b"]
    assert [principal.subject for principal in directory.principals()] == ["owner-1", "owner-2"]
    assert [key.kid for key in directory.keys()] == ["key-2", "key-1"]
    assert directory.client("b") == await other.load(Client.stream("b"))
    assert directory.client("nobody") is None
    assert directory.principal("nobody") is None
    assert directory.position == 7
    directory.require_fresh()


async def test_sees_what_another_process_changes(other: Ledger, directory: LogDirectory) -> None:
    """A change that another ledger recorded is seen here within a second, by itself."""
    client = a_client()
    await other.save(client, a_principal())
    await directory.start()
    client.disable(later(1))
    await other.save(client)
    recorded_at = monotonic()

    def is_disabled() -> bool:
        seen = directory.client("reporter")
        return seen is not None and not seen.enabled

    await eventually_async(is_disabled)

    assert monotonic() - recorded_at < 1


async def test_leaves_out_what_is_not_of_the_directory(
    other: Ledger, directory: LogDirectory
) -> None:
    """Tokens are passed over, and what comes after them is seen."""
    await other.save(a_client())
    await directory.refresh()
    await other.save(a_token(datetime.now(UTC)))
    await other.save(a_principal())

    await directory.refresh()

    assert directory.principal("owner-1") is not None
    assert directory.position == 3


async def test_reads_its_rows_in_whatever_place_the_head_is(
    other: Ledger, directory: LogDirectory, link: BreakableLink
) -> None:
    """No order holds between the two parts of a UNION ALL."""
    link.head_first = True
    await other.save(a_client(), a_principal())
    await other.save(Consents.open("person-1", provenance=AT_NOON))

    await directory.refresh()

    assert directory.client("reporter") is not None
    assert directory.principal("owner-1") is not None
    assert directory.position == 3


async def test_goes_over_consents_once(other: Ledger, directory: LogDirectory) -> None:
    """They lie there, and nobody wants them in memory: what was passed over is not read again."""
    await other.save(a_client())
    for number in range(3):
        await other.save(Consents.open(f"person-{number}", provenance=AT_NOON))
    await directory.refresh()
    passed = directory.position
    await other.save(a_principal())
    await directory.refresh()

    assert passed == 4
    assert directory.position == 5
    assert directory.principal("owner-1") is not None


async def test_reads_page_after_page(other: Ledger, directory: LogDirectory) -> None:
    """A directory of more events than a page holds is read whole in one refresh."""
    client = a_client()
    for number in range(5_001):
        client.set_owner(f"owner-{number}", provenance=AT_NOON)
    await other.save(client)

    await directory.refresh()

    assert directory.client("reporter") == await other.load(Client.stream("reporter"))


async def test_says_when_a_key_changed(other: Ledger, directory: LogDirectory) -> None:
    """`on_keys` is called once for a refresh that brought a new key or a change of one, and not
    for anything else.
    """
    calls: list[list[str]] = []
    directory.on_keys = lambda: calls.append([key.state for key in directory.keys()])
    await other.save(a_client())
    await directory.refresh()
    key = a_key()
    await other.save(key)
    await directory.refresh()
    key.activate(later(1))
    await other.save(key, a_principal())
    await directory.refresh()
    await directory.refresh()

    assert calls == [["generated"], ["active"]]


async def test_refuses_to_decide_before_it_has_read(directory: LogDirectory) -> None:
    """A directory that never read the log knows nothing, and says so."""
    with pytest.raises(LedgerUnavailable):
        directory.require_fresh()


@pytest.mark.parametrize(
    "fault",
    [LedgerUnavailable("no connection"), psycopg.OperationalError("gone"), TimeoutError()],
    ids=lambda fault: type(fault).__name__,
)
async def test_does_not_start_without_the_log(
    directory: LogDirectory, link: BreakableLink, fault: Exception
) -> None:
    """However the log fails, a start without it is LedgerUnavailable."""
    link.fault = fault
    with pytest.raises(LedgerUnavailable):
        await directory.start()


async def test_refuses_to_decide_when_stale(
    other: Ledger, directory: LogDirectory, link: BreakableLink
) -> None:
    """While the log cannot be read the directory grows old, and past STALE_SECONDS it refuses;
    what it knew is still there to look at, and the next refresh makes it fresh again.
    """
    await other.save(a_client())
    await directory.start()
    link.fault = psycopg.OperationalError("gone")
    await eventually_async(lambda: directory.age > 2 * REFRESH_SECONDS)
    directory.require_fresh()
    directory._read_at -= STALE_SECONDS  # as if that much time had gone by
    with pytest.raises(LedgerUnavailable, match=r"^the directory is \d+ s old$"):
        directory.require_fresh()

    assert directory.client("reporter") is not None

    link.fault = None
    await eventually_async(lambda: directory.age < STALE_SECONDS)
    directory.require_fresh()


async def test_comes_back_after_its_connection_was_killed(
    other: Ledger, directory: LogDirectory, database_url: str
) -> None:
    """A connection that is ended by the server is opened again, and the tail goes on."""
    await directory.start()
    with psycopg.connect(database_url) as session:
        killed = session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'grantledger directory'"
            " AND datname = current_database()"
        ).fetchall()
    await other.save(a_client())

    await eventually_async(lambda: directory.client("reporter") is not None)

    assert killed == [(True,)]


def _append(database_url: str, stream: UUID, *, version: int, topic: str, state: bytes) -> None:
    """Write an event as whoever holds the database could, past all checks."""
    with psycopg.connect(database_url, autocommit=True) as session:
        session.execute(
            "SELECT grantledger.append_events(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])",
            ([stream], [version], [topic], [state]),
        )


UNREADABLE = {
    "a topic of no version": ("client.forgotten", b"{}"),
    "no JSON": ("client.disabled", b"not json"),
    "no object": ("client.disabled", b"[]"),
    "facts that are missing": ("client.disabled", b"{}"),
    "facts of another kind": ("client.disabled", b'{"occurred_at": 7, "by": [], "why": {}}'),
}


@pytest.mark.parametrize(("topic", "state"), UNREADABLE.values(), ids=list(UNREADABLE))
async def test_leaves_out_the_stream_that_it_cannot_read_and_no_other(
    other: Ledger, directory: LogDirectory, database_url: str, topic: str, state: bytes
) -> None:
    """A client with an event that cannot be read is unknown; all others are followed as ever, and
    the directory stays fresh.
    """
    client = a_client()
    await other.save(client, a_principal())
    await directory.start()
    assert directory.client("reporter") is not None
    _append(database_url, client.id, version=client.version + 1, topic=topic, state=state)
    await other.save(a_client(client_id="next"), a_key())
    await eventually_async(lambda: directory.client("next") is not None)

    directory.require_fresh()
    assert directory.client("reporter") is None
    assert [one.client_id for one in directory.clients()] == ["next"]
    assert [one.kid for one in directory.keys()] == ["key-1"]
    assert directory.principal("owner-1") is not None
    (left_out,) = directory.unreadable()
    assert (left_out.stream_id, left_out.position, left_out.topic) == (client.id, 3, topic)


async def test_believes_nothing_that_follows_an_unreadable_event(
    other: Ledger, directory: LogDirectory, database_url: str
) -> None:
    """A stream stays out whatever is recorded on it later, from its first event on or the second,
    so that its name is nobody's.
    """
    known, unknown = a_key("known"), a_key("unknown")
    await other.save(known)
    first, *_ = (LedgerMapper().to_stored_event(fact) for fact in unknown.facts())
    _append(database_url, unknown.id, version=1, topic="key.generated", state=b"{}")
    _append(database_url, known.id, version=2, topic="key.retired", state=b"{}")
    for stream in (unknown.id, known.id):
        _append(database_url, stream, version=3, topic=first.topic, state=first.state)
    await directory.refresh()

    assert list(directory.keys()) == []
    assert {one.stream_id for one in directory.unreadable()} == {known.id, unknown.id}
    assert directory.position == 5


async def test_says_that_a_key_went_with_its_stream(
    other: Ledger, directory: LogDirectory, database_url: str
) -> None:
    """A key whose retirement cannot be read signs and verifies nothing any more."""
    told: list[int] = []
    directory.on_keys = lambda: told.append(1)
    await other.save(a_key())
    await directory.refresh()
    stream = SigningKey.stream("key-1")
    _append(database_url, stream, version=2, topic="key.retired", state=b"{}")
    await directory.refresh()

    assert told == [1, 1]
    assert list(directory.keys()) == []
    with pytest.raises(StreamUnreadable):  # it may have been revoked, and what it signed with it
        directory.key("key-1")
    assert directory.key("another") is None


async def test_says_that_a_key_changed_though_the_next_page_is_lost(
    other: Ledger, directory: LogDirectory, link: BreakableLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was applied is not seen again by the refresh that succeeds."""
    monkeypatch.setattr("application.directory._PAGE", 1)
    told: list[int] = []
    directory.on_keys = lambda: told.append(1)
    await other.save(a_key("first"))
    await other.save(a_key("second"))
    fetch, answers = link.fetch, iter((True, False))

    async def once(*arguments: Any) -> list[Row]:
        if not next(answers):
            raise LedgerUnavailable("lost")
        return await fetch(*arguments)

    monkeypatch.setattr(link, "fetch", once)
    with pytest.raises(LedgerUnavailable):
        await directory.refresh()

    assert told == [1]
