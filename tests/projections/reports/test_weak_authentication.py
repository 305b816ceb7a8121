"""Report 5: what a thief of a secret or of a token could use."""

from typing import Any

from psycopg import Connection

from domain.client_configuration import Authentication, ClientType, Redirects, TokenPolicy
from projections.reports.weak_authentication import WEAK_AUTHENTICATION
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.rich_history import DPOP_KEY
from tests.projections.reports.story import Story

KEY = {"kty": "EC", "crv": "P-256", "x": "eHg", "y": "eXk", "kid": "k-1"}


def test_tells_who_relies_on_what_can_be_stolen(
    recording: Recording, session: Connection[Any]
) -> None:
    """A secret, nothing at all, or tokens without a key; who has none of these is not listed."""
    story = Story(recording)
    secret = story.client("by-secret", owner="owner-1")
    by_key = Authentication(method="private_key_jwt", jwks=(KEY,))
    bound = TokenPolicy(dpop_bound=True)
    story.client("strong", authentication=by_key, tokens=bound)
    keyed = story.client("keyed", authentication=by_key)
    story.client(
        "app",
        client_type=ClientType.PUBLIC,
        grant_types=("authorization_code",),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
        tokens=bound,
    )
    secret.add_secret(secret_id="s", pepper_id="p", verifier="v", provenance=story.act())
    story.record(secret)
    story.machine_token(keyed)
    story.machine_token(keyed, confirmation=DPOP_KEY)
    early = story.position
    keyed.set_token_policy(bound, provenance=story.act(minutes=40 * 24 * 60))
    story.record(keyed)
    story.settle()

    by_secret = ("by-secret", "owner-1", "confidential", None, True, 1, False, True, 0, 0)
    app = ("app", None, "public", None, False, 0, True, False, 0, 0)
    assert asked(session, WEAK_AUTHENTICATION, as_of=early, days=30) == [
        app,
        by_secret,
        ("keyed", None, "confidential", "private_key_jwt", False, 0, False, True, 1, 1),
    ]
    assert asked(session, WEAK_AUTHENTICATION, as_of=story.now, days=30) == [app, by_secret]
