"""Report 9: how deep chains of delegation are, and which began with another issuer's word."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.client_configuration import TOKEN_EXCHANGE, Delegation, Redirects
from domain.descent import Vouched
from projections.reports.delegation_depth import DELEGATION_DEPTH
from tests.builders import NOON
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

DAY = 24 * 60
ISSUER = "https://id.example"


def after(minutes: float) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def test_tells_how_deep_and_across_what(recording: Recording, session: Connection[Any]) -> None:
    """Each depth, each other domain, and the deepest chains; impersonation is counted."""
    story = Story(recording)
    alice, bob = story.principal("alice"), story.principal("bob")  # 1, 2
    web = story.client(  # 3
        "web",
        grant_types=("authorization_code",),
        scopes=("user",),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
    )
    one = story.client("agent-1", grant_types=(TOKEN_EXCHANGE,), scopes=("user",))  # 4
    two = story.client(  # 5
        "agent-2",
        grant_types=(TOKEN_EXCHANGE,),
        scopes=("user",),
        delegation=Delegation(impersonation=True),
    )
    root = story.person_token(web, alice)  # 6
    first = story.exchanged(one, root, person=alice)  # 7
    story.exchanged(one, root, person=alice)  # 8
    before = story.position
    foreign = story.exchanged_foreign(one, bob, Vouched(ISSUER, "jti-0", 1))  # 9
    inner = story.exchanged(one, foreign, person=bob)  # 10
    last = story.exchanged(two, inner, person=bob)  # 11
    story.settle()
    alone = (
        *(1, 2, 1, 0, 0, 1, 1, after(7), after(8), first.id, "alice", ["agent-1"]),
        None,
    )

    assert asked(session, DELEGATION_DEPTH, as_of=before) == [
        ("depth", "1", *alone),
        ("chain", str(root.id), *alone),
    ]
    chained = ["agent-1", "agent-1", f"agent-0 @ {ISSUER}"]
    whole = (3, 3, 1, 3, 1, 2, 1, after(9), after(11), last.id, "bob", chained)
    depths = [
        ("depth", "3", 3, 1, 1, 1, 1, 1, 1, after(11), after(11), last.id, "bob", chained, None),
        ("depth", "2", 2, 1, 1, 1, 0, 1, 1, after(10), after(10), inner.id, "bob", chained, None),
        (
            *("depth", "1", 1, 3, 2, 1, 0, 1, 2, after(7), after(9), first.id, "alice"),
            *(["agent-1"], None),
        ),
    ]
    foreign_chain = ("chain", str(foreign.id), *whole, ISSUER)
    assert asked(session, DELEGATION_DEPTH, as_of=story.now) == [
        *depths,
        ("domain", ISSUER, *whole, None),
        foreign_chain,
        ("chain", str(root.id), *alone),
    ]
    assert asked(session, DELEGATION_DEPTH, as_of=story.now, most=1)[4:] == [foreign_chain]
    assert asked(session, DELEGATION_DEPTH, as_of=story.now, subject="alice") == [
        ("depth", "1", *alone),
        ("chain", str(root.id), *alone),
    ]
    assert asked(session, DELEGATION_DEPTH, as_of=after(11 + 7 * DAY)) == []


def test_a_chain_that_began_before_the_window(
    recording: Recording, session: Connection[Any]
) -> None:
    """What lies behind a token counts, though only the token is in the window."""
    story = Story(recording)
    bob = story.principal("bob")
    one = story.client("agent-1", grant_types=(TOKEN_EXCHANGE,), scopes=("user",))
    foreign = story.exchanged_foreign(one, bob, Vouched(ISSUER, "jti-0", 1))  # 3
    inner = story.exchanged(one, foreign, person=bob)  # 4
    story.settle()
    rows = asked(session, DELEGATION_DEPTH, as_of=after(3 + DAY), days=1)

    assert [(row[0], row[2], row[3], row[11]) for row in rows] == [
        ("depth", 2, 1, inner.id),
        ("domain", 2, 1, inner.id),
        ("chain", 2, 1, inner.id),
    ]
