"""Report 13: what clients are allowed and did not use."""

from datetime import datetime
from typing import Any

from psycopg import Connection

from projections.reports.unused_grants import UNUSED_GRANTS
from tests.builders import CATALOGUE
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def test_tells_what_could_be_taken_away(recording: Recording, session: Connection[Any]) -> None:
    """Scopes, audiences and grant types without a token in the days before."""
    story = Story(recording)
    client = story.client("shop", grant_types=("client_credentials",))
    story.machine_token(client, scope=("mcp",), audience=("hook",))
    early = story.position
    client.set_scopes(
        ("mcp", "service"), catalogue=CATALOGUE, provenance=story.act(minutes=50 * 24 * 60)
    )
    story.record(client)
    story.settle()

    def rows(as_of: int | datetime, days: int, **given: str) -> list[Any]:
        return [row[2:] for row in asked(session, UNUSED_GRANTS, as_of=as_of, days=days, **given)]

    assert rows(early, 30) == [
        ("audience", "https://api.example", 1),
        ("scope", "service", 1),
        ("scope", "user", 1),
    ]
    assert rows(story.now, 60) == [("audience", "https://api.example", 1), ("scope", "service", 1)]
    assert rows(story.now, 60, client_id="other") == []
    assert rows(story.now, 30) == [
        ("audience", "hook", 0),
        ("audience", "https://api.example", 0),
        ("grant_type", "client_credentials", 0),
        ("scope", "mcp", 0),
        ("scope", "service", 0),
    ]
