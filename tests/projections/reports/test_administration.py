"""Report 18: who did what to whom, and why."""

from typing import Any

from psycopg import Connection

from projections.reports.administration import ADMINISTRATION
from projections.reports.report import Row
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def test_tells_every_administrative_act(recording: Recording, session: Connection[Any]) -> None:
    """Changes of clients and principals, and what others ended; not what one did to oneself."""
    story = Story(recording)
    client = story.client("shop")
    alice = story.principal("alice")
    mine, theirs = story.machine_token(client), story.machine_token(client)
    mine.revoke(by="shop", reason="done", provenance=story.act())
    theirs.revoke(by="operator-2", reason="leaked", provenance=story.act())
    story.record(mine, theirs)
    before = story.position
    alice.deactivate(story.act(by="operator-2", why="left"))
    story.record(alice)
    story.settle()

    def rows(as_of: int, **given: Any) -> list[Row]:
        found = asked(session, ADMINISTRATION, as_of=as_of, **given)
        return [(row[0], *row[3:8]) for row in found]

    acts = [
        (1, "operator-1", None, "client.registered", "shop", None),
        (2, "operator-1", None, "principal.registered", None, "alice"),
        (6, "operator-2", "leaked", "token.revoked", "shop", "shop"),
    ]
    left = (7, "operator-2", "left", "principal.deactivated", None, "alice")
    assert rows(before) == acts
    assert rows(99) == [*acts, left]
    assert rows(99, actor="operator-2") == [acts[2], left]
    assert rows(99, since=story.now) == [left]
    assert rows(99, until=story.now) == acts
