"""Long streams of the past: read and folded a page at a time, and whole all the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from psycopg import Connection

from api.past_views import client_fields
from application.ledger.errors import StreamUnreadable
from domain.client import Client
from domain.client_configuration import TokenPolicy
from domain.provenance import Provenance
from domain.refresh_token_family import IssuedToken, RefreshTokenFamily
from projections import past
from projections.as_of import AsOf
from projections.past import Past
from projections.past_changes import difference
from projections.query import Asking
from tests.builders import a_client, later
from tests.projections.recording import Recording
from tests.projections.retention.past import family

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "PAGE_EVENTS", 3)


def _read(asking: Asking[Any], session: Connection[Any]) -> tuple[Any, list[int]]:
    """Return what `asking` leads to, and how many rows each of its queries had."""
    sizes = []
    query = next(asking)
    while True:
        rows = query.fetch(session)
        sizes.append(len(rows))
        try:
            query = asking.send(rows)
        except StopIteration as done:
            return done.value, sizes


def _rotated(times: int) -> RefreshTokenFamily:
    rotated = family(NOW)
    for number in range(times):
        token = IssuedToken(f"jti-{number}", NOW + timedelta(hours=1))
        rotated.rotate(pepper_id="p", token=token, provenance=Provenance(NOW, "req_1"))
    return rotated


@pytest.mark.parametrize(
    ("rotations", "pages"), [(0, [1]), (1, [2]), (2, [3, 0]), (3, [3, 1]), (7, [3, 3, 2])]
)
def test_a_long_family_is_read_page_by_page(
    recording: Recording, session: Connection[Any], rotations: int, pages: list[int]
) -> None:
    """No query has more rows than a page, and the family is whole whatever fits the last one."""
    rotated = _rotated(rotations)
    position = recording.record(rotated)
    found, sizes = _read(Past(AsOf(position, NOW)).family(rotated.id), session)

    assert sizes == pages
    assert found.family == rotated
    assert [fact.event.generation for fact in found.facts] == [*range(1, rotations + 2)]
    assert found.more is False


def test_a_part_of_a_familys_facts(recording: Recording, session: Connection[Any]) -> None:
    """As many as were asked for after a position, across pages, beside the family as it stood."""
    rotated = _rotated(7)
    last = recording.record(rotated)
    first = last - 7
    shown = {}
    for after, most in ((0, 4), (first, 4), (first + 3, 4), (last, 4)):
        asking = Past(AsOf(last, NOW)).family(rotated.id, after=after, most=most)
        found, _ = _read(asking, session)
        assert found.family == rotated
        shown[after - first if after else None] = (
            [fact.position - first for fact in found.facts],
            found.more,
        )

    assert shown == {
        None: ([0, 1, 2, 3], True),
        0: ([1, 2, 3, 4], True),
        3: ([4, 5, 6, 7], False),
        7: ([], False),
    }


def test_a_family_is_no_token(recording: Recording, session: Connection[Any]) -> None:
    """Whoever asks for a token by the id of a long family is answered after one page."""
    rotated = _rotated(7)
    position = recording.record(rotated)

    assert _read(Past(AsOf(position, NOW)).token(rotated.id), session) == (None, [3])


@pytest.mark.parametrize("known", range(9))
def test_a_long_difference_is_read_page_by_page(
    recording: Recording, session: Connection[Any], known: int
) -> None:
    """Wherever between its pages the first moment is, each act is told once, and from what on."""
    client = a_client()
    for number in range(7):
        policy = TokenPolicy(lifetime=60 + number)
        client.set_token_policy(policy, provenance=later(1))
    last = recording.record(client)
    first = last - 8 + known
    asking = difference(
        Client.stream("reporter"), client_fields, since=first, until=last, now=datetime.now(UTC)
    )
    found, sizes = _read(asking, session)

    assert max(sizes) <= 3
    assert found.existed is bool(known)
    assert [act.position for act in found.acts] == [*range(first + 1, last + 1)]
    lifetime = [change for change in found.fields if change.field.endswith("lifetime")]
    assert [change.after for change in lifetime] == ([66] if known < 8 else [])


def test_an_unreadable_stream_of_the_past_hides_no_other(
    recording: Recording, session: Connection[Any]
) -> None:
    """Who there was is told without the one whose event cannot be read; asked for itself, it is
    refused, and so is what changed about it.
    """
    broken, whole = a_client(client_id="broken"), a_client(client_id="whole")
    recording.record(broken, whole)
    recording._recorder.insert_events(
        [StoredEvent(broken.id, broken.version + 1, "client.disabled", b"{}")]
    )
    then = Past(AsOf(3, NOW))

    assert [one.client_id for one in _read(then.clients(), session)[0]] == ["whole"]
    assert _read(then.client("whole"), session)[0] == whole
    with pytest.raises(StreamUnreadable, match=str(broken.id)):
        _read(then.client("broken"), session)
    with pytest.raises(StreamUnreadable, match=str(broken.id)):
        _read(difference(broken.id, client_fields, since=1, until=None, now=NOW), session)
