"""Report 22: all that a leaked secret, key, client or family could have touched."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from psycopg import Connection

from domain.access_token import AccessToken
from domain.client_configuration import TOKEN_EXCHANGE, Redirects
from domain.refresh_token_family import IssuedToken, RefreshTokenFamily
from projections.reports.blast_radius import BLAST_RADIUS
from tests.builders import NOON, a_key
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def after(minutes: float) -> datetime:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


class Leak(NamedTuple):
    """What was recorded, and where the log stood before anybody reacted."""

    story: Story
    family: RefreshTokenFamily
    tokens: dict[str, AccessToken]
    before: int


@pytest.fixture
def leak(recording: Recording) -> Leak:
    """A web client with two secrets: tokens by each, a family, two exchanges, then reactions."""
    story = Story(recording)
    story.record(a_key("key-1"))
    alice = story.principal("alice")  # 1
    web = story.client(  # 2
        "web",
        grant_types=("client_credentials", "authorization_code", "refresh_token"),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
        scopes=("user", "mcp"),
    )
    agent = story.client("agent", grant_types=(TOKEN_EXCHANGE,), scopes=("user",))  # 3
    for secret in ("secret-1", "secret-2"):  # 4, 5
        web.add_secret(
            secret_id=secret, pepper_id="pepper-1", verifier="0" * 64, provenance=story.act()
        )
    story.record(web)
    machine = story.machine_token(web, scope=("mcp",))  # 6
    family, first = story.family(web, alice)  # 7
    other = story.machine_token(web, scope=("mcp",), credential_id="secret-2")  # 8
    second = story.person_token(  # 9
        web, alice, grant_type="refresh_token", family=family, credential_id="secret-2"
    )
    family.rotate(
        pepper_id="pepper-1",
        token=IssuedToken(str(second.id), second.issued.expires_at),
        provenance=story.act(minutes=0),
    )
    story.record(family)
    child = story.exchanged(agent, first, person=alice, credential_id="agent-key")  # 10
    grandchild = story.exchanged(agent, child, person=alice, credential_id="agent-key")  # 11
    before = story.position
    web.rename("Website", provenance=story.act(by="web"))  # 12
    story.record(web)
    story.revoked(machine)  # 13
    story.revoked(child, descendants=True)  # 14
    story.settle()
    named = {
        "machine": machine,
        "first": first,
        "other": other,
        "second": second,
        "child": child,
        "grandchild": grandchild,
    }
    return Leak(story, family, named, before)


def _listed(rows: list[Any], leak: Leak) -> list[tuple[str, str, int, str]]:
    """Return the tokens of the answer by their names here, with via, depth and state."""
    names = {str(token.id): name for name, token in leak.tokens.items()}
    return [(names[row[1]], row[7], row[8], row[9]) for row in rows if row[0] == "token"]


def test_tells_everything_that_a_secret_touched(leak: Leak, session: Connection[Any]) -> None:
    """Tokens on the secret, the family begun on it, and what was exchanged from them."""
    everything = {"leaked": "secret-1"}
    rows = asked(session, BLAST_RADIUS, as_of=leak.before, **everything)
    nothing = (None,) * 7
    span = (after(6), after(11), after(69))

    assert [row for row in rows if row[0] != "token"] == [
        ("leaked", "secret", 2, 2, after(6), after(7), after(67), *nothing),
        ("total", "tokens", 5, 5, *span, *nothing),
        ("client", "web", 3, 3, after(6), after(9), after(69), *nothing),
        ("client", "agent", 2, 2, after(10), after(11), after(67), *nothing),
        ("subject", "alice", 4, 4, after(7), after(11), after(69), *nothing),
        ("subject", "web", 1, 1, after(6), after(6), after(66), *nothing),
        ("family", leak.family.family_id, 2, 2, after(7), after(9), after(69), *nothing),
        (
            *("session", "sess_00000000000000000000000000000001", 5, 5),
            *(after(6), after(11), after(69), *nothing),
        ),
        ("grant_type", TOKEN_EXCHANGE, 2, 2, after(10), after(11), after(67), *nothing),
        ("grant_type", "authorization_code", 1, 1, after(7), after(7), after(67), *nothing),
        ("grant_type", "client_credentials", 1, 1, after(6), after(6), after(66), *nothing),
        ("grant_type", "refresh_token", 1, 1, after(9), after(9), after(69), *nothing),
        ("scope", "user", 4, 4, after(7), after(11), after(69), *nothing),
        ("scope", "mcp", 1, 1, after(6), after(6), after(66), *nothing),
        ("audience", "https://api.example", 5, 5, after(6), after(11), after(69), *nothing),
    ]
    assert _listed(rows, leak) == [
        ("machine", "itself", 0, "live"),
        ("first", "itself", 0, "live"),
        ("second", "family", 0, "live"),
        ("child", "exchange", 1, "live"),
        ("grandchild", "exchange", 2, "live"),
    ]
    (token,) = [row for row in rows if row[1] == str(leak.tokens["grandchild"].id)]
    assert token[2:7] == (1, 1, after(11), after(11), after(67))
    assert token[10:] == ("agent", "alice", ["user"], ["https://api.example"])


def test_tells_what_still_works_after_the_reaction(leak: Leak, session: Connection[Any]) -> None:
    """What was revoked, what is void with its ancestor, what expired; living ones come first."""
    rows = asked(session, BLAST_RADIUS, as_of=leak.story.now, leaked="secret-1")

    assert rows[1][:4] == ("total", "tokens", 5, 2)
    assert ("act", "client.renamed", 1, None, after(12), after(12)) in [row[:6] for row in rows]
    assert _listed(rows, leak) == [
        ("first", "itself", 0, "live"),
        ("second", "family", 0, "live"),
        ("machine", "itself", 0, "revoked"),
        ("child", "exchange", 1, "revoked"),
        ("grandchild", "exchange", 2, "void"),
    ]
    later = asked(session, BLAST_RADIUS, as_of=after(68), leaked="secret-1")
    assert _listed(later, leak)[:2] == [
        ("second", "family", 0, "live"),
        ("machine", "itself", 0, "revoked"),
    ]
    assert ("first", "itself", 0, "expired") in _listed(later, leak)


@pytest.mark.parametrize(
    ("leaked", "kind", "touched"),
    [
        ("secret-2", "secret", ["other", "second"]),
        ("web", "client", ["machine", "first", "other", "second", "child", "grandchild"]),
        ("key-1", "key", ["machine", "first", "other", "second", "child", "grandchild"]),
        ("agent-key", "credential", ["child", "grandchild"]),
        ("agent", "client", ["child", "grandchild"]),
        ("family", "family", ["first", "second", "child", "grandchild"]),
        ("unheard-of", None, []),
    ],
)
def test_recognises_what_leaked(
    leak: Leak,
    session: Connection[Any],
    leaked: str,
    kind: str | None,
    touched: list[str],
) -> None:
    """A secret, a key, a client, a family or another credential: each finds what it touched."""
    name = leak.family.family_id if leaked == "family" else leaked
    rows = asked(session, BLAST_RADIUS, as_of=leak.before, leaked=name)

    assert [row[1] for row in rows if row[0] == "leaked"] == ([kind] if kind else [])
    assert [listed[0] for listed in _listed(rows, leak)] == touched


def test_the_window_bounds_the_use_and_most_the_list(leak: Leak, session: Connection[Any]) -> None:
    """What came of a use within the window counts, however late; counts are of all tokens."""
    bounds = {"leaked": "web", "since": after(7), "until": after(8)}
    rows = asked(session, BLAST_RADIUS, as_of=leak.before, most=2, **bounds)

    assert rows[0][:3] == ("leaked", "client", 1)
    assert rows[1][:3] == ("total", "tokens", 4)
    assert [listed[0] for listed in _listed(rows, leak)] == ["first", "second"]
