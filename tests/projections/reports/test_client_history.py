"""Report 1: a client's configuration at one moment, and what changed it."""

from typing import Any

from psycopg import Connection

from projections.reports.client_history import CLIENT_HISTORY
from tests.builders import CATALOGUE
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def test_tells_what_it_was_and_who_changed_it(
    recording: Recording, session: Connection[Any]
) -> None:
    """First the configuration then, field by field; then each change with before and after."""
    story = Story(recording)
    story.client("other")
    client = story.client("shop", owner="owner-1", name="Shop")
    client.set_scopes(("mcp",), catalogue=CATALOGUE, provenance=story.act(why="review"))
    story.record(client)
    then, changed_at = story.now, story.now
    client.add_secret(
        secret_id="s-1", pepper_id="pepper-1", verifier="v" * 64, provenance=story.act()
    )
    client.set_owner(None, provenance=story.act(by="operator-2", why="left"))
    client.disable(story.act(by="operator-2"))
    before = story.record(client) - 1
    story.settle()
    minutes = [story.now.replace(minute=minute) for minute in (4, 5, 6)]

    now = asked(session, CLIENT_HISTORY, as_of=99, client_id="shop", since=then)
    at = {row[6]: row[8] for row in now if row[0] == "at"}

    assert (at["owner"], at["scopes"], at["enabled"], at["name"]) == (
        *("owner-1", '["mcp"]', "true", "Shop"),
    )
    assert [row for row in now if row[0] == "change"] == [
        (
            *("change", 4, minutes[0], "operator-1", None, "client.secret_added"),
            *("secret s-1", None, "added"),
        ),
        (
            *("change", 5, minutes[1], "operator-2", "left", "client.owner_changed"),
            *("owner", "owner-1", None),
        ),
        (
            *("change", 6, minutes[2], "operator-2", None, "client.disabled"),
            *("enabled", "true", "false"),
        ),
    ]
    assert not any("v" * 64 in str(row) for row in now)
    earlier = asked(session, CLIENT_HISTORY, as_of=before, client_id="shop", since=changed_at)
    assert [row[1] for row in earlier if row[0] == "change"] == [4, 5]
    assert asked(session, CLIENT_HISTORY, as_of=99, client_id="nobody") == []


def test_a_position_parts_what_was_recorded_at_once(
    recording: Recording, session: Connection[Any]
) -> None:
    """Events of one moment are parted at the position asked for, and a moment has all of them."""
    story = Story(recording)
    client = story.client("shop", owner="owner-1")
    client.rename("Shop", provenance=story.act(minutes=0))
    client.set_owner("owner-2", provenance=story.act(minutes=0))
    story.record(client)
    story.settle()

    def changes(since: object) -> list[Any]:
        rows = asked(session, CLIENT_HISTORY, as_of=99, client_id="shop", since=since)
        return [(row[1], row[6]) for row in rows if row[0] == "change"]

    assert changes(1) == [(2, "name"), (3, "owner")]
    assert changes(2) == [(3, "owner")]
    assert changes(3) == changes(story.now) == []
