"""Report 3: which credentials that still count are old."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.client_configuration import Authentication
from projections.reports.credential_age import CREDENTIAL_AGE
from tests.builders import a_key
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

DAY = 24 * 60
KEY = {"kty": "EC", "crv": "P-256", "x": "eHg", "y": "eXk", "kid": "k-1"}


def test_tells_what_is_older_than_it_should_be(
    recording: Recording, session: Connection[Any]
) -> None:
    """Secrets, keys of clients and of the service, as old as the event that made them count."""
    story = Story(recording)
    key = a_key()
    story.record(key)  # of noon
    holder = story.client("holder")
    by_key = story.client(
        "by-key", authentication=Authentication(method="private_key_jwt", jwks=(KEY,))
    )
    holder.add_secret(secret_id="s-1", pepper_id="p", verifier="v", provenance=story.act())
    holder.rotate_secret(
        secret_id="s-2",
        pepper_id="p",
        verifier="w",
        overlap=timedelta(days=2),
        provenance=story.act(minutes=10 * DAY),
    )
    early = story.record(holder)
    rotated = story.now
    story.client("later")
    by_key.disable(story.act(minutes=5 * DAY))
    story.record(by_key)
    story.settle()
    noon = rotated - timedelta(days=10, minutes=3)

    keys = [
        ("signing_key", None, "key-1", noon, "operator-1", 15, None, None),
        (
            *("client_key", "by-key", "k-1", noon + timedelta(minutes=2), "operator-1"),
            *(15, None, False),
        ),
    ]
    # The first secret ended two days after the second came.
    assert asked(session, CREDENTIAL_AGE, as_of=story.now, days=15) == keys
    assert asked(session, CREDENTIAL_AGE, as_of=story.now, days=5) == [
        *keys,
        ("secret", "holder", "s-2", rotated, "operator-1", 5, None, True),
    ]
    assert asked(session, CREDENTIAL_AGE, as_of=early, days=10)[2] == (
        *("secret", "holder", "s-1", noon + timedelta(minutes=3), "operator-1", 10),
        *(rotated + timedelta(days=2), True),
    )
