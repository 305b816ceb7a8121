"""Report 6: what worked at a moment, and that introspection says the same."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import Connection

from application.introspection import living_token
from domain.access_token import AccessToken
from domain.client_configuration import TOKEN_EXCHANGE, Redirects
from domain.descent import Vouched
from domain.issuance import SigningChoice
from domain.signing_key import SigningKey
from domain.trusted_issuer import IssuerTerms, TrustedIssuer
from projections.query import answered
from projections.reports.asking import answering
from projections.reports.live_tokens import LIVE_TOKENS
from tests.application.fakes import MemoryDirectory, MemoryLog
from tests.builders import CATALOGUE, NOON, POLICY, PUBLIC_JWK, SIGNING
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.rich_history import RichHistory
from tests.projections.reports.story import Story

API = ["https://api.example"]
SESSION = "sess_00000000000000000000000000000001"
CODE = {
    "grant_types": ("authorization_code",),
    "redirects": Redirects(redirect_uris=("https://client.example/callback",)),
}


def after(minutes: float) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def test_lists_what_worked_then(recording: Recording, session: Connection[Any]) -> None:
    """Live tokens with whose they are and where they are good; of before, and of after the end."""
    story = Story(recording)
    owner = story.principal("owner-1")  # 1
    billing = story.client("billing", owner="owner-1")  # 2
    agent = story.client("agent", grant_types=(TOKEN_EXCHANGE,), scopes=("mcp",))  # 3
    token = story.machine_token(billing, owner=owner, scope=("mcp",))  # 4
    child = story.exchanged(agent, token, person=owner)  # 5
    before = story.position
    other = story.machine_token(billing, owner=owner, scope=("mcp",), audience=("hook",))  # 6
    billing.disable(story.act())  # 7
    story.record(billing)
    suspended = story.position
    billing.enable(story.act())  # 8
    story.record(billing)
    story.revoked(token, descendants=True)  # 9
    story.settle()

    def row(of: AccessToken, minute: int, state: str, *, live: int, suspended: int) -> Any:
        whose = ("billing", "owner-1", None, "client_credentials", ["mcp"])
        if of is child:
            whose = ("agent", "owner-1", ["agent"], TOKEN_EXCHANGE, ["mcp"])  # type: ignore[assignment]
        because = "client billing" if state == "suspended" else None
        return (
            *(of.id, state, because, "access_token", *whose),
            *(["hook"] if of is other else API, SESSION, None, None, "key-1"),
            *(after(minute), min(after(minute + 60), after(64) if of is child else after(66))),
            *(live, suspended),
        )

    assert asked(session, LIVE_TOKENS, as_of=before) == [
        row(child, 5, "live", live=2, suspended=0),
        row(token, 4, "live", live=2, suspended=0),
    ]
    assert asked(session, LIVE_TOKENS, as_of=suspended) == [
        row(other, 6, "suspended", live=0, suspended=3),
        row(child, 5, "suspended", live=0, suspended=3),
        row(token, 4, "suspended", live=0, suspended=3),
    ]
    assert asked(session, LIVE_TOKENS, as_of=story.now) == [
        row(other, 6, "live", live=1, suspended=0)
    ]
    assert asked(session, LIVE_TOKENS, as_of=after(66)) == []


def test_a_deactivation_voids_for_good(recording: Recording, session: Connection[Any]) -> None:
    """What was issued under a principal that was deactivated since is not listed any more, whether
    or not the principal was reactivated and whoever owns the client; what is issued then is.
    """
    story = Story(recording)
    owner, heir = story.principal("owner-1"), story.principal("owner-2")
    billing = story.client("billing", owner="owner-1")
    story.machine_token(billing, owner=owner, scope=("mcp",))
    billing.set_owner("owner-2", provenance=story.act())
    story.record(billing)
    kept = story.machine_token(billing, owner=heir, scope=("mcp",))
    before = story.position
    owner.deactivate(story.act())
    story.record(owner)
    meanwhile = story.position
    owner.reactivate(story.act())
    billing.set_owner("owner-1", provenance=story.act())
    story.record(owner, billing)
    again = story.machine_token(billing, owner=owner, scope=("mcp",))
    story.settle()

    def listed(as_of: Any) -> set[tuple[UUID, str]]:
        return {(row[0], row[1]) for row in asked(session, LIVE_TOKENS, as_of=as_of)}

    assert len(listed(before)) == 2
    assert listed(meanwhile) == {(kept.id, "live")}
    assert listed(story.now) == {(kept.id, "live"), (again.id, "live")}


def test_narrows_and_bounds(recording: Recording, session: Connection[Any]) -> None:
    """Filters narrow what is counted, `most` only what is listed."""
    story = Story(recording)
    one, two = story.client("one"), story.client("two")
    tokens = [story.machine_token(client) for client in (one, two, one)]
    hook = story.machine_token(one, audience=("hook",))
    story.settle()

    def found(**given: Any) -> list[Any]:
        rows = asked(session, LIVE_TOKENS, as_of=story.now, **given)
        return [(row[0], row[-2]) for row in rows]

    assert found(most=1) == [(hook.id, 4)]
    assert found(client_id="one", most=2) == [(hook.id, 3), (tokens[2].id, 3)]
    assert found(subject="two") == [(tokens[1].id, 1)]
    assert found(audience="hook") == [(hook.id, 1)]
    assert found(client_id="two", audience="hook") == []


@dataclass(frozen=True)
class Then:
    """The service as it stood when a part of the log was all there was."""

    log: MemoryLog
    directory: MemoryDirectory


async def _introspected(recording: Recording, position: int, *, now: Any) -> set[UUID]:
    """Return the tokens that introspection says are active."""
    log = MemoryLog()
    log.copy(recording.stored(until=position))
    then = Then(log, MemoryDirectory(log))
    records = [await living_token(str(token.id), then) for token in log.all_of(AccessToken)]
    return {record.id for record in records if record and now < record.issued.expires_at}


def _delegation(story: Story) -> None:
    """Let each thing behind tokens fall and stand again, the ancestors' included."""
    owner, alice = story.principal("owner-9"), story.principal("alice-9")
    web = story.client("web-9", scopes=("user", "mcp"), **CODE)
    billing = story.client("billing-9", owner="owner-9")
    agents = [
        story.client(f"agent-9{place}", grant_types=(TOKEN_EXCHANGE,), scopes=("user", "mcp"))
        for place in range(2)
    ]
    terms = IssuerTerms(issuer="https://other.example", scopes=("user", "mcp"))
    issuer = TrustedIssuer.add(terms, catalogue=CATALOGUE, provenance=story.act())
    story.record(issuer)
    vouched = Vouched("https://other.example", "jti-9", 1)
    for token, person in (
        (story.person_token(web, alice, ("user", "mcp")), alice),
        (story.machine_token(billing, owner=owner, scope=("mcp",)), owner),
        (story.exchanged_foreign(agents[1], alice, vouched), alice),
        (story.machine_token(billing, scope=("mcp",), owner=owner), None),
    ):
        child = story.exchanged(agents[0], token, person=person)
        story.exchanged(agents[1], child, person=person)
    for fallen in (web, billing, *agents):
        fallen.disable(story.act())
        story.record(fallen)
        fallen.enable(story.act())
        story.record(fallen)
    for person in (owner, alice):
        person.deactivate(story.act())
        story.record(person)
        person.reactivate(story.act())
        story.record(person)
    issuer.remove(story.act())
    story.record(issuer)
    issuer.replace_terms(terms, catalogue=CATALOGUE, provenance=story.act())
    story.record(issuer)
    billing.set_owner("nobody", provenance=story.act())
    story.record(billing)
    billing.set_owner(None, provenance=story.act())
    story.record(billing)


def _leaked_keys(story: Story) -> None:
    """Revoke the key that signed some tokens, and the ancestors of others, and then the next."""
    other = SigningChoice(kid="key-2", algorithm="ES256")
    keys = [
        SigningKey.generate(
            kid=kid, algorithm="ES256", public_jwk=PUBLIC_JWK, provenance=story.act()
        )
        for kid in ("key-1", "key-2")
    ]
    story.record(*keys)
    billing = story.client("billing-9", scopes=("mcp",))
    agent = story.client("agent-9", grant_types=(TOKEN_EXCHANGE,), scopes=("mcp",))
    for signing in (SIGNING, other):
        for of_child in (SIGNING, other):
            token = story.machine_token(billing, scope=("mcp",), signing=signing)
            story.exchanged(agent, token, signing=of_child)
    keys[0].activate(story.act())
    story.record(keys[0])
    keys[0].revoke(story.act())
    story.record(keys[0])
    story.machine_token(billing, scope=("mcp",))
    story.machine_token(billing, scope=("mcp",), signing=other)
    keys[1].retire(verify_until=after(300), provenance=story.act())
    story.record(keys[1])
    keys[1].revoke(story.act())
    story.record(keys[1])


@pytest.mark.parametrize("history", [RichHistory, _delegation, _leaked_keys])
async def test_says_what_introspection_says(
    recording: Recording, session: Connection[Any], history: Callable[[Story], object]
) -> None:
    """At each position of a mixed history the live tokens are those that introspection calls
    active: whatever was revoked, cut, disabled, deactivated, distrusted, and stands again.
    """
    story = Story(recording)
    history(story)
    story.settle()
    moments = dict(session.execute("SELECT position, recorded_at FROM read.audit_trail").fetchall())
    seen: set[frozenset[UUID]] = set()
    for position in range(1, story.position):
        asking = answering(LIVE_TOKENS, {}, position, now=story.now, policy=POLICY)
        live = {row[0] for row in answered(asking, session).rows if row[1] == "live"}
        seen.add(frozenset(live))

        assert live == await _introspected(recording, position, now=moments[position])
    assert len(seen) > 10
