"""Who follows the audit trail is let go when its token no longer counts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from api import audit_events
from api.audit_events import MAX_FOLLOWERS, MAX_OF_ONE, Followers, followed
from application.errors import TooManyRequests
from application.present_authority import PresentAuthority
from application.token_keys import VerifiedClaims
from domain.client_configuration import Redirects
from domain.issuing_client import Authority
from projections.event_filter import EventFilter
from tests.application.fakes import FakeClock, MemoryDirectory, MemoryLog
from tests.builders import (
    AT_NOON,
    CATALOGUE,
    NOON,
    POLICY,
    SIGNING,
    a_client,
    a_principal,
    a_request,
    a_token,
    later,
)

OF_PEOPLE: dict[str, Any] = {
    "grant_types": ("authorization_code",),
    "scopes": ("audit:read",),
    "redirects": Redirects(redirect_uris=("https://client.example/callback",)),
}


class _ReadModels:
    async def fetch(self, query: Any) -> Sequence[Any]:
        return []


class _Service:
    """A service whose log has one token."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.read_models = _ReadModels()
        self.log = MemoryLog()
        self.directory = MemoryDirectory(self.log)
        self.authority = PresentAuthority(self.log, self.directory, CATALOGUE)
        client = a_client()
        self.token = a_token(client=client)
        self.log.record(client, self.token)
        self.caller = VerifiedClaims(
            claims={},
            token_id=str(self.token.id),
            client_id="reporter",
            audience=(),
            scope=("audit:read",),
            expires_at=int(NOON.timestamp()) + 60,
        )


async def _words(service: Any, most: int) -> list[str]:
    followers = Followers()
    words = []
    stream = followed(
        service, EventFilter(after=0), service.caller, followers, followers.enter(service.caller)
    )
    async for word in stream:
        words.append(word)
        if len(words) == most:
            break
    return words


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats come at each turn."""
    monkeypatch.setattr(audit_events, "HEARTBEAT_SECONDS", -1.0)
    monkeypatch.setattr(audit_events, "POLL_SECONDS", 0.0)


async def test_a_live_token_is_kept_company() -> None:
    """Where nothing is recorded, a heartbeat says that the connection lives."""
    assert await _words(_Service(), 3) == ["retry: 2000\n\n", *[": still here\n\n"] * 2]


async def test_a_revoked_token_ends_it() -> None:
    """The log is asked at each heartbeat."""
    service = _Service()
    service.token.revoke(by="operator-1", reason="", provenance=later(1))
    service.log.record(service.token)

    assert await _words(service, 9) == ["retry: 2000\n\n"]


async def test_an_expired_token_ends_it() -> None:
    """Whoever follows comes again with a new one."""
    service = _Service()
    service.clock.advance(seconds=61)

    assert await _words(service, 9) == ["retry: 2000\n\n"]


def test_who_never_began_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that went away before the first word holds a place for a minute, not for ever."""
    now = 0.0
    monkeypatch.setattr(audit_events, "monotonic", lambda: now)
    followers = Followers()
    places = [followers.enter(a_caller(n)) for n in range(MAX_FOLLOWERS)]
    with pytest.raises(TooManyRequests):
        followers.enter(a_caller(-1))
    now = 59.0
    followers.see(places[0])
    now = 61.0
    for n in range(1, MAX_FOLLOWERS):
        followers.enter(a_caller(n))

    with pytest.raises(TooManyRequests):
        followers.enter(a_caller(-1))
    followers.leave(places[0])
    followers.enter(a_caller(-1))


def a_caller(number: int = 0, *, token: int = 0, subject: str = "") -> VerifiedClaims:
    """Return the token of a client, one of several."""
    client_id = f"reporter-{number}"
    return VerifiedClaims(
        claims={"sub": subject or client_id},
        token_id=f"token-{token}",
        client_id=client_id,
        audience=(),
        scope=("audit:read",),
        expires_at=int(NOON.timestamp()) + 60,
    )


def test_one_caller_does_not_take_all_places() -> None:
    """By one token or by many; another client, and another person at the same one, has its own."""
    followers = Followers()
    own = [followers.enter(a_caller(token=n % 2)) for n in range(MAX_OF_ONE)]
    for token in range(3):
        with pytest.raises(TooManyRequests) as refusal:
            followers.enter(a_caller(token=token))
        assert "already" in refusal.value.reason
    followers.enter(a_caller(1))
    followers.enter(a_caller(subject="alice"))
    followers.leave(own[0])

    followers.enter(a_caller(token=7))


async def test_a_role_that_was_taken_away_ends_it() -> None:
    """A stream of a person's token goes on while a role carries `audit:read`: asked each page."""
    service = _Service()
    client = a_client(client_id="desk", **OF_PEOPLE)
    person = a_principal("alice", roles=("auditor",))
    token = client.issue_token_for_person(
        a_request(),
        Authority(("audit:read",), ("audit:read",), (), NOON),
        grant_type="authorization_code",
        person=person,
        family_id=None,
        policy=POLICY,
        signing=SIGNING,
        provenance=AT_NOON,
    )
    service.log.record(client, person, token)
    service.caller = replace(service.caller, token_id=str(token.id))
    before = await _words(service, 3)
    person.assign_roles(("user",), catalogue=CATALOGUE, provenance=later(1))
    service.log.record(person)

    assert before == ["retry: 2000\n\n", *[": still here\n\n"] * 2]
    assert await _words(service, 9) == ["retry: 2000\n\n"]
