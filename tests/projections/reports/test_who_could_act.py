"""Report 8: which client could act for whom."""

from typing import Any

from psycopg import Connection

from domain.client_configuration import TOKEN_EXCHANGE, Delegation
from domain.consents import Consents
from domain.trusted_issuer import IssuerTerms, TrustedIssuer
from projections.reports.who_could_act import WHO_COULD_ACT
from tests.builders import CATALOGUE
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

ISSUER = "https://id.example"


def test_consents_for_different_places_are_told_apart(
    recording: Recording, session: Connection[Any]
) -> None:
    """A later consent for another resource does not hide an earlier one, and both are withdrawn."""
    story = Story(recording)
    story.client("shop")
    consents = Consents.open("alice", provenance=story.act())
    given = {"session_id": "sess_1", "redirect_target": "https://shop.example/cb"}
    consents.give("shop", ("mcp",), resource=("https://a",), provenance=story.act(), **given)
    first = story.now
    consents.give("shop", ("user",), resource=("https://b",), provenance=story.act(), **given)
    second = story.now
    story.record(consents)
    before = story.position
    consents.withdraw("shop", provenance=story.act())
    story.record(consents)
    story.settle()

    def rows(as_of: int) -> list[Any]:
        found = asked(session, WHO_COULD_ACT, as_of=as_of)
        return [row for row in found if row[1] == "consent"]

    assert rows(before) == [
        ("shop", "consent", "alice", None, False, ["mcp"], first),
        ("shop", "consent", "alice", None, False, ["user"], second),
    ]
    assert rows(story.position) == []


def test_tells_by_what_right(recording: Recording, session: Connection[Any]) -> None:
    """Named by another client, holding a token, on an issuer's word, with a person's consent."""
    story = Story(recording)
    exchanging = {"grant_types": (TOKEN_EXCHANGE,), "scopes": ("mcp",)}
    agent = story.client("agent", **exchanging, delegation=Delegation(impersonation=True))
    story.client("shop", delegation=Delegation(may_act=("agent", "stranger")))
    story.client("plain", delegation=Delegation(may_act=()))
    consents = Consents.open("alice", provenance=story.act())
    consents.give("shop", ("mcp",), session_id="sess_1", provenance=story.act())
    story.record(consents)
    consented = story.now
    before = story.position
    issuer = TrustedIssuer.add(
        IssuerTerms(issuer=ISSUER, scopes=("mcp",)), catalogue=CATALOGUE, provenance=story.act()
    )
    story.record(issuer)
    trusted, with_issuer = story.now, story.position
    issuer.remove(story.act())
    consents.withdraw("shop", provenance=story.act())
    agent.disable(story.act())
    story.record(issuer, consents, agent)
    story.settle()

    named = ("agent", "named", "shop", None, True, ["mcp"], None)
    unnamed = ("agent", "unnamed", None, 1, True, ["mcp"], None)
    consent = ("shop", "consent", "alice", None, False, ["mcp"], consented)
    vouched = ("agent", "trusted issuer", ISSUER, None, True, ["mcp"], trusted)

    def rows(as_of: int, **given: str) -> list[Any]:
        return asked(session, WHO_COULD_ACT, as_of=as_of, **given)

    assert rows(before) == [named, unnamed, consent]
    assert rows(with_issuer) == [named, vouched, unnamed, consent]
    assert rows(with_issuer, client_id="shop") == [consent]
    assert rows(with_issuer, whom=ISSUER) == [vouched]
    assert rows(99) == []
