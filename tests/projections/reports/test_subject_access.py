"""Report 7: every token that a subject is part of, as itself or in an act chain."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.access_token import AccessToken
from domain.client_configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE, Redirects
from projections.reports.subject_access import SUBJECT_ACCESS
from tests.builders import NOON
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

API = ["https://api.example"]
SESSION = "sess_00000000000000000000000000000001"


def after(minutes: float) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def _row(token: AccessToken, minute: int, part: str, place: int | None, *rest: Any) -> Any:
    """Return the row of a token that was issued at `minute`: its state, and how it ended."""
    issued = token.issued
    actors = [actor.subject for actor in token.actors] or None
    return (
        *(minute, after(minute), token.id, part, place, issued.subject, actors, issued.client_id),
        *(API, list(issued.scope), issued.grant_type, SESSION, "address-hash"),
        *(issued.expires_at, *rest),
    )


def test_finds_a_subject_in_every_part(recording: Recording, session: Connection[Any]) -> None:
    """As who the token is about, as who acts, behind who acts, and as both; ended ones too."""
    story = Story(recording)
    alice = story.principal("alice")  # 1
    web = story.client(  # 2
        "web",
        grant_types=("authorization_code",),
        scopes=("user",),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
    )
    grants = (CLIENT_CREDENTIALS, TOKEN_EXCHANGE)
    one = story.client("agent-1", grant_types=grants, scopes=("user", "mcp"))  # 3
    two = story.client("agent-2", grant_types=grants, scopes=("user", "mcp"))  # 4
    token = story.person_token(web, alice)  # 5
    first = story.exchanged(one, token, person=alice)  # 6
    second = story.exchanged(two, first, person=alice)  # 7
    before = story.position
    own = story.machine_token(one, scope=("mcp",))  # 8
    itself = story.exchanged(one, own)  # 9
    story.machine_token(two, scope=("mcp",))  # 10
    story.revoked(first, descendants=True)  # 11
    story.settle()
    live, still = ("live", None, None, None), ("void", None, None, None)
    ended = ("revoked", after(11), "operator-1", None)

    assert asked(session, SUBJECT_ACCESS, as_of=before, subject="agent-1") == [
        _row(first, 6, "actor", 1, *live),
        _row(second, 7, "actor", 2, *live),
    ]
    assert asked(session, SUBJECT_ACCESS, as_of=story.now, subject="agent-1") == [
        _row(first, 6, "actor", 1, *ended),
        _row(second, 7, "actor", 2, *still),
        _row(own, 8, "subject", None, *live),
        _row(itself, 9, "both", 1, *live),
    ]
    assert asked(session, SUBJECT_ACCESS, as_of=story.now, subject="alice") == [
        _row(token, 5, "subject", None, *live),
        _row(first, 6, "subject", None, *ended),
        _row(second, 7, "subject", None, *still),
    ]
    window = {"subject": "alice", "since": after(6), "until": after(7)}
    assert asked(session, SUBJECT_ACCESS, as_of=before, **window) == [
        _row(first, 6, "subject", None, *live)
    ]
    assert asked(session, SUBJECT_ACCESS, as_of=story.now, subject="nobody") == []
