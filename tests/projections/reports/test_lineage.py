"""Report 10: what a token came from, what came of it, and what happened to each."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.client_configuration import TOKEN_EXCHANGE, Redirects
from domain.descent import Vouched
from projections.reports.lineage import LINEAGE
from tests.builders import NOON, stream_id
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

API = ["https://api.example"]
CODE = {
    "grant_types": ("authorization_code", "refresh_token"),
    "redirects": Redirects(redirect_uris=("https://client.example/callback",)),
}


def after(minutes: float) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def test_tells_the_whole_history(recording: Recording, session: Connection[Any]) -> None:
    """Each event of the token, its ancestors and its descendants, and of no other branch."""
    story = Story(recording)
    alice = story.principal("alice")  # 1
    web = story.client("web", scopes=("user",), **CODE)  # 2
    one, two = (
        story.client(name, grant_types=(TOKEN_EXCHANGE,), scopes=("user",))
        for name in ("agent-1", "agent-2")
    )  # 3, 4
    _, root = story.family(web, alice)  # 5, and 6 at the same moment
    child = story.exchanged(one, root, person=alice, credential_id="key-of-1")  # 7
    other = story.exchanged(two, root, person=alice)  # 8
    leaf = story.exchanged(two, child, person=alice)  # 9
    before = story.position
    story.exchanged(one, other, person=alice)  # 10
    story.revoked(child, descendants=True)  # 11
    story.settle()

    def issued(position: int, minute: int, depth: int, *facts: Any) -> Any:
        jti, relation, parent, state, client_id, actors, grounds = facts
        return (
            *(position, after(minute), "token.issued", jti, relation, depth, parent, state),
            *(client_id, "alice", actors, None, ["user"], API, after(65), None, None),
            *("client_secret_basic", grounds, "key-1", "req_story"),
        )

    def tree(middle: str, last: str) -> list[Any]:
        beginning = issued(5, 5, 0, root.id, "ancestor", None, "live", "web", None, "secret-1")
        agents = ["agent-2", "agent-1"]
        return [
            beginning,
            (
                *(6, after(5), "family.started", *beginning[3:8], "web", "alice", None, None),
                *(["user"], [], ends, None, None, None, None, None, "req_story"),
            ),
            issued(
                *(7, 6, 1, child.id, "asked", root.id, middle, "agent-1", ["agent-1"]),
                "key-of-1",
            ),
            issued(
                *(9, 8, 2, leaf.id, "descendant", child.id, last, "agent-2", agents), "secret-1"
            ),
        ]

    ends = after(5) + timedelta(days=30)
    assert asked(session, LINEAGE, as_of=before, jti=child.id) == tree("live", "live")
    end = (
        *(11, after(10), "token.revoked", child.id, "asked", 1, root.id, "revoked", "agent-1"),
        *("alice", None, None, None, None, None, "operator-1", None, None, None, None),
        "req_story",
    )
    assert asked(session, LINEAGE, as_of=story.now, jti=child.id) == [*tree("revoked", "void"), end]
    of_leaf = asked(session, LINEAGE, as_of=story.now, jti=leaf.id)
    assert [(row[3], row[4], row[5]) for row in of_leaf] == [
        (root.id, "ancestor", 0),
        (root.id, "ancestor", 0),
        (child.id, "ancestor", 1),
        (leaf.id, "asked", 2),
        (child.id, "ancestor", 1),
    ]
    assert asked(session, LINEAGE, as_of=story.now, jti=stream_id()) == []


def test_names_the_issuer_that_vouched(recording: Recording, session: Connection[Any]) -> None:
    """A chain may begin with another issuer's word."""
    story = Story(recording)
    bob = story.principal("bob")
    agent = story.client("agent", grant_types=(TOKEN_EXCHANGE,), scopes=("user",))
    token = story.exchanged_foreign(agent, bob, Vouched("https://id.example", "jti-0", 1))
    story.settle()
    (row,) = asked(session, LINEAGE, as_of=story.now, jti=token.id)

    assert (row[6], row[7]) == (None, "suspended")  # nobody trusts that issuer here
    assert row[10:12] == (["agent", "agent-0 @ https://id.example"], "https://id.example")
