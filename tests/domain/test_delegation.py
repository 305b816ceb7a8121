"""Properties of an exchange: whatever is asked for, the result is within each set it came from."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from domain.access_token import AccessToken
from domain.client_configuration import TOKEN_EXCHANGE, Audiences
from domain.delegation import (
    MAX_ACTORS,
    MAX_LINEAGE,
    Exchange,
    SubjectToken,
    actors_of,
    lineage_of,
)
from domain.descent import Actor
from domain.errors import DelegationRefused, DomainError
from domain.permissions import Tier
from tests.builders import (
    AT_NOON,
    CATALOGUE,
    NOON,
    POLICY,
    SIGNING,
    a_client,
    a_principal,
    a_request,
)

NAMES = st.lists(st.sampled_from(list(CATALOGUE.by_name)), unique=True).map(tuple)
TARGETS = ("https://api.example", "hook", "https://other.example")
ACTORS = st.lists(st.sampled_from(["agent-1", "agent-2"]), max_size=MAX_ACTORS).map(tuple)


@st.composite
def subject_tokens(draw: st.DrawFn) -> SubjectToken:
    """Return any token that might be exchanged."""
    actors = draw(ACTORS)
    return SubjectToken(
        jti="jti-subject",
        client_id="reporter",
        subject="alice",
        session_id="sess_1",
        scope=draw(NAMES),
        expires_at=NOON + timedelta(seconds=draw(st.integers(1, 7200))),
        authenticated_at=draw(st.sampled_from([None, NOON])),
        actors=tuple(map(Actor, actors)),
        lineage=tuple(f"jti-{number}" for number in range(len(actors))),
        for_person=draw(st.booleans()),
    )


def exchanged(
    subject: SubjectToken, wishes: dict[str, Any], scopes: tuple[str, ...], *roles: str
) -> AccessToken:
    """Exchange `subject` by a client with `scopes`, for a person with `roles`."""
    client = a_client(
        client_id="exchanger",
        grant_types=(TOKEN_EXCHANGE,),
        scopes=scopes,
        audiences=Audiences(allowed=TARGETS[:2]),
    )
    return client.exchange_token(
        a_request(**wishes),
        Exchange(subject),
        grant_type=TOKEN_EXCHANGE,
        owner=None,
        person=a_principal("alice", roles=roles),
        policy=POLICY,
        signing=SIGNING,
        provenance=AT_NOON,
    )


@given(
    subject=subject_tokens(),
    requested=st.none() | NAMES,
    scopes=NAMES,
    role=st.sampled_from(list(CATALOGUE.carried)),
    audience=st.lists(st.sampled_from(TARGETS), unique=True).map(tuple),
)
def test_nothing_widens(
    subject: SubjectToken,
    requested: tuple[str, ...] | None,
    scopes: tuple[str, ...],
    role: str,
    audience: tuple[str, ...],
) -> None:
    """Scope, audience and end are each within what they came from; `act` is one longer."""
    try:
        token = exchanged(subject, {"scope": requested, "audience": audience}, scopes, role)
    except DomainError as error:
        event(type(error).__name__)
        return
    event("exchanged")
    issued = token.issued
    of_person = CATALOGUE.carried[role]
    needed = (Tier.USER, *((Tier.MANAGEMENT,) if subject.for_person else ()))

    assert set(issued.scope) <= set(subject.scope) & set(scopes)
    assert requested is None or set(issued.scope) <= set(requested)
    assert all(name in of_person for name in issued.scope if CATALOGUE[name].tier in needed)
    assert set(issued.audience) <= set(audience or POLICY.default_audience)
    assert not set(issued.audience) - set(TARGETS[:2])
    assert issued.expires_at <= subject.expires_at
    assert token.actors == (Actor("exchanger"), *subject.actors)
    assert token.lineage == (*subject.lineage, subject.jti)
    assert (issued.subject, issued.authenticated_at) == ("alice", subject.authenticated_at)


@given(subject=subject_tokens())
def test_what_all_hold_is_passed_on(subject: SubjectToken) -> None:
    """With a client that holds everything, the subject token's scope goes through, but for what
    tells of a login and what an audience is needed for.
    """
    assume(len(subject.actors) < MAX_ACTORS)
    passed = {name for name in subject.scope if CATALOGUE[name].tier is not Tier.IDENTITY}
    assume(passed)
    token = exchanged(
        subject,
        {"scope": None, "audience": TARGETS[:2]},
        tuple(CATALOGUE.by_name),
        *CATALOGUE.carried,
    )

    assert set(token.issued.scope) == passed
    assert token.issued.descent is not None
    assert set(token.issued.descent.withheld) == set(subject.scope) - passed


def test_a_full_chain_ends() -> None:
    """Nobody acts for a chain that is as deep as may be."""
    with pytest.raises(DelegationRefused):
        exchanged(
            a_subject(actors=(Actor("a"),) * 5), {"scope": None, "audience": ()}, ("user",), "user"
        )


@pytest.mark.parametrize(
    ("may_act", "acts"),
    [(None, True), (("exchanger", "other"), True), (("other",), False), ((), False)],
)
def test_may_act_binds_the_actor(may_act: tuple[str, ...] | None, acts: bool) -> None:
    """Whoever is not named does not act; nobody named is nobody."""

    def run() -> AccessToken:
        subject = a_subject(may_act=may_act)
        return exchanged(subject, {"scope": None, "audience": ()}, ("user",), "user")

    if acts:
        assert run().actors == (Actor("exchanger"),)
    else:
        with pytest.raises(DelegationRefused, match="actor mismatch"):
            run()


@pytest.mark.parametrize(
    ("actor", "reason"),
    [
        ({"lineage": ("jti-9",)}, "different lineages"),
        ({"lineage": ("jti-0",), "actors": (Actor("agent-1"),)}, "acts for somebody else"),
    ],
)
def test_an_actor_acts_itself(actor: dict[str, Any], reason: str) -> None:
    """An actor token out of another delegation, or in which somebody else acts, tells a story that
    never happened.
    """
    exchange = Exchange(a_subject(lineage=("jti-0",)), a_subject(**actor))
    with pytest.raises(DelegationRefused, match=reason):
        actors_of(exchange, client_id="exchanger")


def test_an_impersonator_is_not_named() -> None:
    """Who acted before stays named; an actor token names its subject all the same."""
    subject = a_subject(actors=(Actor("agent-1"),))
    alone = actors_of(Exchange(subject), client_id="exchanger", impersonates=True)

    assert alone == (Actor("agent-1"),)


def test_a_lineage_has_an_end() -> None:
    """Whoever impersonates is not named: no number of actors would end its circles."""
    almost = Exchange(a_subject(lineage=tuple(f"jti-{n}" for n in range(MAX_LINEAGE - 1))))
    full = Exchange(a_subject(lineage=tuple(f"jti-{n}" for n in range(MAX_LINEAGE))))

    assert len(lineage_of(almost)) == MAX_LINEAGE
    with pytest.raises(DelegationRefused, match="exchanged 10 times already"):
        lineage_of(full)


def a_subject(**facts: Any) -> SubjectToken:
    """Return a subject token of alice."""
    return SubjectToken(
        **{
            "jti": "jti-subject",
            "subject": "alice",
            "session_id": "sess_1",
            "scope": ("user",),
            "expires_at": NOON,
            "authenticated_at": None,
            **facts,
        }
    )
