"""Report 16: the reuse of a refresh token, what it exposed, and what was revoked."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.access_token import AccessToken
from domain.client_configuration import TOKEN_EXCHANGE, Redirects
from domain.provenance import Origin
from domain.refresh_token_family import IssuedToken, RefreshTokenFamily
from projections.reports.reuse_incidents import REUSE_INCIDENTS
from tests.builders import NOON
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

API = ["https://api.example"]
SESSION = "sess_00000000000000000000000000000001"
THERE = Origin(address="there", user_agent="agent-hash")


def after(minutes: float) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


class _Told:
    """A family of three generations whose second one comes again, and one that nobody copied."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.alice = story.principal("alice")  # 1
        self.web = story.client(  # 2
            "web",
            grant_types=("authorization_code", "refresh_token"),
            scopes=("user",),
            redirects=Redirects(redirect_uris=("https://client.example/callback",)),
        )
        agent = story.client("agent", grant_types=(TOKEN_EXCHANGE,), scopes=("user",))  # 3
        self.family, self.first = story.family(self.web, self.alice)  # 4
        story.family(self.web, self.alice)  # 5
        story.exchanged(agent, self.first, person=self.alice)  # 6
        self.second = self.refreshed(self.family)  # 7
        self.third = self.refreshed(self.family)  # 8
        child = story.exchanged(agent, self.third, person=self.alice)  # 9
        story.exchanged(agent, child, person=self.alice)  # 10
        self.before = story.position
        self.family.detect_reuse(2, origin=THERE, provenance=story.act())  # 11
        self.incident = story.record(self.family)

    def refreshed(self, family: RefreshTokenFamily) -> AccessToken:
        """Rotate the family once."""
        token = self.story.person_token(
            self.web, self.alice, grant_type="refresh_token", family=family
        )
        issued = IssuedToken(str(token.id), token.issued.expires_at)
        family.rotate(pepper_id="pepper-1", token=issued, provenance=self.story.act(minutes=0))
        self.story.record(family)
        return token


def test_tells_what_a_reuse_exposed(recording: Recording, session: Connection[Any]) -> None:
    """From when the token that came again was issued: what was issued, exchanged, revoked."""
    story = Story(recording)
    told = _Told(story)
    for token in (told.first, told.second):
        story.revoked(token, descendants=True)  # 12, 13
    partly = story.position
    story.revoked(told.third, descendants=True)  # 14
    story.settle()
    what = (
        *(told.incident, after(11), told.family.family_id, "web", "alice", SESSION, "there"),
        *(2, 3, after(4), after(7), after(8), 2, 2),
    )

    assert asked(session, REUSE_INCIDENTS, as_of=told.before) == []
    assert asked(session, REUSE_INCIDENTS, as_of=partly) == [
        (*what, 1, 3, 1, after(68), API),
    ]
    assert asked(session, REUSE_INCIDENTS, as_of=story.now) == [
        (*what, 4, 0, 0, after(68), API),
    ]
    for other in ({"client_id": "app"}, {"subject": "bob"}, {"since": after(12)}):
        assert asked(session, REUSE_INCIDENTS, as_of=story.now, **other) == []
    window = {"since": after(11), "until": after(12), "client_id": "web", "subject": "alice"}
    assert len(asked(session, REUSE_INCIDENTS, as_of=story.now, **window)) == 1
