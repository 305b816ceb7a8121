"""Report 14: how scopes grew and shrank."""

from typing import Any

from psycopg import Connection

from projections.reports.report import Row
from projections.reports.scope_creep import SCOPE_CREEP
from tests.builders import CATALOGUE
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def test_tells_what_came_and_what_went(recording: Recording, session: Connection[Any]) -> None:
    """Each change beside the one before it, by whom and why."""
    story = Story(recording)
    client = story.client("shop", scopes=("mcp",))
    first = story.now
    story.client("other", scopes=("user",))
    client.set_scopes(
        ("mcp", "service", "user"), catalogue=CATALOGUE, provenance=story.act(why="ticket 7")
    )
    story.record(client)
    grown, before = story.now, story.position
    client.set_scopes(("user",), catalogue=CATALOGUE, provenance=story.act(by="operator-2"))
    story.record(client)
    shrunk = story.now
    story.settle()

    begun: Row = ("shop", 1, first, "operator-1", None, 1, ["mcp"], [], ["mcp"])
    everything = ["user", "service", "mcp"]
    more: Row = (
        *("shop", 3, grown, "operator-1", "ticket 7", 3),
        *(["user", "service"], [], everything),
    )
    less: Row = ("shop", 4, shrunk, "operator-2", None, 1, [], ["service", "mcp"], ["user"])
    assert asked(session, SCOPE_CREEP, as_of=before, client_id="shop") == [begun, more]
    assert asked(session, SCOPE_CREEP, as_of=99, client_id="shop") == [begun, more, less]
    assert asked(session, SCOPE_CREEP, as_of=99, since=shrunk) == [less]
    assert [row[0] for row in asked(session, SCOPE_CREEP, as_of=99)] == ["other", *["shop"] * 3]
