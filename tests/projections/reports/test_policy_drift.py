"""Report 15: tokens that today's policy would not issue, decided by the domain's own code."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from domain.client import Client
from domain.client_configuration import (
    TOKEN_EXCHANGE,
    Audiences,
    Delegation,
    Redirects,
    TokenPolicy,
)
from domain.descent import Vouched
from domain.permissions import DEFAULT_PERMISSIONS, Catalogue
from domain.principal import Principal
from domain.provenance import Provenance
from domain.trusted_issuer import IssuerTerms, TrustedIssuer
from projections.reports.policy_drift import POLICY_DRIFT
from projections.reports.report import Row
from tests.builders import CATALOGUE, NOON, POLICY, a_client
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def after(minutes: float) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def test_nothing_drifts_while_nothing_changes(
    recording: Recording, session: Connection[Any]
) -> None:
    """Every kind of token would be issued again as it was."""
    story = Story(recording)
    owner = story.principal("owner-1", "user", "admin")
    alice = story.principal("alice")
    owned = story.client("owned", owner="owner-1")
    web = story.client(
        "web",
        grant_types=("authorization_code", "refresh_token", TOKEN_EXCHANGE),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
        scopes=("user", "mcp", "openid"),
    )
    story.machine_token(owned, owner=owner)
    story.machine_token(owned, owner=owner, scope=("user",), audience=("hook",))
    token = story.person_token(web, alice, ("openid", "user"))
    story.exchanged(web, token, person=alice)
    story.exchanged(web, story.exchanged(web, token, person=alice), person=alice)
    story.settle()

    assert asked(session, POLICY_DRIFT, as_of=story.now) == []


def test_tells_what_would_be_refused_or_narrowed(
    recording: Recording, session: Connection[Any]
) -> None:
    """Equal decisions are one row, with the versions that decided then and those of today."""
    story = Story(recording)
    owner = story.principal("owner-1")  # 1
    owned = story.client("owned", owner="owner-1")  # 2
    plain = story.client("plain")  # 3
    story.machine_token(owned, owner=owner)  # 4
    story.machine_token(plain)  # 5
    revoked = story.machine_token(plain)  # 6
    story.revoked(revoked)  # 7
    before = story.position
    plain.set_scopes(("mcp",), catalogue=CATALOGUE, provenance=story.act())
    owner.deactivate(story.act())
    story.record(plain, owner)  # 8, 9
    story.settle()
    api = ["https://api.example"]
    digest = CATALOGUE.digest

    assert asked(session, POLICY_DRIFT, as_of=before) == []
    refused: Row = (
        *("refused", "owner deactivated: owner-1", "owned", "owner-1", "client_credentials"),
        *(["user", "service", "mcp"], [], api, 1, 1, after(4), after(4), after(64)),
        *(1, 1, 1, 2, digest, digest),
    )
    narrowed = (
        *("narrowed", "scope: service", "plain", "plain", "client_credentials"),
        *(["service", "mcp"], ["mcp"], api, 1, 1, after(5), after(5), after(65)),
        *(1, 2, None, None, digest, digest),
    )
    assert asked(session, POLICY_DRIFT, as_of=story.now) == [refused, narrowed]
    assert asked(session, POLICY_DRIFT, as_of=story.now, client_id="plain") == [narrowed]
    assert asked(session, POLICY_DRIFT, as_of=after(64)) == [narrowed]
    assert asked(session, POLICY_DRIFT, as_of=after(65)) == []
    everything = asked(session, POLICY_DRIFT, as_of=after(70), since=after(5))
    assert everything == [
        (*narrowed[:8], 2, 0, after(5), after(6), after(66), *narrowed[13:]),
    ]


def _web(story: Story) -> tuple[Client, Principal]:
    client = story.client(
        "web",
        grant_types=("authorization_code", "refresh_token", TOKEN_EXCHANGE, "client_credentials"),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
        scopes=("user", "mcp", "service"),
        delegation=Delegation(impersonation=True),
        authorization_details_types=("payment", "account"),
    )
    return client, story.principal("alice", "user", "admin")


CHANGES = [
    ("client disabled", "refused", "client disabled", lambda c, _p, at: c.disable(at)),
    (
        "grant type withdrawn",
        "refused",
        "authorization_code is not registered for this client",
        lambda c, _p, at: c.set_grant_types(("refresh_token",), provenance=at),
    ),
    ("person deactivated", "refused", "person deactivated", lambda _c, p, at: p.deactivate(at)),
    (
        "roles withdrawn",
        "narrowed",
        "scope: user",
        lambda _c, p, at: p.assign_roles(("anonymous",), catalogue=CATALOGUE, provenance=at),
    ),
    (
        "all scopes withdrawn",
        "refused",
        "not in the client's grant: user mcp",
        lambda c, _p, at: c.set_scopes(("a2a",), catalogue=CATALOGUE, provenance=at),
    ),
    (
        "target withdrawn",
        "refused",
        "not an allowed target: https://api.example",
        lambda c, _p, at: c.set_audiences(Audiences(allowed=("hook",)), provenance=at),
    ),
    (
        "shorter lifetime",
        "narrowed",
        "lifetime: 600 s, not 3600 s",
        lambda c, _p, at: c.set_token_policy(TokenPolicy(lifetime=600), provenance=at),
    ),
    (
        "bound to a key",
        "refused",
        "the tokens of this client are bound to a key: send a DPoP proof",
        lambda c, _p, at: c.set_token_policy(TokenPolicy(dpop_bound=True), provenance=at),
    ),
    (
        "type of details withdrawn",
        "narrowed",
        "authorization_details: account",
        lambda c, _p, at: c.set_authorization_details_types(("payment",), provenance=at),
    ),
]


@pytest.mark.parametrize(("what", "outcome", "why", "change"), CHANGES)
def test_each_change_of_a_client_or_a_person_is_noticed(
    recording: Recording,
    session: Connection[Any],
    what: str,
    outcome: str,
    why: str,
    change: Callable[[Client, Principal, Provenance], object],
) -> None:
    """What the domain would say today is what the report says."""
    story = Story(recording)
    client, alice = _web(story)
    details = ({"type": "payment", "amount": 1}, {"type": "account", "amount": 2})
    story.person_token(client, alice, ("user", "mcp"), details=details)
    change(client, alice, story.act())
    story.record(client, alice)
    story.settle()

    rows = asked(session, POLICY_DRIFT, as_of=story.now)
    assert [row[:2] for row in rows] == [(outcome, why)]


@pytest.mark.parametrize(
    ("what", "outcome", "why", "change"),
    [
        (
            "the machine disabled",
            "refused",
            "on behalf of a disabled client: machine",
            lambda machine, _agent, at: machine.disable(at),
        ),
        (
            "impersonation withdrawn",
            "narrowed",
            "the client would be named as who acts",
            lambda _machine, agent, at: agent.set_delegation(Delegation(), provenance=at),
        ),
        (
            "exchange withdrawn",
            "refused",
            f"{TOKEN_EXCHANGE} is not registered for this client",
            lambda _machine, agent, at: agent.set_grant_types((), provenance=at),
        ),
    ],
)
def test_each_change_behind_an_exchange_is_noticed(
    recording: Recording,
    session: Connection[Any],
    what: str,
    outcome: str,
    why: str,
    change: Callable[[Client, Client, Provenance], object],
) -> None:
    """Who is acted for, who acts, and how it may."""
    story = Story(recording)
    agent, _ = _web(story)
    machine = story.client("machine")
    story.exchanged(agent, story.machine_token(machine, scope=("mcp",)))
    change(machine, agent, story.act())
    story.record(machine, agent)
    story.settle()

    rows = asked(session, POLICY_DRIFT, as_of=story.now, client_id="web")
    assert [row[:2] for row in rows] == [(outcome, why)]


def test_a_role_that_was_taken_away_is_drift(
    recording: Recording, session: Connection[Any]
) -> None:
    """The management scopes of a person's token, and of what was exchanged for it, would not be
    issued today; those that an owned machine got are, and are passed on.
    """
    story = Story(recording)
    alice = story.principal("alice", "clients:manage", "user")
    scopes = ("mcp", "clients:manage")
    web = story.client(
        "web",
        grant_types=("authorization_code", TOKEN_EXCHANGE),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
        scopes=scopes,
    )
    machine = story.client("machine", owner="alice", scopes=scopes)
    of_person = story.person_token(web, alice, scopes)
    story.exchanged(web, of_person, person=alice)
    of_machine = story.machine_token(machine, owner=alice)
    story.exchanged(web, of_machine, person=alice)
    before = story.position
    alice.assign_roles(("user",), catalogue=CATALOGUE, provenance=story.act())
    story.record(alice)
    story.settle()

    assert asked(session, POLICY_DRIFT, as_of=before) == []
    rows = asked(session, POLICY_DRIFT, as_of=story.now)
    assert [(*row[:3], row[4]) for row in rows] == [
        ("narrowed", "scope: clients:manage", "web", "authorization_code"),
        ("narrowed", "scope: clients:manage", "web", TOKEN_EXCHANGE),
    ]


def test_the_settings_of_today_count(recording: Recording, session: Connection[Any]) -> None:
    """A smaller catalogue and bound tokens are drift too, and the fingerprint tells of it."""
    story = Story(recording)
    story.machine_token(story.client("plain"))
    story.settle()
    smaller = Catalogue(permissions=tuple(p for p in DEFAULT_PERMISSIONS if p.name != "mcp"))

    (row,) = asked(
        session, POLICY_DRIFT, as_of=story.now, policy=replace(POLICY, catalogue=smaller)
    )
    assert row[:2] == ("refused", "unknown scope: mcp")
    assert row[-2:] == (CATALOGUE.digest, smaller.digest)
    (row,) = asked(
        session, POLICY_DRIFT, as_of=story.now, policy=replace(POLICY, sender_constrained=True)
    )
    assert row[:2] == ("refused", "tokens are bound to a key here: send a DPoP proof")


def test_a_word_of_an_issuer_counts_while_it_is_trusted(
    recording: Recording, session: Connection[Any]
) -> None:
    """What was issued on the word of an issuer that was removed would be refused."""
    story = Story(recording)
    agent, alice = _web(story)
    terms = IssuerTerms(issuer="https://id.example", scopes=("user",))
    issuer = TrustedIssuer.add(terms, catalogue=CATALOGUE, provenance=story.act())
    story.record(issuer)
    story.exchanged_foreign(agent, alice, Vouched("https://id.example", "jti-0", 1))
    before = story.position
    issuer.remove(story.act())
    story.record(issuer)
    story.settle()

    assert asked(session, POLICY_DRIFT, as_of=before) == []
    (row,) = asked(session, POLICY_DRIFT, as_of=story.now)
    assert row[:2] == ("refused", "issuer not trusted: https://id.example")


def test_a_client_whose_registration_is_not_there_is_unknown(
    recording: Recording, session: Connection[Any]
) -> None:
    """An export that begins later does not let anybody pass for known."""
    story = Story(recording)
    client = a_client(client_id="older")
    client.facts()
    story.machine_token(client)
    client.set_scopes(("mcp",), catalogue=CATALOGUE, provenance=story.act())
    story.record(client)
    story.settle()

    (row,) = asked(session, POLICY_DRIFT, as_of=story.now)
    why = "the registration of the client is not in these events"
    assert row[:3] == ("unknown", why, "older")
    assert row[13:15] == (1, None)
